/** Converts settings to the options of a server: its addresses, threads and limits. Starts nothing. */
import { NetworkList } from '../boot-set/node/network-list.ts';
import type { Settings } from '../config/settings.ts';
import type { HttpOptions } from '../http/types.ts';
import { DEFAULT_LIMITS } from '../server/server.ts';
import type { ServerLimits, ServerOptions } from '../server/types.ts';
import { maxBlksizeOf, mayAsk } from './client-networks.ts';

export function serverLimits(settings: Settings): ServerLimits {
  return {
    ...DEFAULT_LIMITS,
    sessions: settings.sessions,
    queue: settings.queue,
    patienceMs: settings.patienceMs,
    minRate: settings.minBytesPerSecond,
    maxWindowsize: settings.maxWindowsize,
    maxBlksize: settings.maxBlksize.findLast(({ network }) => network === undefined)?.blksize,
    acknowledgeTimeout: settings.acknowledgeTimeout,
    halfOpen: {
      total: settings.halfOpen,
      perPrefix: settings.halfOpenPerNetwork,
      perAddress: settings.halfOpenPerAddress,
    },
    sessionsPerAddress: settings.sessionsPerAddress,
    sessionsPerPrefix4: settings.sessionsPerNetwork4,
    sessionsPerPrefix6: settings.sessionsPerNetwork6,
  };
}

/** @returns undefined when the server speaks TFTP alone. */
export function httpOptions(settings: Settings): HttpOptions | undefined {
  const { http = [], https = [], tlsCertificate, tlsKey, httpThreads, httpConnections } = settings;
  if (http.length + https.length === 0) return undefined;
  return {
    listen: http,
    listenSecure: https,
    tls:
      tlsCertificate === undefined || tlsKey === undefined ? undefined : { certificate: tlsCertificate, key: tlsKey },
    threads: httpThreads,
    connections: httpConnections,
  };
}

export function networkOptions(settings: Settings): Omit<ServerOptions, 'sources' | 'observer'> {
  const shared = new NetworkList(settings.sharedNetworks);
  return {
    listen: settings.listen,
    engine: settings.engine,
    ...(settings.dataPorts === undefined ? {} : { dataPorts: settings.dataPorts }),
    singlePort: settings.singlePort,
    listenOnEachAddress: settings.listenOnEachAddress,
    answerBroadcast: settings.answerBroadcast,
    workers: settings.workers,
    limits: serverLimits(settings),
    mayAsk: mayAsk(settings.clients),
    isShared: (address) => shared.has(address),
    maxBlksizeOf: maxBlksizeOf(settings.maxBlksize),
    http: httpOptions(settings),
  };
}
