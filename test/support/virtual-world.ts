/**
 * A server side, its clients and the network between them on virtual time: senders against receivers through two
 * drivers, as drawn from a seed. The server side is minimal: it only tells a repeated request from a new one.
 */
import { createHash } from 'node:crypto';
import { Driver } from '../../src/engine/driver.ts';
import { FAULTLESS, MemoryNetwork, type Tap } from '../../src/engine/memory.ts';
import type { TransferReport } from '../../src/engine/report.ts';
import { attachShared, shareBytes } from '../../src/bytes/shared-bytes.ts';
import type { Address } from '../../src/engine/types.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import { encodeOack, encodeReadRequest, MAX_CONTROL, wishedOptions } from '../../src/protocol/encode.ts';
import { type Negotiation, negotiate } from '../../src/protocol/negotiate.ts';
import { decodeRequest, type Request } from '../../src/protocol/request.ts';
import { Receiver } from '../../src/session/receiver.ts';
import { Sender } from '../../src/session/sender.ts';
import { Random } from './random.ts';
import { type Conversation, WireWitness } from './wire-witness.ts';
import { type ClientDraw, type Draw, POOL_BYTES } from './world-draw.ts';

const SERVER = 'server';
const PATIENCE_MS = 60_000;
/** A world with more events than this never comes to rest. */
const MAX_EVENTS = 3_000_000;

const POOL = new Random(1).bytes(POOL_BYTES);

/** One sender that the server side has started. */
export interface Sending {
  readonly sender: Sender;
  readonly client: string;
  readonly negotiation: Negotiation;
  /** Repeated requests that the sender has not been told about yet. */
  repeats: number;
  /**
   * True if the sender was proven when the blackout began and still had blocks to send when it ended: then no silence
   * meanwhile may end the transfer. A sender that has sent its last block does give up, after ten seconds.
   */
  survives: boolean;
  report: TransferReport | undefined;
  endedAt: number;
}

/** One client's download. */
export interface Download {
  readonly name: string;
  readonly draw: ClientDraw;
  readonly receiver: Receiver;
  readonly bytes: Uint8Array;
  /** Address and port of the client. */
  client: string;
  /** Violation of the rule of Steps.keep that every byte is kept once, in order; undefined if there is none. */
  misplaced: string | undefined;
  report: TransferReport | undefined;
  endedAt: number;
}

export interface Played {
  readonly sendings: readonly Sending[];
  readonly downloads: readonly Download[];
  /** Conversations between senders and their clients, in the order they began. */
  readonly conversations: readonly Conversation[];
  readonly violations: readonly string[];
  readonly events: number;
  /** Time at which the network became faultless again after a blackout. */
  readonly healedAt: number | undefined;
  /** Digest of every datagram: its fate, addresses and bytes. Computed only on request. */
  readonly trace: string | undefined;
}

export function contentOf(draw: ClientDraw): Uint8Array {
  return POOL.subarray(draw.contentAt, draw.contentAt + draw.size);
}

class VirtualWorld {
  readonly #draw: Draw;
  readonly #random: Random;
  readonly #clock = new VirtualClock();
  readonly #network: MemoryNetwork;
  readonly #server: Driver;
  readonly #clients: Driver;
  readonly #witness: WireWitness;
  readonly #sendings: Sending[] = [];
  readonly #downloads: Download[] = [];
  /** Running sender of each client port. */
  readonly #bySender = new Map<string, Sending>();
  readonly #granted = new Map<string, Negotiation>();
  /** Each stranger sends once, from a port of its own, so that an answer can be attributed to one datagram. */
  #strangerPort = 100;
  #rung = false;
  /** Set at the end: from then on, late copies of requests start nothing. */
  #draining = false;
  /** True if a promise is pending that virtual time must wait for. */
  #promised = false;
  #healedAt: number | undefined;

  constructor(draw: Draw, tap: Tap | undefined) {
    this.#draw = draw;
    this.#random = new Random(draw.seed);
    this.#network = new MemoryNetwork(this.#clock, this.#random.between(1, 2 ** 31), draw.faults);
    const counters = (): Float64Array => new Float64Array(8);
    this.#server = new Driver(this.#network.engine(), counters(), {
      doorbell: () => {
        const rung = this.#rung;
        this.#rung = false;
        return rung;
      },
    });
    this.#clients = new Driver(this.#network.engine(), counters());
    this.#witness = new WireWitness(
      SERVER,
      (client) => this.#granted.get(client)?.settled,
      () => this.#clock.now(),
    );
    this.#network.tap = (fate, bytes, from, to) => {
      tap?.(fate, bytes, from, to);
      this.#witness.tap(fate, bytes, from, to);
      if (fate === 'sent' && to.port === 69 && !this.#witness.injecting) this.#learnPort(from);
    };
  }

  async play(): Promise<Omit<Played, 'trace'>> {
    const { clients, blackout, noiseEveryMs } = this.#draw;
    const listening = await this.#network.engine().listen({ address: SERVER, port: 69 }, (bytes, length, peer) => {
      const request = decodeRequest(bytes, length);
      if (typeof request !== 'string' && request.operation === 'read') this.#onRequest(request, peer);
    });
    clients.forEach((client, index) => {
      this.#clock.wake(client.startMs, () => this.#startDownload(client, `client${index}`, listening.local));
    });
    if (blackout !== undefined) {
      this.#clock.wake(blackout.atMs, () => this.#goDark(blackout.loss));
      this.#clock.wake(blackout.atMs + blackout.forMs, () => this.#heal());
    }
    if (noiseEveryMs > 0) this.#clock.wake(noiseEveryMs, () => this.#makeNoise(listening.local));

    let events = 0;
    while (!this.#over && this.#witness.violations.length === 0 && events < MAX_EVENTS) {
      const running = this.#running;
      if (!this.#clock.step()) break;
      events++;
      // Promises settle between events, but only where there are any: a transfer began or ended.
      if (this.#promised || this.#running < running) await this.#settle();
    }
    const violations = [...this.#witness.violations];
    if (!this.#over) violations.push(`not at rest after ${events} events, ${this.#clock.now()} ms`);
    else this.#checkRest(violations);
    await listening.close();
    return {
      sendings: this.#sendings,
      downloads: this.#downloads,
      conversations: this.#witness.conversations,
      violations,
      events,
      healedAt: this.#healedAt,
    };
  }

  get #running(): number {
    return this.#server.size + this.#clients.size;
  }

  /** True if all transfers have begun and ended, and a blackout, if any, is over. */
  get #over(): boolean {
    if (this.#running > 0 || this.#promised) return false;
    if (this.#downloads.length < this.#draw.clients.length) return false;
    return this.#draw.blackout === undefined || this.#healedAt !== undefined;
  }

  /**
   * Checks that the world comes to rest: packets in flight may still arrive, but nothing starts and no timer continues.
   */
  #checkRest(violations: string[]): void {
    this.#draining = true;
    for (let left = 0; this.#clock.step(); left++) {
      if (left > 10_000) {
        violations.push('timers go on after the last transfer ended');
        return;
      }
    }
    if (this.#running > 0) violations.push('a driver has transfers left');
  }

  async #settle(): Promise<void> {
    this.#promised = false;
    await new Promise((resolve) => setImmediate(resolve));
  }

  #startDownload(draw: ClientDraw, local: string, server: Address): void {
    const opening = new Uint8Array(MAX_CONTROL);
    const length = encodeReadRequest(opening, local, 'octet', wishedOptions(draw.wish));
    const { lingerMs, size } = draw;
    const seed = this.#random.between(1, 2 ** 31);
    const receiver = new Receiver({ wish: draw.wish, seed, patienceMs: PATIENCE_MS, lingerMs });
    const download: Download = {
      name: local,
      draw,
      receiver,
      bytes: new Uint8Array(size),
      client: '',
      misplaced: undefined,
      report: undefined,
      endedAt: 0,
    };
    this.#downloads.push(download);
    let kept = 0;
    const ended = this.#clients.run({
      session: receiver,
      link: { local, peer: server, peerPort: 'learn' },
      opening: opening.subarray(0, length),
      keep: (bytes, start, end, offset) => {
        if (offset !== kept) download.misplaced ??= `offset ${offset} kept where ${kept} was next`;
        kept = offset + end - start;
        if (kept > size) download.misplaced ??= `${kept} bytes of ${size}`;
        else download.bytes.set(bytes.subarray(start, end), offset);
      },
    });
    this.#keepReport(download, ended);
  }

  #learnPort({ address, port }: Address): void {
    const download = this.#downloads.find(({ name }) => name === address);
    if (download !== undefined) download.client = `${address}:${port}`;
  }

  #onRequest(request: Request, peer: Address): void {
    if (this.#draining) return;
    const client = `${peer.address}:${peer.port}`;
    const running = this.#bySender.get(client);
    if (running !== undefined) {
      running.repeats++;
      this.#rung = true;
      return;
    }
    const draw = this.#draw.clients[Number(request.filename.replace('client', ''))];
    if (draw !== undefined) this.#startSending(request, draw, peer, client);
  }

  #startSending(request: Request, draw: ClientDraw, peer: Address, client: string): void {
    const negotiation = negotiate(request.options, this.#draw.limits, draw.size, 'octet');
    const opening = new Uint8Array(MAX_CONTROL);
    const length = encodeOack(opening, negotiation.oack);
    const { settled } = negotiation;
    const seed = this.#random.between(1, 2 ** 31);
    const oack = negotiation.oack.length > 0;
    const sender = new Sender({ size: draw.size, ...settled, oack, seed, patienceMs: PATIENCE_MS });
    const sending: Sending = {
      sender,
      client,
      negotiation,
      repeats: 0,
      survives: false,
      report: undefined,
      endedAt: 0,
    };
    this.#sendings.push(sending);
    this.#bySender.set(client, sending);
    this.#granted.set(client, negotiation);
    this.#witness.begin(client);
    const ended = this.#server.run({
      session: sender,
      link: { local: SERVER, peer, peerPort: 'fixed' },
      opening: opening.subarray(0, length),
      content: attachShared(shareBytes(contentOf(draw))),
      supervision: {
        onProgress: () => {},
        attend: (now, out) => {
          for (; sending.repeats > 0; sending.repeats--) sender.onRequestRepeated(now, out);
        },
      },
    });
    this.#keepReport(sending, ended, () => this.#bySender.delete(client));
  }

  #keepReport(owner: Sending | Download, ended: Promise<TransferReport>, then?: () => void): void {
    this.#promised = true;
    void ended.then((report) => {
      owner.report = report;
      owner.endedAt = this.#clock.now();
      then?.();
    });
  }

  #goDark(loss: number): void {
    for (const sending of this.#sendings) sending.survives = sending.sender.proven;
    this.#network.faults = { ...this.#draw.faults, loss };
  }

  #heal(): void {
    this.#healedAt = this.#clock.now();
    for (const sending of this.#sendings) sending.survives &&= !sending.sender.lastBlockSent;
    this.#network.faults = { ...FAULTLESS, delayMs: this.#draw.faults.delayMs };
  }

  /**
   * Sends noise from strangers: random bytes and stray packets, to the server's port and the ports of running
   * transfers.
   */
  #makeNoise(listening: Address): void {
    if ((this.#downloads.length > 0 && this.#clients.size === 0) || this.#strangerPort > 32_000) return;
    const random = this.#random;
    // Conversations are disturbed only after the client knows its server's port: until then any host may be the server
    // (RFC 1350 §4).
    const conversations = this.#witness.conversations.filter(({ heard }) => heard);
    const stranger = { address: random.pick(['stranger', SERVER, 'client0']), port: this.#strangerPort++ };
    const bytes = this.#noise();
    let to = listening;
    if (conversations.length > 0 && random.chance(0.7)) {
      const { client, server } = random.pick(conversations);
      const [address = '', port = ''] = client.split(':');
      to = random.chance(0.5) ? { address, port: Number(port) } : { address: SERVER, port: server };
    }
    this.#witness.injecting = true;
    this.#network.send(bytes, stranger, to);
    this.#witness.injecting = false;
    this.#clock.wake(this.#clock.now() + this.#draw.noiseEveryMs, () => this.#makeNoise(listening));
  }

  #noise(): Uint8Array {
    const random = this.#random;
    const bytes = random.bytes(random.pick([0, 1, 2, 3, 4, 5, 20, 600]));
    if (random.chance(0.8)) bytes.set([0, random.between(0, 7)].slice(0, bytes.length));
    if (random.chance(0.1)) bytes.set(Buffer.from('\0\x01client0\0octet\0').subarray(0, bytes.length));
    return bytes;
  }
}

/** Plays a draw to its end. The same draw gives the same datagrams in the same order. */
export async function play(draw: Draw, options: { readonly trace?: boolean } = {}): Promise<Played> {
  if (options.trace !== true) return { ...(await new VirtualWorld(draw, undefined).play()), trace: undefined };
  const hash = createHash('sha256');
  const world = new VirtualWorld(draw, (fate, bytes, from, to) => {
    hash.update(`${fate} ${from.address}:${from.port} ${to.address}:${to.port} ${bytes.length} `);
    hash.update(bytes);
  });
  return { ...(await world.play()), trace: hash.digest('hex') };
}
