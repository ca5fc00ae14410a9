/**
 * The transfers that the process before has left, and the memory in which this process leaves its own. Knows regions
 * and sockets; admission goes on with the transfers.
 */
import { machineMs } from '../engine/clock.ts';
import { closeDescriptor } from '../engine/descriptor-channel.ts';
import {
  createRegion,
  mapRegion,
  type RegionPlace,
  type SharedRegion,
  unmapRegion,
  viewRegion,
} from '../engine/shared-region.ts';
import type { SocketKeep } from '../engine/socket-keep.ts';
import { type LeftTransfer, leftTransfers } from './left-transfers.ts';
import { formatRecoveries, RecoveryRecords, regionBytes } from './recovery-records.ts';

type OnWarning = (message: string, detail: Readonly<Record<string, unknown>>) => void;

export class Inheritance {
  readonly region: SharedRegion;
  readonly #keep: SocketKeep;
  readonly #slots: number;
  #old: number[] = [];

  private constructor(keep: SocketKeep, region: SharedRegion, slots: number) {
    this.#keep = keep;
    this.region = region;
    this.#slots = slots;
  }

  /**
   * Makes memory for this process.
   *
   * @returns undefined when the system gives no such memory: transfers then end with their process.
   */
  static open(keep: SocketKeep, slots: number, onWarning: OnWarning): Inheritance | undefined {
    try {
      return new Inheritance(keep, createRegion(regionBytes(slots)), slots);
    } catch (error) {
      onWarning('transfers end with this process if it dies', { error });
      return undefined;
    }
  }

  /** Prepares the memory of this process, whose table has been formatted. @returns where recovery records are written. */
  begin(): RecoveryRecords {
    const region = viewRegion(this.region);
    formatRecoveries(region, this.#slots);
    return new RecoveryRecords(region, this.#slots);
  }

  /** Returns the transfers of the processes before, once no other process serves them. A fault of a region is a warning. */
  take(onWarning: OnWarning): LeftTransfer[] {
    this.#keep.takeOver();
    this.#old = this.#keep.takeRegions();
    this.#keep.keepRegion(this.region.fd);
    const transfers: LeftTransfer[] = [];
    const seen = new Set<string>();
    // A process that died while it took over has left some of the transfers in both regions: the newer one counts.
    for (const fd of this.#old) {
      const left = readRegion(fd);
      if (typeof left === 'string') {
        onWarning('starts without the transfers of the server before it', { reason: left });
        continue;
      }
      for (const one of left) {
        const key = portOf(one);
        if (seen.has(key)) continue;
        seen.add(key);
        transfers.push(one);
      }
    }
    return transfers;
  }

  /** Gives up the regions of the processes before. Call when every transfer in them goes on or is lost. */
  settle(): void {
    for (const fd of this.#old.splice(0)) {
      this.#keep.release(fd);
      closeDescriptor(fd);
    }
  }
}

/** Identifies the port of a transfer; where transfers share one, also the client. */
function portOf({ order: { local, localPort, peer, port } }: LeftTransfer): string {
  return `${local}|${localPort}${port?.shared === undefined ? '' : `|${peer.address}|${peer.port}`}`;
}

function readRegion(fd: number): LeftTransfer[] | string {
  let place: RegionPlace;
  try {
    place = mapRegion(fd);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  try {
    return leftTransfers(viewRegion(place), machineMs());
  } finally {
    unmapRegion(place);
  }
}
