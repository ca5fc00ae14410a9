/** What a pool tells of its workers: sums of what they count, and what each of them is doing. Read-only, at any time. */
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
  /** A small number; a thread that takes a lost one's place may have another. */
  readonly worker: number;
  /** Running now. */
  readonly transfers: number;
  /** Processor time used, by all threads that ever had this number; 0 where it can't be told. */
  readonly cpuSeconds: number;
  /** The longest time that something due had to wait, of the last ten to twenty seconds; 0 where it can't be told. */
  readonly eventLoopDelayMs: number;
}

/** Sums are over all workers, those that have died included. */
export interface PoolFigures {
  readonly packets: Record<PacketCounter, number>;
  readonly latencies: Record<Latency, LatencyCounts>;
  /** Datagrams that could not be sent, by reason. */
  readonly sendErrors: Record<SendErrno, number>;
  readonly workers: readonly WorkerFigures[];
}

/** @param isAlive whether a row belongs to a thread; @param least rows shown also if they never did. */
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
