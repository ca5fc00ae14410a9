/** Converts settings to the limits of a server. */
import type { Settings } from '../config/settings.ts';
import { DEFAULT_LIMITS } from '../server/server.ts';
import type { ServerLimits } from '../server/types.ts';

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
