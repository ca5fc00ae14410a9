/**
 * Sends the bytes of one answer: slice after slice of shared content, the next one when the kernel has taken the last.
 * Runs in a thread; knows a response and a place in memory, no names.
 */
import type { ServerResponse } from 'node:http';
import type { StreamSystem } from '../engine/stream-system.ts';
import type { Body } from './messages.ts';

/** Bytes of one write. Larger ones cost no less processor time. */
const SLICE_BYTES = 256 * 1024;
/** Bytes of one write over TLS, which encrypts a whole write into memory. */
const COPIED_BYTES = 64 * 1024;
/**
 * Bytes of a write between two runs of sendfile(2): Node.js reports when a write is done, and so when the socket takes
 * more.
 */
const BETWEEN_BYTES = 4 * 1024;
/** Most bytes that sendfile(2) sends before other connections have their turn. */
const RUN_BYTES = 1024 * 1024;
/** A shorter rest is not worth another system call. */
const LEAST_RUN_BYTES = 16 * 1024;

export interface SendingOptions {
  readonly response: ServerResponse;
  readonly body: Body;
  /** Reads bytes at addresses; undefined with the portable engine. */
  readonly system: StreamSystem | undefined;
  /**
   * True copies each slice before it is written: TLS reads it in user space, where a load from a file that was cut short
   * ends the process.
   */
  readonly isCopied: boolean;
  /** Called when more than `arrived` bytes are needed. @param passed bytes of the content that are needed no more. */
  readonly onNeeds: (passed: number, arrived: number) => void;
  /** Called when the content can no longer be read. */
  readonly onUnreadable: () => void;
}

export class Sending {
  readonly #options: SendingOptions;
  /** Next byte to write. */
  #at: number;
  #arrived: number;
  /** Bytes that the kernel, or TLS, has taken. */
  sent = 0;
  #needed = -1;
  /** True while a write before a run waits for its callback: what is written meanwhile would arrive behind the run. */
  #isBetween = false;

  constructor(options: SendingOptions) {
    this.#options = options;
    const { body, response } = options;
    this.#at = body.from;
    this.#arrived = body.arrived;
    response.on('drain', () => this.go());
  }

  /** True when everything has been handed over. */
  get isWhole(): boolean {
    const { from, to } = this.#options.body;
    return this.sent === to - from;
  }

  /**
   * Bytes that the kernel, or TLS, has taken, also those of a slice that it has not taken whole. May exceed `sent` by no
   * more than what has been written. For reports about slow clients: takes no part in sending.
   */
  get taken(): number {
    const written = this.#at - this.#options.body.from;
    const left = handleOf(this.#options.response)?.writeQueueSize;
    return left === undefined ? this.sent : Math.max(this.sent, written - left);
  }

  /** @param bytes of the content that are there now. */
  arrive(bytes: number): void {
    this.#arrived = Math.max(this.#arrived, bytes);
    this.go();
  }

  /** Writes until the kernel takes no more, or more bytes must arrive. */
  go(): void {
    const { response, body } = this.#options;
    if (response.destroyed || this.#isBetween) return;
    while (this.#at < body.to) {
      if (!this.#isThere()) return;
      if (this.#mayRun()) return this.#beginRun();
      const slice = this.#slice();
      if (slice === undefined) return this.#options.onUnreadable();
      this.#at += slice.length;
      if (!this.#write(slice)) return;
    }
    response.end();
  }

  /** True where sendfile(2) can send the next bytes: it saves the copy to the kernel. */
  #mayRun(): boolean {
    const { place, ringBytes } = this.#options.body;
    return (
      !this.#options.isCopied &&
      ringBytes === 0 &&
      'fd' in place &&
      place.fd !== undefined &&
      this.#ready >= LEAST_RUN_BYTES
    );
  }

  /** Bytes that can be sent now. */
  get #ready(): number {
    return Math.min(this.#arrived, this.#options.body.to) - this.#at;
  }

  /** Writes a little, which waits until the socket takes more and what was written before is sent. */
  #beginRun(): void {
    const { response } = this.#options;
    const slice = this.#slice(BETWEEN_BYTES)!;
    this.#at += slice.length;
    this.#isBetween = true;
    response.write(slice, (error) => {
      if (error !== null && error !== undefined) return;
      this.#isBetween = false;
      this.sent += slice.length;
      if (!response.destroyed) this.#run();
    });
  }

  #run(): void {
    const { body, response, system, onUnreadable } = this.#options;
    const socket = descriptorOf(response);
    const { fd } = body.place as { readonly fd: number };
    let left = socket === undefined ? 0 : RUN_BYTES;
    while (left > 0 && this.#ready >= LEAST_RUN_BYTES) {
      const count = system!.sendFile(socket!, fd, this.#at, Math.min(left, this.#ready));
      if (count === 0) return onUnreadable();
      // The socket is full or has failed; the next write finds out which.
      if (count < 0) break;
      this.#at += count;
      this.sent += count;
      left -= count;
    }
    if (left > 0) this.go();
    else setImmediate(() => this.go());
  }

  /** Returns whether the next byte has arrived; otherwise asks for more. */
  #isThere(): boolean {
    const { body, onNeeds } = this.#options;
    if (this.#at < this.#arrived) return true;
    if (this.#needed !== this.#arrived) {
      this.#needed = this.#arrived;
      // Before the range begins, only bytes that have arrived can be passed over.
      onNeeds(this.sent === 0 ? Math.min(body.from, this.#arrived) : body.from + this.sent, this.#arrived);
    }
    return false;
  }

  #slice(limit = SLICE_BYTES): Uint8Array | undefined {
    const { body, system, isCopied } = this.#options;
    const { place, ringBytes } = body;
    const offset = ringBytes === 0 ? this.#at : this.#at % ringBytes;
    const most = Math.min(isCopied ? COPIED_BYTES : limit, this.#ready);
    const length = ringBytes === 0 ? most : Math.min(most, ringBytes - offset);
    if ('memory' in place) return new Uint8Array(place.memory.buffer, offset, length);
    const address = place.address + BigInt(offset);
    return isCopied ? system!.copy(address, length) : system!.view(address, length);
  }

  /** @returns false when the next slice must wait for `drain`. */
  #write(slice: Uint8Array): boolean {
    const { response, body } = this.#options;
    return response.write(slice, (error) => {
      if (error !== null && error !== undefined) return;
      this.sent += slice.length;
      if (body.ringBytes === 0 || this.#at < this.#arrived) return;
      // The place of these bytes in the ring is free: more can be read.
      this.#needed = -1;
      this.go();
    });
  }
}

/** The part of Node.js's handle of a socket that is used here; it is not documented. */
interface Handle {
  readonly fd?: number;
  /** Bytes of the last write that the kernel has not taken; `bytesWritten` counts a write at its beginning. */
  readonly writeQueueSize?: number;
}

function handleOf({ socket }: ServerResponse): Handle | undefined {
  // oxlint-disable-next-line no-underscore-dangle -- Node.js calls it so.
  return (socket as { readonly _handle?: Handle } | null)?._handle;
}

/** Descriptor of the response's socket. */
function descriptorOf(response: ServerResponse): number | undefined {
  const fd = handleOf(response)?.fd;
  return fd !== undefined && fd >= 0 ? fd : undefined;
}
