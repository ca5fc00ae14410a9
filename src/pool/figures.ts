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

/** Reasons why a transfer is lost with its worker; also the labels of a metric. */
export const LOSSES = [
  /** The engine's sockets end with their thread. */
  'engine',
  /** Its workers, or servers, have died so often that the transfer itself may be the cause. */
  'repeated',
  /** The server is stopping. */
  'stopping',
  /** Its process has died, and the keeper did not have its socket. */
  'socket',
  /** Its process has died, and could not note its content: it is too large, or its name too long. */
  'unrecorded',
  /** Its process has died, and its content has changed since, or can't be opened any more. */
  'content',
  /** Its process has died, and as many transfers run in the next one as the table has room for. */
  'full',
] as const;
export type Loss = (typeof LOSSES)[number];

export interface TakeoverFigures {
  /** Transfers that another worker, or this process instead of another, went on with. A transfer counts each time. */
  readonly resumed: number;
  readonly lost: Readonly<Record<Loss, number>>;
}

export function noLosses(): Record<Loss, number> {
  return { engine: 0, repeated: 0, stopping: 0, socket: 0, unrecorded: 0, content: 0, full: 0 };
}

export const NO_TAKEOVERS: TakeoverFigures = { resumed: 0, lost: noLosses() };

/**
 * Sums the rows of counters. @param stateOf whether a row belongs to a worker, did so once, or never did.
 */
export function poolFigures(
  counters: SharedArrayBuffer,
  rows: number,
  stateOf: (row: number) => 'alive' | 'dead' | 'unused',
): PoolFigures {
  const workers: WorkerFigures[] = [];
  for (let worker = 0; worker < rows; worker++) {
    const row = counterRow(counters, worker);
    const vital = (name: Vital): number => row[vitalColumn(name)]!;
    const state = stateOf(worker);
    if (state === 'unused') continue;
    const alive = state === 'alive';
    const cpuSeconds = vital('cpuSeconds');
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

export function addLosses(
  one: Readonly<Record<Loss, number>>,
  other: Readonly<Record<Loss, number>>,
): Record<Loss, number> {
  const sum = noLosses();
  for (const loss of LOSSES) sum[loss] = one[loss] + other[loss];
  return sum;
}
