/** The interface between the main thread, which decides what is served, and the threads that run the transfers. */
import type { TransferReport } from '../engine/report.ts';
import type { SharedHandle } from '../bytes/shared-bytes.ts';
import type { Address, BorrowedPort } from '../engine/types.ts';
import type { SenderPlan } from '../session/sender-plan.ts';
import type { PoolFigures, TakeoverFigures } from './figures.ts';
import type { StateCells } from './state-cells.ts';

/** A transfer ready to run: its runner opens no file and reads no request. Crosses threads. */
export interface TransferOrder {
  /** The transfer's state cell, 0 <= slot < cells.slots. */
  readonly slot: number;
  /** The address that was asked; the reply leaves from it. */
  readonly local: string;
  /** The port of our end; undefined: the worker opens one. */
  readonly localPort: number | undefined;
  readonly peer: Address;
  /** The port to use; undefined: the worker opens one. */
  readonly port: BorrowedPort | undefined;
  /** When the first reply was sent, on the engines' common clock, ms; undefined: the worker sends it. */
  readonly openedAt: number | undefined;
  /** When the first request arrived, on the engines' common clock, ms. */
  readonly requestedAt: number;
  readonly content: SharedHandle;
  /**
   * Size of the ring in memory that holds the content: its byte `n` lies at `n % ringBytes`. 0: the content is whole.
   */
  readonly ringBytes: number;
  readonly plan: SenderPlan;
  /** The OACK, if the plan has one. */
  readonly opening: Uint8Array | undefined;
}

export interface Pool {
  readonly cells: StateCells;
  /**
   * Gives a transfer to a worker. Its report goes to `onEnded`, once, when nothing of the transfer is left running: the
   * slot, the port and the content may then be reused.
   *
   * @returns false when no worker can take it now.
   */
  start(order: TransferOrder): boolean;
  /**
   * Goes on with a transfer that another process has begun; its cell says how far it has come. Waits for a worker with
   * room. Pools whose threads exchange contents as addresses have it.
   */
  resume?(order: TransferOrder): void;
  /** True if a worker can take an order now. If not, `onRoom` is called when it is worth trying again. */
  readonly hasRoom: boolean;
  /** Set by the owner before the first start. Called with the report of each transfer. */
  onEnded: (slot: number, report: TransferReport) => void;
  /** Set by the owner. Called when a worker takes orders again. */
  onRoom: () => void;
  figures(): PoolFigures;
  /** Workers that ended unexpectedly. */
  readonly workersLost: number;
  /** Counts of their transfers that went on or were lost. */
  readonly takeovers: TakeoverFigures;
  /**
   * Ends the workers without a word to the clients, because another process goes on with the transfers. Reports of those
   * that have ended still go to `onEnded`. Pools with resume() have it.
   */
  leave?(): Promise<void>;
  /** Ends running transfers, then the workers in order. */
  close(): Promise<void>;
}

/** Returns the report of a transfer that its worker could not finish. */
export function faultReport(fault: string): TransferReport {
  return {
    outcome: 'aborted',
    startedAt: undefined,
    durationMs: 0,
    blocks: 0,
    bytes: 0,
    retransmits: 0,
    stale: 0,
    timeouts: 0,
    errorCode: undefined,
    errorText: '',
    fault,
  };
}
