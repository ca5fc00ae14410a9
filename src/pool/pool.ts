/** The seam between the main thread, which decides what is served, and whatever runs the transfers. */
import type { TransferReport } from '../engine/report.ts';
import type { SharedHandle } from '../bytes/shared-bytes.ts';
import type { Address, BorrowedPort } from '../engine/types.ts';
import type { SenderPlan } from '../session/sender-plan.ts';
import type { PoolFigures } from './figures.ts';
import type { StateCells } from './state-cells.ts';

/** A transfer to run, ready in every respect: whoever runs it opens no file and reads no request. Crosses threads. */
export interface TransferOrder {
  /** The cell that tells how it goes, 0 <= slot < cells.slots. */
  readonly slot: number;
  /** The address that was asked, and is to answer. */
  readonly local: string;
  readonly peer: Address;
  /** The port to use; undefined: the worker opens one. */
  readonly port: BorrowedPort | undefined;
  /** When the first reply left, by the engines' common clock; undefined: the worker sends it. */
  readonly openedAt: number | undefined;
  /** When its first request came, by the engines' common clock. */
  readonly requestedAt: number;
  readonly content: SharedHandle;
  /** Where the content goes round in memory: byte `n` of it lies at `n % ringBytes`. 0: all of it has its place. */
  readonly ringBytes: number;
  readonly plan: SenderPlan;
  /** The OACK, when the plan has one. */
  readonly opening: Uint8Array | undefined;
}

export interface Pool {
  readonly cells: StateCells;
  /**
   * Gives a transfer to a worker. Its report goes to `onEnded`, once, when nothing of it is left running: then the slot,
   * the port and the content may be used again.
   *
   * @returns false when no worker can take it now.
   */
  start(order: TransferOrder): boolean;
  /** Whether a worker can take an order now. Where none can, `onRoom` is called when it is worth trying again. */
  readonly hasRoom: boolean;
  /** Set by the owner before the first start. */
  onEnded: (slot: number, report: TransferReport) => void;
  /** Set by the owner: called when a worker takes orders that did not before. */
  onRoom: () => void;
  figures(): PoolFigures;
  /** Workers that ended unasked. */
  readonly workersLost: number;
  /** Ends what still runs, and the workers in order. */
  close(): Promise<void>;
}

/** The report of a transfer that its worker could not finish. */
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
