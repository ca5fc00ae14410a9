/**
 * One UDP socket and what comes in at it: the asking end of one conversation. Every wait has an end, and an abort
 * ends them all. Knows packets, and neither statements nor files.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Address } from '../engine/types.ts';
import { ack, error, type Reply, readReply } from './packets.ts';

/** How long things are waited for, in milliseconds. */
export interface Waits {
  /** For the answer to a request, before it is sent again. */
  readonly replyMs: number;
  /** Sends of a request in all. */
  readonly replySends: number;
  /** For an answer that must not come and that would come at once. */
  readonly quietMs: number;
  /** For a server to send again what it must take for lost. */
  readonly resendMs: number;
  /** Without a packet for so long, a transfer is over. Longer than servers wait before they send again. */
  readonly closedMs: number;
  /** How long a client stands still that goes on afterwards. */
  readonly stallMs: number;
  /** By when a server must have given up on a client that never answers, as `capQuietMs` of silence show. */
  readonly capMs: number;
  readonly capQuietMs: number;
  /** Between repeated ACKs. */
  readonly stepMs: number;
  /** For one check in all. */
  readonly checkMs: number;
}

/** Made for servers that send again after 1 to 5 seconds. */
export const DEFAULT_WAITS: Waits = {
  replyMs: 3000,
  replySends: 3,
  quietMs: 1000,
  resendMs: 12_000,
  closedMs: 6500,
  stallMs: 10_000,
  capMs: 75_000,
  capQuietMs: 20_000,
  stepMs: 10,
  checkMs: 120_000,
};

/** Room for a window of large blocks; the system may give less. */
const RECEIVE_BYTES = 4 * 1024 * 1024;
/** Kept at most: a server that floods is judged by what it has sent so far. */
const MAX_ARRIVED = 100_000;

/** When the server was last heard, by performance.now(); shared by all exchanges of a run. */
export interface Pulse {
  heardAt: number;
}

export interface ExchangeOptions {
  readonly server: Address;
  readonly waits: Waits;
  readonly pulse: Pulse;
  /** Ends every wait: they reject with its reason. */
  readonly signal: AbortSignal;
}

/** The ERROR for a server that still sends when a conversation is over. */
const FAREWELL = error(0, 'Check is over');

export class Exchange {
  readonly #options: ExchangeOptions;
  readonly #socket: Socket;
  #arrived: Reply[] = [];
  /** Where #arrived is read: shifting a long array costs its length. */
  #read = 0;
  #stirred: (() => void) | undefined;
  /** Ports that sent something that belongs to a transfer which we have not ended. */
  readonly #open = new Map<number, Address>();
  #tid: Address | undefined;
  /** Why the system did not take a datagram, if ever. */
  sendFailure: NodeJS.ErrnoException | undefined;

  private constructor(options: ExchangeOptions, socket: Socket) {
    this.#options = options;
    this.#socket = socket;
    socket.on('message', (bytes, { address, port }) => this.#onMessage(bytes, { address, port }));
    // A reset that is reported here is a datagram lost: waits tell the rest.
    socket.on('error', (failure: NodeJS.ErrnoException) => {
      this.sendFailure = failure;
    });
    options.signal.addEventListener('abort', this.#onAbort);
  }

  /** @throws Error with the system's code when there is no socket to be had. */
  static async open(options: ExchangeOptions): Promise<Exchange> {
    options.signal.throwIfAborted();
    const socket = createSocket(isIPv6(options.server.address) ? 'udp6' : 'udp4');
    socket.bind(0);
    await once(socket, 'listening');
    try {
      socket.setRecvBufferSize(RECEIVE_BYTES);
    } catch {
      // What the system gives by itself does for windows of the sizes asked for here.
    }
    return new Exchange(options, socket);
  }

  /** The port that answers: the transfer's. @throws Error before an answer has come. */
  get tid(): Address {
    if (this.#tid === undefined) throw new Error('Expected a transfer to be under way');
    return this.#tid;
  }

  readonly #onAbort = (): void => this.#stirred?.();

  #onMessage(bytes: Buffer, from: Address): void {
    // Ours, to a port that a server has closed and the system has given to this socket since.
    if (FAREWELL.equals(bytes)) return;
    this.#options.pulse.heardAt = performance.now();
    if (this.#arrived.length - this.#read >= MAX_ARRIVED) return;
    const reply = readReply(bytes, from);
    if (reply.kind === 'DATA' || reply.kind === 'OACK' || reply.kind === 'ACK') this.#open.set(from.port, from);
    if (reply.kind === 'ERROR') this.#open.delete(from.port);
    this.#arrived.push(reply);
    this.#stirred?.();
  }

  /** Sends to the transfer's port, before there is one to the server's. Resolves when the system has taken it. */
  send(bytes: Uint8Array, to: Address = this.#tid ?? this.#options.server): Promise<void> {
    this.#options.signal.throwIfAborted();
    return new Promise((resolve) => {
      this.#socket.send(bytes, to.port, to.address, (failure) => {
        if (failure !== null) this.sendFailure = failure;
        resolve();
      });
    });
  }

  ack(block: number): Promise<void> {
    return this.send(ack(block & 0xffff));
  }

  #shift(): Reply | undefined {
    const reply = this.#arrived[this.#read];
    if (reply === undefined) return undefined;
    this.#read++;
    if (this.#read === this.#arrived.length) {
      this.#arrived = [];
      this.#read = 0;
    }
    return reply;
  }

  /** The oldest datagram not taken, or the next to come within the time; undefined when none does. */
  async next(withinMs: number): Promise<Reply | undefined> {
    const { signal } = this.#options;
    signal.throwIfAborted();
    if (this.#read === this.#arrived.length && withinMs > 0) {
      await new Promise<void>((resolve) => {
        // A loop that stood still runs timers before it reads sockets: what has come by then counts.
        const timer = setTimeout(() => setImmediate(resolve), withinMs);
        this.#stirred = (): void => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#stirred = undefined;
      signal.throwIfAborted();
    }
    return this.#shift();
  }

  /** The first datagram within the time that is wanted; those before it are dropped. */
  async until(wanted: (reply: Reply) => boolean, withinMs: number): Promise<Reply | undefined> {
    const end = performance.now() + withinMs;
    for (;;) {
      const reply = await this.next(Math.max(0, end - performance.now()));
      if (reply === undefined || wanted(reply)) return reply;
    }
  }

  /** Everything that comes within the time. */
  async during(ms: number): Promise<Reply[]> {
    const replies: Reply[] = [];
    await this.until((reply) => {
      replies.push(reply);
      return false;
    }, ms);
    return replies;
  }

  /** Forgets what has come. */
  forget(): void {
    this.#arrived = [];
    this.#read = 0;
  }

  /** Lets time pass; what comes meanwhile is kept. */
  async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#options.signal });
  }

  /**
   * Sends a request until it is answered. The port that answers first is the transfer's from now on.
   *
   * @returns undefined when no send was answered.
   */
  async ask(bytes: Uint8Array): Promise<Reply | undefined> {
    const { server, waits } = this.#options;
    for (let sends = 0; sends < waits.replySends; sends++) {
      await this.send(bytes, server);
      const reply = await this.next(waits.replyMs);
      if (reply === undefined) continue;
      this.#tid = reply.from;
      return reply;
    }
    return undefined;
  }

  /** From now on packets go to that port: the server's answer to a request sent by hand. */
  follow(from: Address): void {
    this.#tid = from;
  }

  /** Tells every transfer that was begun here that we are gone, and closes the socket. */
  async close(): Promise<void> {
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    const farewells = [...this.#open.values()].map(
      (to) =>
        new Promise<void>((resolve) => {
          this.#socket.send(FAREWELL, to.port, to.address, () => resolve());
        }),
    );
    await Promise.all(farewells);
    this.#socket.close();
    await once(this.#socket, 'close');
  }

  /** The transfer at this port is over: it gets no farewell. */
  ended(): void {
    if (this.#tid !== undefined) this.#open.delete(this.#tid.port);
  }
}
