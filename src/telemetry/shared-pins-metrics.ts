/** Metrics of pins that the servers of a fleet share. Knows no node and no connection. */
import type { BootSetsStats } from '../boot-set/stats.ts';
import { closed, type Declarations } from './metric-kinds.ts';

const NO_WAITS = { boundsMs: [], counts: [0], sumMs: 0 };

export function declareSharedPins(declare: Declarations, stats: () => BootSetsStats['sharedPins']): void {
  declare.gauge('reveille_shared_pins_up', 'Whether pins are shared with the other servers now.', () =>
    Number(stats()?.isUp ?? false),
  );
  declare.latency(
    'reveille_shared_pins_seconds',
    'Time until the server of shared pins answered.',
    () => stats()?.waits ?? NO_WAITS,
  );
  declare.counters(
    'reveille_shared_pins_failed_total',
    'Questions to the server of shared pins without an answer.',
    ['reason'],
    () => closed(['down', 'deadline', 'refused'], stats()?.failed),
  );
  declare.gauge(
    'reveille_shared_pins_unheard',
    'Nodes whose last requests the other servers do not know of.',
    () => stats()?.unshared,
  );
  declare.counter(
    'reveille_shared_pins_adopted_total',
    "Boots that continued with another server's version instead of their own.",
    () => stats()?.adopted,
  );
  declare.counter(
    'reveille_shared_pins_kept_total',
    'Boots that stayed with their own version although another server shared another one.',
    () => stats()?.kept,
  );
  declare.counter(
    'reveille_shared_pins_refused_total',
    'Shared pins that were not accepted: the store lacks their version, or they can not be read.',
    () => stats()?.refused,
  );
}
