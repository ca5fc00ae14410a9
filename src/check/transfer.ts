/**
 * One read as a check drives it: block by block, with every block compared to the file. Acknowledges only when told to.
 * Mistakes of the server are returned as a verdict.
 */
import type { CheckContext } from './check-context.ts';
import type { Exchange } from './exchange.ts';
import { type OfferedFile, PLAIN_BLKSIZE, toNetascii } from './files.ts';
import { describe, granted, type Options, payloadOf, type Reply, request } from './packets.ts';
import { fail, isVerdict, notTried, type Verdict } from './verdict.ts';

/** Silence after which the last ACK is repeated to draw a lost packet again, ms. */
const NUDGE_MS = 1500;

export interface TransferOptions {
  readonly file: OfferedFile;
  readonly options?: Options;
  readonly mode?: 'octet' | 'netascii';
  /** How many copies of each ACK are sent. Default 1. */
  readonly ackCopies?: number;
  /** True if the last ACK is repeated after silence. Default true; false where the server must resend without one. */
  readonly nudges?: boolean;
  /** Gets every block's payload, in order. */
  readonly keep?: (payload: Buffer) => void;
}

export class Transfer {
  readonly exchange: Exchange;
  /** The server's first reply: OACK or DATA 1. */
  readonly first: Reply;
  readonly blksize: number;
  readonly windowsize: number;
  readonly #context: CheckContext;
  readonly #expected: Buffer;
  /** Size in bytes as sent; undefined: unknown. */
  readonly size: number | undefined;
  readonly #ackCopies: number;
  readonly #nudges: boolean;
  readonly #keepPayload: ((payload: Buffer) => void) | undefined;
  /** Blocks taken in order so far, and the last one acknowledged. */
  taken = 0;
  acked = 0;
  /** DATA packets seen, including copies. */
  seen = 0;
  /** Payload bytes of the blocks taken. */
  bytes = 0;
  /** True if the last block has been taken. */
  over = false;

  private constructor(context: CheckContext, exchange: Exchange, first: Reply, options: TransferOptions) {
    this.#context = context;
    this.exchange = exchange;
    this.first = first;
    this.blksize = Number(granted(first, 'blksize') ?? PLAIN_BLKSIZE);
    this.windowsize = Number(granted(first, 'windowsize') ?? 1);
    const { file, mode, ackCopies = 1, nudges = true } = options;
    this.#expected = mode === 'netascii' ? toNetascii(file.bytes) : file.bytes;
    const whole = file.size === file.bytes.length;
    this.size = mode === 'netascii' ? (whole ? this.#expected.length : undefined) : file.size;
    this.#ackCopies = ackCopies;
    this.#nudges = nudges;
    this.#keepPayload = options.keep;
  }

  /**
   * Asks for a file. Nothing is acknowledged yet.
   *
   * @returns a verdict when neither an OACK nor DATA 1 arrives.
   */
  static async open(context: CheckContext, options: TransferOptions): Promise<Transfer | Verdict> {
    const exchange = await context.exchange();
    const first = await exchange.ask(request(options.file.name, options.options, options.mode));
    if (first === undefined || (first.kind !== 'OACK' && !(first.kind === 'DATA' && first.number === 1))) {
      return fail(`expected OACK or DATA 1 in answer to the request, got ${describe(first)}`);
    }
    const transfer = new Transfer(context, exchange, first, options);
    const { blksize, windowsize } = transfer;
    if (!Number.isInteger(blksize) || blksize < 1 || !Number.isInteger(windowsize) || windowsize < 1) {
      return fail(`expected numbers in the OACK, got ${describe(first)}`);
    }
    return transfer;
  }

  /** Asks for a file, and takes the first block without acknowledging it. */
  static async begin(context: CheckContext, options: TransferOptions): Promise<Transfer | Verdict> {
    const transfer = await Transfer.open(context, options);
    if (isVerdict(transfer)) return transfer;
    return (await transfer.takeFirst()) ?? transfer;
  }

  /** Takes DATA 1, after ACK 0 where there was an OACK. @returns a verdict when it does not arrive. */
  async takeFirst(): Promise<Verdict | undefined> {
    if (this.first.kind === 'DATA') return this.#keep(this.first);
    await this.#sendAck(0);
    return await this.take(1);
  }

  /** Number of the file's blocks, including the last; undefined: unknown. */
  get blocks(): number | undefined {
    return this.size === undefined ? undefined : Math.floor(this.size / this.blksize) + 1;
  }

  /** Tells whether a reply is DATA of a block counted from 1. */
  isBlock(reply: Reply, block: number): boolean {
    return reply.kind === 'DATA' && reply.number === (block & 0xffff);
  }

  async #sendAck(block: number): Promise<void> {
    for (let copy = 0; copy < this.#ackCopies; copy++) await this.exchange.ack(block);
  }

  /** Acknowledges the blocks taken so far. */
  async acknowledge(): Promise<void> {
    this.acked = this.taken;
    await this.#sendAck(this.taken);
    if (this.over) this.exchange.ended();
  }

  /** Returns the bytes a block must hold, as far as the file is known. */
  payload(block: number): Buffer {
    return this.#expected.subarray((block - 1) * this.blksize, block * this.blksize);
  }

  /** Checks the bytes of a block. @returns a verdict if they are wrong. */
  judge(block: number, reply: Reply): Verdict | undefined {
    const payload = payloadOf(reply);
    const offset = (block - 1) * this.blksize;
    const length = this.size === undefined ? undefined : Math.max(0, Math.min(this.blksize, this.size - offset));
    if (length === undefined ? payload.length > this.blksize : payload.length !== length) {
      return fail(
        `expected ${length ?? `at most ${this.blksize}`} bytes in block ${block}, got ${payload.length} bytes`,
      );
    }
    const known = this.payload(block);
    const compared = Math.min(known.length, payload.length);
    if (payload.compare(known, 0, compared, 0, compared) !== 0) {
      return fail(`block ${block} holds other bytes than the file`);
    }
    return undefined;
  }

  #keep(reply: Reply): Verdict | undefined {
    this.seen++;
    const wrong = this.judge(this.taken + 1, reply);
    if (wrong !== undefined) return wrong;
    this.taken++;
    const payload = payloadOf(reply);
    this.#keepPayload?.(payload);
    this.bytes += payload.length;
    this.over = payload.length < this.blksize;
    return undefined;
  }

  /** True if the window is full: an ACK is due before the next block. */
  get #owed(): boolean {
    return this.taken - this.acked >= this.windowsize;
  }

  /**
   * Takes up to `blocks` more blocks, or up to the end of the file. Acknowledges windows on the way, but never the last
   * block it takes: that is left to the caller.
   */
  async take(blocks: number): Promise<Verdict | undefined> {
    for (let count = 0; count < blocks && !this.over; count++) {
      if (this.taken > 0 && this.#owed) await this.acknowledge();
      const wrong = await this.#takeNext();
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }

  async #takeNext(): Promise<Verdict | undefined> {
    const wanted = this.taken + 1;
    const { resendMs } = this.#context.waits;
    const end = performance.now() + resendMs;
    for (;;) {
      const left = end - performance.now();
      const reply = left <= 0 ? undefined : await this.exchange.next(Math.min(left, NUDGE_MS));
      if (reply === undefined) {
        if (left <= NUDGE_MS) return fail(`expected DATA ${wanted & 0xffff} within ${resendMs / 1000} s, got silence`);
        // The network may have lost a block of this window or our ACK: repeating the ACK mends both.
        if (this.#nudges && (this.taken > 0 || this.first.kind === 'OACK')) await this.exchange.ack(this.taken);
        continue;
      }
      if (reply.from.port !== this.exchange.tid.port) continue;
      if (this.isBlock(reply, wanted)) return this.#keep(reply);
      if (reply.kind === 'DATA') this.seen++;
      else if (reply.kind !== 'OACK') return fail(`expected DATA ${wanted & 0xffff}, got ${describe(reply)}`);
    }
  }

  /** Takes the whole file and acknowledges its last block. */
  async finish(): Promise<Verdict | undefined> {
    const wrong = await this.take(Number.POSITIVE_INFINITY);
    if (wrong !== undefined) return wrong;
    await this.acknowledge();
    return undefined;
  }

  /** Returns a verdict if the file is known to have fewer than `blocks` blocks. */
  needs(blocks: number): Verdict | undefined {
    if (this.blocks === undefined || this.blocks >= blocks) return undefined;
    return notTried(`needs a file of ${(blocks - 1) * this.blksize} bytes`);
  }
}
