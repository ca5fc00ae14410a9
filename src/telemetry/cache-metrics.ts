/** Metrics of contents in memory: how many there are, and how often memory could answer. Knows no file and no store. */
import type { BufferCacheStats } from '../content/buffer-cache-types.ts';
import type { Declarations } from './metric-kinds.ts';

export function declareCache(declare: Declarations, cache: () => BufferCacheStats): void {
  declare.gauge('reveille_cache_held_bytes', 'Contents that transfers are reading.', () => cache().heldBytes);
  declare.gauge('reveille_cache_idle_bytes', 'Contents kept for later transfers.', () => cache().idleBytes);
  declare.gauge('reveille_cache_shelved_bytes', 'Contents kept for coming boots.', () => cache().shelvedBytes);
  declare.gauge(
    'reveille_pinned_bytes',
    'Contents that the budget cannot evict: those that transfers are reading, and those kept for coming boots.',
    () => cache().heldBytes + cache().shelvedBytes,
  );
  declare.gauge(
    'reveille_cache_entries',
    'Contents in memory, including those that no transfer is reading.',
    () => cache().entries,
  );
  declare.counter('reveille_cache_hits_total', 'Opens answered from memory.', () => cache().hits);
  declare.counter('reveille_cache_misses_total', 'Opens that had to wait for the disk.', () => cache().misses);
  declare.counter('reveille_cache_loads_total', 'Files read from disk.', () => cache().loads);
  declare.counter('reveille_cache_evictions_total', 'Contents evicted to make room.', () => cache().evictions);
  declare.counter(
    'reveille_cache_over_budget_total',
    'Number of times that contents in use grew beyond the budget (cacheBytes).',
    () => cache().overBudget,
  );
}
