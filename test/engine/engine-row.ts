/**
 * An engine as a row of the conformance suite, and the bench it is tested on. Time is abstracted: a virtual clock is
 * advanced, real events are awaited. To show that a datagram does not arrive, a test waits for a later one on the same
 * path.
 */
import { afterEach, beforeEach } from 'vitest';
import type { Address, Engine, LinkOptions } from '../../src/engine/types.ts';
import { RawLink, RawPeer } from '../support/datagrams.ts';

/** A network on which engines of one kind can be created. */
export interface EngineWorld {
  engine(): Engine;
  /** Lets the world run until the promise settles. */
  until<T>(promise: Promise<T>): Promise<T>;
}

export interface EngineRow {
  readonly name: string;
  readonly address: string;
  /** Another address of the same host, if there is one. */
  readonly second: string | undefined;
  create(): EngineWorld;
}

/** The engine under test, and the peers and strangers around it. Each test gets a new bench. */
export class Bench {
  readonly engine: Engine;
  /** Engine of the peers and strangers. */
  readonly others: Engine;
  readonly #world: EngineWorld;
  readonly #address: string;

  constructor(row: EngineRow) {
    this.#world = row.create();
    this.#address = row.address;
    this.engine = this.#world.engine();
    this.others = this.#world.engine();
  }

  until<T>(promise: Promise<T>): Promise<T> {
    return this.#world.until(promise);
  }

  peer(address = this.#address): Promise<RawPeer> {
    return this.until(RawPeer.open(this.others, address));
  }

  listen(address = this.#address, port = 0): Promise<RawPeer> {
    return this.until(RawPeer.open(this.engine, address, port));
  }

  link(peer: RawPeer, peerPort: LinkOptions['peerPort']): Promise<RawLink> {
    return this.until(RawLink.open(this.engine, { local: this.#address, peer: peer.local, peerPort }));
  }

  /** Waits until nothing listens at `peer`: a probe is refused. */
  async deaf(peer: Address): Promise<void> {
    const options = { local: this.#address, peer, peerPort: 'fixed' } as const;
    const probe = await this.until(RawLink.open(this.others, options));
    const refused = probe.refused();
    const send = (): void => probe.send(0, 4, 0, 0);
    send();
    // The kernel limits ICMP errors of all processes together (icmp_msgs_per_sec), so the first may go unanswered.
    const again = setInterval(send, 100);
    try {
      await this.until(refused);
    } finally {
      clearInterval(again);
    }
    probe.link.close();
  }

  async close(): Promise<void> {
    await this.until(Promise.all([this.engine.close(), this.others.close()]));
  }
}

/** Creates a bench for each test of the current suite. */
export function useBench(row: EngineRow): () => Bench {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench(row);
  });
  afterEach(() => bench.close());
  return () => bench;
}
