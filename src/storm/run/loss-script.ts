/**
 * The packets of one link that are lost for certain, as a plan says. Looks at opcodes, block numbers and the block
 * size that was agreed; chance is not its business.
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

/** Read and forgotten within a call. */
const PACKET = createPacket();

/** Told of every packet of a link before anybody else, it says which of them never were. */
export class LossScript {
  readonly #losses: readonly ExactLoss[];
  readonly #counts: FaultCounts;
  #left: number[];
  /** Whether the request that is under way has been answered: a request after that is a new transfer's. */
  #answered = false;
  #blksize = BLKSIZE_DEFAULT;
  /** The number of the last block, once it has come. */
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

  /** What PACKET, an OACK, says about block sizes; whether it may say so is for others to judge. */
  #learn(): void {
    const granted = decodeOptions(PACKET.bytes, PACKET.start, PACKET.end).find(({ name }) => name === 'blksize');
    this.#blksize = granted === undefined ? BLKSIZE_DEFAULT : Number(granted.value) || BLKSIZE_DEFAULT;
  }

  /** Whether PACKET is to be lost. @param last whether it carries the last block's number. */
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
