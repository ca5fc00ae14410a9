/**
 * Tells workers how much has arrived of contents that are still being read, and the contents how much of them has been
 * acknowledged. Lives in the main thread, between supplies and the cells of their transfers; knows no packets.
 */
import type { Content, Supply } from '../content/types.ts';
import type { Clock } from '../engine/types.ts';
import { type StateCells, TRANSFER_STATE, WISH_TO_END } from '../pool/state-cells.ts';
import { blockCount } from '../protocol/block.ts';
import type { Transfer } from './transfer.ts';

/** How often it is looked at what has been acknowledged. */
const LOOK_MS = 10;

/** Bytes of a content; at most so many while a text is still being converted. */
export function contentBytes({ supply, handle }: Content): number {
  return supply?.size ?? handle.length;
}

/** Blocks that may be sent. */
function arrivedBlocks({ isWhole, size, arrived }: Supply, blksize: number): number {
  return isWhole ? blockCount(size, blksize) : Math.floor(arrived / blksize);
}

/**
 * Waits for what the first reply is to hold: DATA 1, where there is no OACK.
 *
 * @returns undefined when it is there. Resolves when it is, or never comes.
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
  /** Those of which it is still of interest what has been acknowledged. */
  readonly #looked = new Set<Feed>();
  #cancelLook: (() => void) | undefined;

  constructor(clock: Clock, cells: StateCells) {
    this.#clock = clock;
    this.#cells = cells;
  }

  /**
   * From now on its worker is told what arrives. Call when its cell is ready, before a worker has it.
   *
   * @returns blocks that have arrived; undefined: all have, and nothing more is told.
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

  /** Its worker has done with it. */
  end({ slot }: Transfer): void {
    const feed = this.#feeds.get(slot);
    if (feed === undefined) return;
    this.#feeds.delete(slot);
    this.#looked.delete(feed);
    feed.unwatch();
  }

  #tell({ transfer, supply }: Feed): void {
    const { slot, abandoned, settled } = transfer;
    if (supply.failure !== undefined) {
      this.end(transfer);
      // The client of an abandoned one has asked for something else, and would take our ERROR for its answer.
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
    // Of one that keeps all its bytes it matters only that somebody wants them.
    if (supply.ringBytes === 0) this.#looked.delete(feed);
    supply.acknowledge(this.#cells.blocks(transfer.slot) * transfer.settled!.blksize);
  }
}
