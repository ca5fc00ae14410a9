/**
 * A network that exists only in memory, on virtual time: hosts, ports, and between them loss, duplication, reordering,
 * delay and corruption, all from one seed. The same seed and the same programs give the same packets.
 */
import { OPCODE } from '../protocol/opcode.ts';
import { SharedLinks } from './shared-links.ts';
import { DATA_HEADER, encodeDataHeader } from '../protocol/encode.ts';
import { Jitter } from '../session/jitter.ts';
import { attachShared, type BytesView, type SharedHandle, type SharedView } from '../bytes/shared-bytes.ts';
import { isAnswerable, STRANGER_ANSWERS, UNKNOWN_TID } from './stranger.ts';
import {
  type Address,
  type Engine,
  type EngineHealth,
  HEALTHY,
  type Link,
  type LinkOptions,
  type LinkReceiver,
  type ListeningPort,
  type RequestReceiver,
} from './types.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface Faults {
  /** Probabilities per datagram, 0..1. */
  readonly loss: number;
  readonly duplicate: number;
  /** Probability of reordering: a reordered datagram is held back by up to `reorderMs`. */
  readonly reorder: number;
  readonly reorderMs: number;
  /** A corrupted datagram has one bit flipped. UDP's checksum detects that, so it is lost, unless `checksum` is off. */
  readonly corrupt: number;
  readonly checksum: boolean;
  /** Every datagram takes delayMs, and up to jitterMs more, in whole milliseconds. */
  readonly delayMs: number;
  readonly jitterMs: number;
  /** True if a datagram to a closed port is reported to its sender. */
  readonly unreachable: boolean;
}

export const FAULTLESS: Faults = {
  loss: 0,
  duplicate: 0,
  reorder: 0,
  reorderMs: 0,
  corrupt: 0,
  checksum: true,
  delayMs: 0,
  jitterMs: 0,
  unreachable: true,
};

/** The fates of a datagram. */
export type Fate = 'sent' | 'lost' | 'corrupted' | 'delivered' | 'nobody';

/** Sees every datagram when it is sent and when it arrives. */
export type Tap = (fate: Fate, bytes: Uint8Array, from: Address, to: Address) => void;

interface Endpoint {
  receive(bytes: Uint8Array, from: Address): void;
  unreachable(from: Address): void;
}

const keyOf = ({ address, port }: Address): string => `${address}|${port}`;

export class MemoryNetwork {
  readonly clock: VirtualClock;
  /** May be changed at any time: datagrams under way keep their fate. */
  faults: Faults;
  tap: Tap | undefined;
  readonly #random: Jitter;
  readonly #endpoints = new Map<string, Endpoint>();

  constructor(clock: VirtualClock, seed: number, faults: Partial<Faults> = {}) {
    this.clock = clock;
    this.faults = { ...FAULTLESS, ...faults };
    this.#random = new Jitter(seed);
  }

  /**
   * Returns an engine for one host; its addresses are those it listens on and sends from. @param options.singlePort true
   * if links to a fixed peer use the port that was asked. Default false.
   */
  engine({ singlePort = false }: { readonly singlePort?: boolean } = {}): Engine {
    return new MemoryEngine(this, singlePort);
  }

  bind(address: Address, endpoint: Endpoint): void {
    const key = keyOf(address);
    if (this.#endpoints.has(key)) throw Object.assign(new Error(`${key} is taken`), { code: 'EADDRINUSE' });
    this.#endpoints.set(key, endpoint);
  }

  unbind(address: Address): void {
    this.#endpoints.delete(keyOf(address));
  }

  /** Returns a random unused port of the ephemeral range. */
  freePort(address: string): number {
    for (;;) {
      const port = 32768 + this.#random.next(28232);
      if (!this.#endpoints.has(keyOf({ address, port }))) return port;
    }
  }

  /** Takes ownership of the bytes. */
  send(bytes: Uint8Array, from: Address, to: Address): void {
    this.tap?.('sent', bytes, from, to);
    // The copy goes first: corruption of one must not affect the other.
    if (this.#chance(this.faults.duplicate)) this.#carry(bytes.slice(), from, to);
    this.#carry(bytes, from, to);
  }

  #chance(probability: number): boolean {
    return probability > 0 && this.#random.next(1_000_000) < probability * 1_000_000;
  }

  #carry(bytes: Uint8Array, from: Address, to: Address): void {
    const { loss, corrupt, checksum, reorder, reorderMs, delayMs, jitterMs } = this.faults;
    if (this.#chance(loss)) {
      this.tap?.('lost', bytes, from, to);
      return;
    }
    if (this.#chance(corrupt) && bytes.length > 0) {
      this.tap?.('corrupted', bytes, from, to);
      if (checksum) return;
      bytes[this.#random.next(bytes.length)]! ^= 1 << this.#random.next(8);
    }
    const late = this.#chance(reorder) ? 1 + this.#random.next(Math.max(1, reorderMs)) : 0;
    const delay = delayMs + (jitterMs > 0 ? this.#random.next(jitterMs + 1) : 0) + late;
    this.clock.wake(this.clock.now() + delay, () => this.#deliver(bytes, from, to));
  }

  #deliver(bytes: Uint8Array, from: Address, to: Address): void {
    const endpoint = this.#endpoints.get(keyOf(to));
    if (endpoint !== undefined) {
      this.tap?.('delivered', bytes, from, to);
      endpoint.receive(bytes, from);
      return;
    }
    this.tap?.('nobody', bytes, from, to);
    if (!this.faults.unreachable || this.#chance(this.faults.loss)) return;
    this.clock.wake(this.clock.now() + this.faults.delayMs, () => this.#endpoints.get(keyOf(from))?.unreachable(to));
  }
}

class MemoryEngine implements Engine {
  readonly name = 'memory';
  readonly wildcards = false;
  readonly mapFile = undefined;
  readonly allocateFile = undefined;
  readonly advice = undefined;
  readonly #network: MemoryNetwork;
  readonly #open = new Set<MemoryLink | MemoryListening>();

  readonly #singlePort: boolean;

  constructor(network: MemoryNetwork, singlePort: boolean) {
    this.#network = network;
    this.#singlePort = singlePort;
  }

  get clock(): VirtualClock {
    return this.#network.clock;
  }

  async listen(local: Address, receive: RequestReceiver): Promise<ListeningPort> {
    const port = local.port === 0 ? this.#network.freePort(local.address) : local.port;
    const listening = new MemoryListening(this.#network, { address: local.address, port }, receive, this.#open);
    this.#open.add(listening);
    return listening;
  }

  async link(options: LinkOptions, receiver: LinkReceiver): Promise<Link> {
    if (this.#singlePort && options.peerPort === 'fixed') return this.#openShared(options, receiver);
    const link = new MemoryLink(this.#network, options, receiver, this.#open);
    this.#open.add(link);
    return link;
  }

  #openShared({ local, localPort, peer }: LinkOptions, receiver: LinkReceiver): Link {
    for (const port of this.#open) {
      const isAsked = port.local.address === local && port.local.port === localPort;
      if (isAsked && port instanceof MemoryListening) return port.open(peer, receiver);
    }
    throw Object.assign(new Error(`Expected a port to listen at ${local}, got none`), { code: 'EADDRNOTAVAIL' });
  }

  health(): EngineHealth {
    return HEALTHY;
  }

  attach(handle: SharedHandle): BytesView {
    return attachShared(handle);
  }

  async close(): Promise<void> {
    for (const endpoint of this.#open) void endpoint.close();
  }
}

class MemoryListening implements ListeningPort, Endpoint {
  readonly local: Address;
  readonly #network: MemoryNetwork;
  readonly #receive: RequestReceiver;
  readonly #open: Set<unknown>;
  readonly #links = new SharedLinks();

  constructor(network: MemoryNetwork, local: Address, receive: RequestReceiver, open: Set<unknown>) {
    this.#network = network;
    this.local = local;
    this.#receive = receive;
    this.#open = open;
    network.bind(local, this);
  }

  receive(bytes: Uint8Array, from: Address): void {
    const isRequest = bytes[1] === OPCODE.RRQ || bytes[1] === OPCODE.WRQ;
    const receiver = isRequest ? undefined : this.#links.find(from);
    if (receiver === undefined) this.#receive(bytes, bytes.length, from, this, this.#network.clock.now());
    else receiver.onDatagram(bytes, bytes.length);
  }

  unreachable(from: Address): void {
    this.#links.find(from)?.onUnreachable();
  }

  /** Opens a link at this port. */
  open(peer: Address, receiver: LinkReceiver): Link {
    return this.#links.open(this.local, peer, receiver, {
      data: (...packet) => this.#network.send(dataPacket(...packet), this.local, peer),
      control: (bytes, length) => this.#network.send(bytes.slice(0, length), this.local, peer),
    });
  }

  reply(bytes: Uint8Array, length: number, peer: Address): void {
    if (this.#open.has(this)) this.#network.send(bytes.slice(0, length), this.local, peer);
  }

  async close(): Promise<void> {
    // A second call must not release the address from its new owner.
    if (!this.#open.delete(this)) return;
    this.#network.unbind(this.local);
  }
}

function dataPacket(wireBlock: number, view: SharedView, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(DATA_HEADER + length);
  encodeDataHeader(bytes, wireBlock);
  bytes.set((view as BytesView).bytes.subarray(offset, offset + length), DATA_HEADER);
  return bytes;
}

class MemoryLink implements Link, Endpoint {
  readonly local: Address;
  readonly #network: MemoryNetwork;
  readonly #receiver: LinkReceiver;
  readonly #open: Set<unknown>;
  #peer: Address;
  #learning: boolean;
  /** Remaining packets from strangers to be answered with ERROR 5. A link to a fixed peer answers none. */
  #strangerAnswers: number;
  #closed = false;

  constructor(network: MemoryNetwork, options: LinkOptions, receiver: LinkReceiver, open: Set<unknown>) {
    this.#network = network;
    this.#receiver = receiver;
    this.#open = open;
    this.local = { address: options.local, port: network.freePort(options.local) };
    this.#peer = options.peer;
    this.#learning = options.peerPort === 'learn';
    this.#strangerAnswers = this.#learning ? STRANGER_ANSWERS : 0;
    network.bind(this.local, this);
  }

  receive(bytes: Uint8Array, from: Address): void {
    if (from.address !== this.#peer.address) return;
    if (this.#learning) {
      this.#learning = false;
      this.#peer = from;
    } else if (from.port !== this.#peer.port) {
      this.#rejectStranger(bytes, from);
      return;
    }
    this.#receiver.onDatagram(bytes, bytes.length);
  }

  /** RFC 1350 §4: another transfer's packet gets ERROR 5 and disturbs nothing. An ERROR is never answered. */
  #rejectStranger(bytes: Uint8Array, from: Address): void {
    this.#receiver.onStranger?.(bytes, bytes.length);
    if (!isAnswerable(bytes, bytes.length) || this.#strangerAnswers-- <= 0) return;
    this.#network.send(UNKNOWN_TID.slice(), this.local, from);
  }

  unreachable(from: Address): void {
    if (keyOf(from) === keyOf(this.#peer)) this.#receiver.onUnreachable();
  }

  data(wireBlock: number, view: SharedView, offset: number, length: number): void {
    if (!this.#closed) this.#network.send(dataPacket(wireBlock, view, offset, length), this.local, this.#peer);
  }

  control(bytes: Uint8Array, length: number): void {
    if (!this.#closed) this.#network.send(bytes.slice(0, length), this.local, this.#peer);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#open.delete(this);
    this.#network.unbind(this.local);
  }
}
