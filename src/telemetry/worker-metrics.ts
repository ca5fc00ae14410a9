/** Metrics of worker threads: how many there are, and how busy each is. Knows nothing of their work. */
import { LOSSES } from '../server/types.ts';
import type { ServerStats } from '../server/types.ts';
import type { Declarations, Sample } from './metric-kinds.ts';

export function declareWorkers(declare: Declarations, server: () => ServerStats | undefined, configured: number): void {
  const workers = (): ServerStats['workers'] => server()?.workers ?? [];
  declare.gauge('reveille_workers', 'Worker threads configured.', () => configured);
  declare.counter(
    'reveille_worker_restarts_total',
    'Workers that died and were replaced.',
    () => server()?.workersLostTotal,
  );
  declare.counter(
    'reveille_transfers_resumed_total',
    'Transfers that another worker, or another process, went on with when theirs died; a transfer counts each time.',
    () => server()?.transfersResumedTotal,
  );
  declare.counters(
    'reveille_transfers_lost_total',
    'Transfers that ended because their worker or process died, by reason.',
    ['reason'],
    () => LOSSES.map((reason): Sample => [reason, server()?.transfersLostTotal[reason] ?? 0]),
  );
  declare.gauges('reveille_worker_transfers', 'Transfers running now, by worker.', ['worker'], () =>
    workers().map(({ worker, transfers }): Sample => [worker, transfers]),
  );
  declare.counters(
    'reveille_worker_cpu_seconds_total',
    "Processor time of each worker's thread (Linux, or Node.js 24).",
    ['worker'],
    () => workers().map(({ worker, cpuSeconds }): Sample => [worker, cpuSeconds]),
  );
  declare.gauges(
    'reveille_worker_event_loop_delay_seconds',
    'The longest delay of a due task in a worker, within the last 10 to 20 seconds.',
    ['worker'],
    () => workers().map(({ worker, eventLoopDelayMs }): Sample => [worker, eventLoopDelayMs / 1000]),
  );
}

/** @param history servers before this one, below the same keeper. */
export function declareHistory(
  declare: Declarations,
  history: () => { readonly deaths: number; readonly upgrades: number },
): void {
  declare.counter('reveille_server_deaths_total', 'Servers of this keeper that died.', () => history().deaths);
  declare.counter(
    'reveille_server_upgrades_total',
    'Servers of this keeper that a successor replaced.',
    () => history().upgrades,
  );
}
