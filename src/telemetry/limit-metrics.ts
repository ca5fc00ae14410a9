/**
 * The limits of a server as metrics, so that other figures can be shown as shares of them. Knows settings alone, and
 * none of the figures.
 */
import type { Declarations } from './metric-kinds.ts';

export interface ConfiguredLimits {
  /** The budget of the cache, in bytes. */
  readonly cacheBytes: number;
  /** The limit for all contents in memory, in bytes. */
  readonly memoryLimitBytes: number;
  /** Maximum number of transfers at once. */
  readonly sessions: number;
}

export function declareLimits(
  declare: Declarations,
  { cacheBytes, memoryLimitBytes, sessions }: ConfiguredLimits,
): void {
  declare.gauge('reveille_cache_budget_bytes', 'Memory budget for contents (cacheBytes).', () => cacheBytes);
  declare.gauge(
    'reveille_memory_limit_bytes',
    'Memory that contents never exceed (memoryLimit).',
    () => memoryLimitBytes,
  );
  declare.gauge(
    'reveille_sessions_limit',
    'Maximum number of concurrent transfers over TFTP (sessions).',
    () => sessions,
  );
}
