/**
 * The packets of one link that are always lost, as a plan says. Reads opcodes, block numbers and the agreed block size;
 * random loss happens elsewhere.
 */
import { BLKSIZE_DEFAULT } from '../../protocol/negotiate.ts';
import { OPCODE } from '../../protocol/opcode.ts';
import { createPacket, decode } from '../../protocol/packet.ts';
import { decodeOptions } from '../../protocol/request.ts';
import { countLost, type ExactLoss, type FaultCounts } from '../plan/fault-plan.ts';

const PACKET_NAMES: Readonly<Record<number, ExactLoss['packet']>> = {
  [OPCODE.RRQ]: 'rrq',
  [OPCODE.OACK]: 'oack',
  [OPCODE.DATA]: 'data',
  [OPCODE.ACK]: 'ack',
  [OPCODE.ERROR]: 'error',
};

/** Scratch packet: one call both fills and reads it. */
const PACKET = createPacket();

/** Sees every packet of a link first, and decides which of them are lost. */
export class LossScript {
  readonly #losses: readonly ExactLoss[];
  readonly #counts: FaultCounts;
  #left: number[];
  /** True once the current request has been answered; a request after that belongs to a new transfer. */
  #answered = false;
  #blksize = BLKSIZE_DEFAULT;
  /** The number of the last block, once it has arrived. */
  #lastBlock = -1;

  constructor(losses: readonly ExactLoss[], counts: FaultCounts) {
    this.#losses = losses;
    this.#counts = counts;
    this.#left = losses.map(({ times }) => times);
  }

  losesOutgoing(bytes: Uint8Array, length: number): boolean {
    if (this.#losses.length === 0 || decode(bytes, length, PACKET) !== undefined) return false;
    if (PACKET.opcode === OPCODE.RRQ && this.#answered) this.#begin();
    return this.#takes(PACKET.opcode === OPCODE.ACK && PACKET.block === this.#lastBlock);
  }

  losesIncoming(bytes: Uint8Array, length: number): boolean {
    if (this.#losses.length === 0 || decode(bytes, length, PACKET) !== undefined) return false;
    if (PACKET.opcode === OPCODE.OACK) this.#learn();
    const last = PACKET.opcode === OPCODE.DATA && PACKET.end - PACKET.start < this.#blksize;
    if (last) this.#lastBlock = PACKET.block;
    const lost = this.#takes(last);
    if (!lost) this.#answered = true;
    return lost;
  }

  #begin(): void {
    this.#answered = false;
    this.#blksize = BLKSIZE_DEFAULT;
    this.#lastBlock = -1;
    this.#left = this.#losses.map(({ times }) => times);
  }

  /** Reads the block size from PACKET, an OACK. Whether the grant is legal is not checked here. */
  #learn(): void {
    const granted = decodeOptions(PACKET.bytes, PACKET.start, PACKET.end).find(({ name }) => name === 'blksize');
    this.#blksize = granted === undefined ? BLKSIZE_DEFAULT : Number(granted.value) || BLKSIZE_DEFAULT;
  }

  /** Decides whether PACKET is lost. @param last true when it carries the last block's number. */
  #takes(last: boolean): boolean {
    const name = PACKET_NAMES[PACKET.opcode];
    for (const [index, { packet, block }] of this.#losses.entries()) {
      const meant = packet === name && (block === undefined || (block === 'last' ? last : block === PACKET.block));
      if (!meant || this.#left[index] === 0) continue;
      this.#left[index]!--;
      countLost(this.#counts, PACKET.opcode);
      return true;
    }
    return false;
  }
}
