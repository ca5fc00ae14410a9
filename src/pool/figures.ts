/** A pool's figures about its workers: sums of their counters, and the state of each. Read-only, at any time. */
import {
  counterRow,
  type PacketCounter,
  sumCounters,
  sumLatencies,
  sumSendErrors,
  type Vital,
  vitalColumn,
} from '../engine/counters.ts';
import type { Latency, LatencyCounts } from '../engine/latencies.ts';
import type { SendErrno } from '../engine/send-errors.ts';

export interface WorkerFigures {
  /** The worker's number, from 0. A thread that replaces a lost one may get another number. */
  readonly worker: number;
  /** Transfers running now. */
  readonly transfers: number;
  /** Processor time used by all threads that ever had this number, s; 0 where it can't be measured. */
  readonly cpuSeconds: number;
  /** The longest event loop delay of the last ten to twenty seconds, ms; 0 where it can't be measured. */
  readonly eventLoopDelayMs: number;
}

/** Sums are over all workers, including those that have died. */
export interface PoolFigures {
  readonly packets: Record<PacketCounter, number>;
  readonly latencies: Record<Latency, LatencyCounts>;
  /** Datagrams that could not be sent, by reason. */
  readonly sendErrors: Record<SendErrno, number>;
  readonly workers: readonly WorkerFigures[];
}

/**
 * Sums the rows of counters. @param isAlive tells whether a row belongs to a thread. @param least number of rows
 * reported even if they never belonged to one.
 */
export function poolFigures(
  counters: SharedArrayBuffer,
  rows: number,
  least: number,
  isAlive: (row: number) => boolean,
): PoolFigures {
  const workers: WorkerFigures[] = [];
  for (let worker = 0; worker < rows; worker++) {
    const row = counterRow(counters, worker);
    const vital = (name: Vital): number => row[vitalColumn(name)]!;
    const alive = isAlive(worker);
    const cpuSeconds = vital('cpuSeconds');
    if (!alive && worker >= least && cpuSeconds === 0) continue;
    workers.push({
      worker,
      transfers: alive ? vital('transfers') : 0,
      cpuSeconds,
      eventLoopDelayMs: alive ? vital('eventLoopDelayMs') : 0,
    });
  }
  return {
    packets: sumCounters(counters),
    latencies: sumLatencies(counters),
    sendErrors: sumSendErrors(counters),
    workers,
  };
}
