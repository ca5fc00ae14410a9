/** Passive ends of a conversation, for tests of engines. */
import type { Address, Engine, Link, LinkOptions, LinkReceiver, ListeningPort } from '../../src/engine/types.ts';

export interface Datagram {
  readonly bytes: Uint8Array;
  /** Sender of the datagram; undefined at a link, where it is always the peer. */
  readonly from: Address | undefined;
}

/** Keeps datagrams that arrive, and lets a test wait for them. */
export class Inbox {
  readonly datagrams: Datagram[] = [];
  readonly #waiting: { count: number; resolve: () => void }[] = [];

  put(bytes: Uint8Array, length: number, from?: Address): void {
    // A plain Uint8Array, whatever type the engine provides, because tests compare the bytes.
    this.datagrams.push({ bytes: new Uint8Array(bytes.subarray(0, length)), from });
    for (const { count, resolve } of this.#waiting) if (this.datagrams.length >= count) resolve();
  }

  /** Resolves once `count` datagrams have arrived, counted from the beginning. */
  has(count: number): Promise<void> {
    if (this.datagrams.length >= count) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ count, resolve });
    });
  }

  /** Datagrams that have arrived, as arrays of numbers. */
  get contents(): number[][] {
    return this.datagrams.map(({ bytes }) => [...bytes]);
  }
}

/** A port that keeps the datagrams it receives, and sends what a test tells it to. */
export class RawPeer {
  readonly inbox = new Inbox();
  #port: ListeningPort | undefined;

  static async open(engine: Engine, address: string, port = 0): Promise<RawPeer> {
    const peer = new RawPeer();
    peer.#port = await engine.listen({ address, port }, (bytes, length, from) => peer.inbox.put(bytes, length, from));
    return peer;
  }

  get port(): ListeningPort {
    return this.#port!;
  }

  get local(): Address {
    return this.port.local;
  }

  send(to: Address, ...bytes: readonly number[]): void {
    this.port.reply(Uint8Array.from(bytes), bytes.length, to);
  }
}

/** A link that keeps the datagrams it receives. */
export class RawLink implements LinkReceiver {
  readonly inbox = new Inbox();
  unreachable = 0;
  /** Called for each datagram, after it has been kept. */
  onHeard: () => void = () => {};
  #link: Link | undefined;
  readonly #refusals: (() => void)[] = [];

  static async open(engine: Engine, options: LinkOptions): Promise<RawLink> {
    const raw = new RawLink();
    raw.#link = await engine.link(options, raw);
    return raw;
  }

  get link(): Link {
    return this.#link!;
  }

  get local(): Address {
    return this.link.local;
  }

  send(...bytes: readonly number[]): void {
    this.link.control(Uint8Array.from(bytes), bytes.length);
  }

  onDatagram(bytes: Uint8Array, length: number): void {
    this.inbox.put(bytes, length);
    this.onHeard();
  }

  onUnreadable(): void {}

  onUnreachable(): void {
    this.unreachable++;
    for (const resolve of this.#refusals.splice(0)) resolve();
  }

  /** Resolves when the peer is next reported unreachable. */
  refused(): Promise<void> {
    return new Promise((resolve) => {
      this.#refusals.push(resolve);
    });
  }
}
