/**
 * One UDP socket and the datagrams it receives: the client's end of one exchange. Every wait is bounded, and an abort
 * ends them all. Knows packets, and neither statements nor files.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Address } from '../engine/types.ts';
import { ack, error, type Reply, readReply } from './packets.ts';

/** Times to wait, ms. */
export interface Waits {
  /** Wait for the reply to a request, before it is sent again. */
  readonly replyMs: number;
  /** Total sends of a request. */
  readonly replySends: number;
  /** Wait for a reply that must not come and would come at once. */
  readonly quietMs: number;
  /** Wait for a server to resend what it must consider lost. */
  readonly resendMs: number;
  /** A transfer without a packet for this long is over. Longer than servers' retransmission timeouts. */
  readonly closedMs: number;
  /** How long a check lets its client pause in mid-transfer. */
  readonly stallMs: number;
  /**
   * Time after which a server must have given up on a silent client; then `capQuietMs` without a packet show that it
   * has.
   */
  readonly capMs: number;
  readonly capQuietMs: number;
  /** Pause between repeated ACKs. */
  readonly stepMs: number;
  /** Limit for one check. */
  readonly checkMs: number;
}

/** Times that suit servers whose retransmission timeouts are 1 to 5 seconds. */
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

/** Room for a window of large blocks, bytes; the system may grant less. */
const RECEIVE_BYTES = 4 * 1024 * 1024;
/** Cap on the datagrams kept; a server that sends more is judged by the first ones. */
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

/** The ERROR for a server that still sends when an exchange is over. */
const FAREWELL = error(0, 'Check is over');

export class Exchange {
  readonly #options: ExchangeOptions;
  readonly #socket: Socket;
  #arrived: Reply[] = [];
  /** Read position in #arrived: shifting a long array costs its length. */
  #read = 0;
  #stirred: (() => void) | undefined;
  /** Ports that sent packets of a transfer that we have not ended. */
  readonly #open = new Map<number, Address>();
  #tid: Address | undefined;
  /** The error with which the system last refused to send or receive; undefined if it never did. */
  sendFailure: NodeJS.ErrnoException | undefined;

  private constructor(options: ExchangeOptions, socket: Socket) {
    this.#options = options;
    this.#socket = socket;
    socket.on('message', (bytes, { address, port }) => this.#onMessage(bytes, { address, port }));
    // A reset reported here is a lost datagram: the waits show the consequence.
    socket.on('error', (failure: NodeJS.ErrnoException) => {
      this.sendFailure = failure;
    });
    options.signal.addEventListener('abort', this.#onAbort);
  }

  /** Opens an exchange. @throws Error with the system's code when no socket is available. */
  static async open(options: ExchangeOptions): Promise<Exchange> {
    options.signal.throwIfAborted();
    const socket = createSocket(isIPv6(options.server.address) ? 'udp6' : 'udp4');
    socket.bind(0);
    await once(socket, 'listening');
    try {
      socket.setRecvBufferSize(RECEIVE_BYTES);
    } catch {
      // The system's default suffices for windows of the sizes asked for here.
    }
    return new Exchange(options, socket);
  }

  /** The port that replies: the transfer's TID. @throws Error before a reply has arrived. */
  get tid(): Address {
    if (this.#tid === undefined) throw new Error('Expected a transfer to be under way');
    return this.#tid;
  }

  readonly #onAbort = (): void => this.#stirred?.();

  #onMessage(bytes: Buffer, from: Address): void {
    // This is our own farewell, to a port that a server has closed and the system has since given to this socket.
    if (FAREWELL.equals(bytes)) return;
    this.#options.pulse.heardAt = performance.now();
    if (this.#arrived.length - this.#read >= MAX_ARRIVED) return;
    const reply = readReply(bytes, from);
    if (reply.kind === 'DATA' || reply.kind === 'OACK' || reply.kind === 'ACK') this.#open.set(from.port, from);
    if (reply.kind === 'ERROR') this.#open.delete(from.port);
    this.#arrived.push(reply);
    this.#stirred?.();
  }

  /**
   * Sends to the transfer's port, or before there is one to the server's. Resolves when the system has accepted the
   * datagram.
   */
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

  /** Returns the oldest unread datagram, or the next to arrive within the time; undefined when none arrives. */
  async next(withinMs: number): Promise<Reply | undefined> {
    const { signal } = this.#options;
    signal.throwIfAborted();
    if (this.#read === this.#arrived.length && withinMs > 0) {
      await new Promise<void>((resolve) => {
        // A stalled event loop runs timers before it reads sockets: datagrams that arrived by then count.
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

  /** Returns the first wanted datagram within the time; those before it are dropped. */
  async until(wanted: (reply: Reply) => boolean, withinMs: number): Promise<Reply | undefined> {
    const end = performance.now() + withinMs;
    for (;;) {
      const reply = await this.next(Math.max(0, end - performance.now()));
      if (reply === undefined || wanted(reply)) return reply;
    }
  }

  /** Returns everything that arrives within the time. */
  async during(ms: number): Promise<Reply[]> {
    const replies: Reply[] = [];
    await this.until((reply) => {
      replies.push(reply);
      return false;
    }, ms);
    return replies;
  }

  /** Discards the datagrams that have arrived but have not been read. */
  forget(): void {
    this.#arrived = [];
    this.#read = 0;
  }

  /** Waits; datagrams that arrive meanwhile are kept. */
  async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#options.signal });
  }

  /**
   * Sends a request until a reply arrives. The first port to reply becomes the transfer's.
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

  /** Sends packets to that port from now on: the server's reply to a request sent by hand. */
  follow(from: Address): void {
    this.#tid = from;
  }

  /** Sends a farewell to every transfer begun here, and closes the socket. */
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

  /** Notes that the transfer at this port is over: it gets no farewell. */
  ended(): void {
    if (this.#tid !== undefined) this.#open.delete(this.#tid.port);
  }
}
