/**
 * Tells workers how much has arrived of contents that are still being read, and tells the contents how much of them has
 * been acknowledged. Runs in the main thread, between supplies and the cells of their transfers; knows no packets.
 */
import type { Content, Supply } from '../content/types.ts';
import type { Clock } from '../engine/types.ts';
import { type StateCells, TRANSFER_STATE, WISH_TO_END } from '../pool/state-cells.ts';
import { blockCount } from '../protocol/block.ts';
import type { Transfer } from './transfer.ts';

/** Interval of the checks for acknowledged blocks. */
const LOOK_MS = 10;

/** Returns the size of a content, bytes; an upper bound while a text is still being converted. */
export function contentBytes({ supply, handle }: Content): number {
  return supply?.size ?? handle.length;
}

/** Returns the number of blocks that may be sent. */
function arrivedBlocks({ isWhole, size, arrived }: Supply, blksize: number): number {
  return isWhole ? blockCount(size, blksize) : Math.floor(arrived / blksize);
}

/**
 * Waits for the content of the first reply: DATA 1, where there is no OACK.
 *
 * @returns undefined when the content has arrived; otherwise a promise that resolves when it has arrived or has failed.
 */
export function firstBlock({ opening, content, settled }: Transfer): Promise<void> | undefined {
  const supply = content?.supply;
  const isMissing = (): boolean =>
    supply !== undefined && supply.failure === undefined && arrivedBlocks(supply, settled!.blksize) === 0;
  if (opening !== undefined || !isMissing()) return undefined;
  return new Promise((resolve) => {
    const unwatch = supply!.watch(() => {
      if (isMissing()) return;
      unwatch();
      resolve();
    });
  });
}

interface Feed {
  readonly transfer: Transfer;
  readonly supply: Supply;
  readonly unwatch: () => void;
}

export class Feeder {
  readonly #clock: Clock;
  readonly #cells: StateCells;
  readonly #feeds = new Map<number, Feed>();
  /** Feeds whose acknowledged blocks still matter. */
  readonly #looked = new Set<Feed>();
  #cancelLook: (() => void) | undefined;

  constructor(clock: Clock, cells: StateCells) {
    this.#clock = clock;
    this.#cells = cells;
  }

  /**
   * Starts to report arrivals to the transfer's worker. Call when its cell is ready, before a worker has it.
   *
   * @returns blocks that have arrived; undefined: all have, and nothing more is reported.
   */
  begin(transfer: Transfer): number | undefined {
    const supply = transfer.content?.supply;
    if (supply === undefined || supply.isWhole) return undefined;
    const feed = { transfer, supply, unwatch: supply.watch(() => this.#tell(feed)) };
    this.#feeds.set(transfer.slot, feed);
    this.#looked.add(feed);
    this.#scheduleLook();
    const blocks = arrivedBlocks(supply, transfer.settled!.blksize);
    this.#cells.setArrived(transfer.slot, blocks);
    return blocks;
  }

  /** Call when the transfer's worker has finished with it. */
  end({ slot }: Transfer): void {
    const feed = this.#feeds.get(slot);
    if (feed === undefined) return;
    this.#feeds.delete(slot);
    this.#looked.delete(feed);
    feed.unwatch();
  }

  /** Ends all reports, because another process goes on with the transfers. */
  close(): void {
    this.#cancelLook?.();
    for (const { transfer } of this.#feeds.values()) this.end(transfer);
  }

  #tell({ transfer, supply }: Feed): void {
    const { slot, abandoned, settled } = transfer;
    if (supply.failure !== undefined) {
      this.end(transfer);
      // The client of an abandoned transfer has asked for something else, and would take our ERROR for its answer.
      if (!abandoned) this.#cells.end(slot, WISH_TO_END[supply.failure]);
      return;
    }
    const { blksize } = settled!;
    const blocks = arrivedBlocks(supply, blksize);
    if (supply.isWhole) {
      this.end(transfer);
      this.#cells.setLastBlock(slot, blocks, supply.size - (blocks - 1) * blksize);
    }
    this.#cells.setArrived(slot, blocks);
    if (this.#cells.isWaiting(slot)) this.#cells.ring();
  }

  #scheduleLook(): void {
    if (this.#cancelLook !== undefined || this.#looked.size === 0) return;
    this.#cancelLook = this.#clock.wake(this.#clock.now() + LOOK_MS, () => {
      this.#cancelLook = undefined;
      for (const feed of this.#looked) this.#look(feed);
      this.#scheduleLook();
    });
  }

  #look(feed: Feed): void {
    const { transfer, supply } = feed;
    const state = this.#cells.state(transfer.slot);
    if (state !== TRANSFER_STATE.running && state !== TRANSFER_STATE.lastBlockSent) return;
    // A supply that keeps all its bytes only needs to know that a client wants them.
    if (supply.ringBytes === 0) this.#looked.delete(feed);
    supply.acknowledge(this.#cells.blocks(transfer.slot) * transfer.settled!.blksize);
  }
}
