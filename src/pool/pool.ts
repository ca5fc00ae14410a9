/** The seam between the main thread, which decides what is served, and whatever runs the transfers. */
import type { TransferReport } from '../engine/report.ts';
import type { SharedHandle } from '../bytes/shared-bytes.ts';
import type { Address } from '../engine/types.ts';
import type { SenderPlan } from '../session/sender.ts';
import type { PoolFigures } from './figures.ts';
import type { StateCells } from './state-cells.ts';

/** A transfer to run, ready in every respect: whoever runs it opens no file and reads no request. Crosses threads. */
export interface TransferOrder {
  /** The cell that tells how it goes, 0 <= slot < cells.slots. */
  readonly slot: number;
  /** The address that was asked, and is to answer. */
  readonly local: string;
  readonly peer: Address;
  /** When its first request came, by the engines' common clock. */
  readonly requestedAt: number;
  readonly content: SharedHandle;
  readonly plan: SenderPlan;
  /** The OACK, when the plan has one. */
  readonly opening: Uint8Array | undefined;
}

export interface Pool {
  readonly cells: StateCells;
  /**
   * Runs one transfer to its end and resolves with its report, only when nothing of it is left running: then the
   * slot and the content may be reused. Never rejects.
   */
  run(order: TransferOrder): Promise<TransferReport>;
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
