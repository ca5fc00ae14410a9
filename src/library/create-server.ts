/**
 * A server embedded in another program: opens the parts in order, serves them, and closes them. A thin layer over
 * startServer, which knows no folders and no stores.
 */
import { BufferCache } from '../content/buffer-cache.ts';
import { httpUrlAt } from '../http/http-url.ts';
import { DEFAULT_LIMITS, startServer } from '../server/server.ts';
import type { Server, ServerLimits, ServerObserver, ServerOptions } from '../server/types.ts';
import type { OpenPart, Part, Surroundings } from './sources.ts';

export interface CreateServerOptions extends Pick<ServerOptions, 'listen' | 'mayAsk' | 'isShared' | 'http'> {
  /** Parts to serve; the first that has a name answers. */
  readonly serve: readonly Part[];
  /** Default: `auto`. */
  readonly engine?: ServerOptions['engine'];
  /** Number of threads that send packets. Default 1. */
  readonly workers?: number;
  readonly limits?: Partial<ServerLimits>;
  /** Budget for contents in memory, in bytes. Default 2 GiB. */
  readonly cacheBytes?: number;
  /** Receives events. Default: none are reported. */
  readonly observer?: Partial<ServerObserver>;
}

const NOBODY: ServerObserver = { onTransfer: () => {}, onRefusal: () => {}, onWarning: () => {} };

/** Opens the parts, the last one first: configs name versions of the boot sets after them. */
async function openAll(parts: readonly Part[], given: Omit<Surroundings, 'bootSets'>): Promise<OpenPart[]> {
  const opened: OpenPart[] = [];
  try {
    for (const part of parts.toReversed()) {
      const bootSets = opened.find((one) => one.bootSets !== undefined)?.bootSets;
      // oxlint-disable-next-line no-await-in-loop -- each part may need those after it.
      opened.unshift(await part.open({ ...given, bootSets }));
    }
    return opened;
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

/** Closes the parts, the first one first: parts that name versions go before the boot sets that hold them. */
async function closeAll(opened: readonly OpenPart[]): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop -- in order.
  for (const part of opened) await part.close();
}

/**
 * Starts a server. Its stop() also closes the parts.
 *
 * @throws Error when a part can't be opened, or the server can listen on no address.
 */
export async function createServer(options: CreateServerOptions): Promise<Server> {
  const { listen, serve, engine = 'auto', workers = 1, limits, cacheBytes } = options;
  const observer = { ...NOBODY, ...options.observer };
  const cache = new BufferCache(cacheBytes === undefined ? {} : { maxBytes: cacheBytes });
  let opened: readonly OpenPart[] = [];
  let server: Server | undefined;
  try {
    server = await startServer({
      listen,
      engine,
      workers,
      limits: { ...DEFAULT_LIMITS, ...limits },
      observer,
      ...(options.http === undefined ? {} : { http: options.http }),
      ...(options.mayAsk === undefined ? {} : { mayAsk: options.mayAsk }),
      ...(options.isShared === undefined ? {} : { isShared: options.isShared }),
      sources: async (parts) => {
        opened = await openAll(serve, {
          engine: parts,
          cache,
          httpUrl: (local) => httpUrlAt(local, server?.httpAddresses ?? []),
          onWarning: observer.onWarning,
        });
        return opened.map((part) => part.source);
      },
    });
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
  const started = server;
  let closing: Promise<void> | undefined;
  return {
    get addresses() {
      return started.addresses;
    },
    get httpAddresses() {
      return started.httpAddresses;
    },
    get engine() {
      return started.engine;
    },
    get ready() {
      return started.ready;
    },
    stats: () => started.stats(),
    transfers: () => started.transfers(),
    async stop(drainMs) {
      const aborted = await started.stop(drainMs);
      closing ??= closeAll(opened).finally(() => cache.close());
      await closing;
      return aborted;
    },
  };
}
