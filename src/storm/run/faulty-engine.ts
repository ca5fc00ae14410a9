/**
 * An engine that spoils packets on purpose: those that its links send and receive are lost, doubled, held back and
 * delayed as a FaultPlan says, with seeded chance. Looks at no more of them than the
 * opcode, to count. DATA that a link sends, and everything of
 * listening addresses, passes untouched.
 */
import type { AllocateFile, MapFile, SharedHandle, SharedView } from '../../bytes/shared-bytes.ts';
import type {
  Address,
  Clock,
  Engine,
  EngineHealth,
  Link,
  LinkOptions,
  LinkReceiver,
  ListeningPort,
  RequestReceiver,
} from '../../engine/types.ts';
import {
  countLost,
  createFaultCounts,
  type DirectionFaults,
  type FaultCounts,
  type FaultPlan,
  isFaultless,
  touches,
} from '../plan/fault-plan.ts';
import { LossScript } from './loss-script.ts';
import type { Random } from '../plan/random.ts';

/** How long a packet is held back where none comes to overtake it: less than any client's patience. */
const HELD_BACK_MS = 20;
/** Packets on their way on one link in one direction: more than any window. Those past it are lost. */
const MAX_DELAYED = 1024;

/**
 * An engine with faults; the engine itself when the plan has none for packets.
 *
 * @param random for this purpose alone. A link's faults depend on it, on the link's local address and on how many
 *   links that address has had: not on other addresses, nor on the thread.
 * @param counts is added to.
 */
export function withFaults(engine: Engine, plan: FaultPlan, random: Random, counts = createFaultCounts()): Engine {
  return isFaultless(plan) ? engine : new FaultyEngine(engine, plan, random, counts);
}

class FaultyEngine implements Engine {
  readonly #inner: Engine;
  readonly #plan: FaultPlan;
  readonly #random: Random;
  readonly #counts: FaultCounts;
  readonly #links = new Set<FaultyLink>();
  /** How many links each local address has had: one entry for each node. */
  readonly #linksOf = new Map<string, number>();

  constructor(inner: Engine, plan: FaultPlan, random: Random, counts: FaultCounts) {
    this.#inner = inner;
    this.#plan = plan;
    this.#random = random;
    this.#counts = counts;
  }

  get name(): Engine['name'] {
    return this.#inner.name;
  }

  get clock(): Clock {
    return this.#inner.clock;
  }

  get wildcards(): boolean {
    return this.#inner.wildcards;
  }

  get mapFile(): MapFile | undefined {
    return this.#inner.mapFile;
  }

  get allocateFile(): AllocateFile | undefined {
    return this.#inner.allocateFile;
  }

  get advice(): string | undefined {
    return this.#inner.advice;
  }

  listen(local: Address, receive: RequestReceiver): Promise<ListeningPort> {
    return this.#inner.listen(local, receive);
  }

  async link(options: LinkOptions, receiver: LinkReceiver): Promise<Link> {
    const turn = this.#linksOf.get(options.local) ?? 0;
    this.#linksOf.set(options.local, turn + 1);
    const random = this.#random.fork(options.local).fork(turn);
    const link = new FaultyLink(this.clock, this.#plan, random, this.#counts, receiver, () => this.#links.delete(link));
    // Known before it is open: it may receive at once.
    this.#links.add(link);
    try {
      link.open(await this.#inner.link(options, link));
    } catch (cause) {
      link.drop();
      throw cause;
    }
    return link;
  }

  attach(handle: SharedHandle): SharedView {
    return this.#inner.attach(handle);
  }

  health(): EngineHealth {
    return this.#inner.health();
  }

  async close(): Promise<void> {
    for (const link of this.#links) link.drop();
    await this.#inner.close();
  }
}

class FaultyLink implements Link, LinkReceiver {
  readonly #receiver: LinkReceiver;
  readonly #forget: () => void;
  readonly #script: LossScript;
  readonly #incoming: Lane;
  readonly #outgoing: Lane;
  #inner: Link | undefined;

  constructor(
    clock: Clock,
    plan: FaultPlan,
    random: Random,
    counts: FaultCounts,
    receiver: LinkReceiver,
    forget: () => void,
  ) {
    this.#receiver = receiver;
    this.#forget = forget;
    this.#script = new LossScript(plan.lose, counts);
    this.#incoming = new Lane(clock, plan.in, random.fork('in'), counts, (bytes, length) => {
      this.#receiver.onDatagram(bytes, length);
    });
    this.#outgoing = new Lane(clock, plan.out, random.fork('out'), counts, (bytes, length) => {
      this.#inner?.control(bytes, length);
    });
  }

  open(inner: Link): void {
    this.#inner = inner;
  }

  get local(): Address {
    return this.#inner!.local;
  }

  data(wireBlock: number, view: SharedView, offset: number, length: number): void {
    this.#inner!.data(wireBlock, view, offset, length);
  }

  control(bytes: Uint8Array, length: number): void {
    if (!this.#script.losesOutgoing(bytes, length)) this.#outgoing.pass(bytes, length);
  }

  onDatagram(bytes: Uint8Array, length: number): void {
    if (!this.#script.losesIncoming(bytes, length)) this.#incoming.pass(bytes, length);
  }

  onUnreachable(): void {
    this.#receiver.onUnreachable();
  }

  onUnreadable(): void {
    this.#receiver.onUnreadable();
  }

  onStranger(bytes: Uint8Array, length: number): void {
    this.#receiver.onStranger?.(bytes, length);
  }

  /**
   * What is on its way in is dropped. What is on its way out leaves at once: a transfer's last ACK is followed by
   * close(), and would never arrive.
   */
  close(): void {
    this.#incoming.drop();
    this.#outgoing.flush();
    this.#forget();
    this.#inner?.close();
  }

  /** Ends it without a packet: the engine is closing. */
  drop(): void {
    this.#incoming.drop();
    this.#outgoing.drop();
    this.#forget();
  }
}

type Pass = (bytes: Uint8Array, length: number) => void;

interface Delayed {
  readonly dueAt: number;
  readonly bytes: Uint8Array;
}

/** One direction of a link: what chance does to its packets. Copies only what it keeps. */
class Lane {
  readonly #clock: Clock;
  readonly #faults: DirectionFaults;
  readonly #random: Random;
  readonly #waits: Random;
  readonly #counts: FaultCounts;
  readonly #forward: Pass;
  readonly #touches: boolean;
  /** On their way. None overtakes another, that is what `reorder` is for: who is due early waits for those before. */
  #delayed: Delayed[] = [];
  #cancelArrival: (() => void) | undefined;
  /** Waits for the next one to overtake it. */
  #heldBack: Uint8Array | undefined;
  #cancelRelease: (() => void) | undefined;
  #closed = false;

  constructor(clock: Clock, faults: DirectionFaults, random: Random, counts: FaultCounts, forward: Pass) {
    this.#clock = clock;
    this.#faults = faults;
    this.#random = random;
    this.#waits = random.fork('delay');
    this.#counts = counts;
    this.#forward = forward;
    this.#touches = touches(faults);
  }

  pass(bytes: Uint8Array, length: number): void {
    if (this.#closed) return;
    if (!this.#touches) {
      this.#forward(bytes, length);
      return;
    }
    const { loss, duplicate, reorder } = this.#faults;
    // Every packet draws the same number of times, whatever becomes of it: so its successors keep their fate.
    const lost = this.#random.chance(loss);
    const doubled = this.#random.chance(duplicate);
    const late = this.#random.chance(reorder);
    if (lost) {
      countLost(this.#counts, bytes[1]!);
      return;
    }
    if (late && this.#heldBack === undefined) {
      this.#holdBack(bytes.slice(0, length));
    } else {
      this.#carry(bytes, length);
      this.#release();
    }
    if (!doubled || this.#closed) return;
    this.#counts.duplicated++;
    this.#carry(bytes, length);
    this.#release();
  }

  #holdBack(bytes: Uint8Array): void {
    this.#counts.reordered++;
    this.#heldBack = bytes;
    this.#cancelRelease = this.#clock.wake(this.#clock.now() + HELD_BACK_MS, () => this.#release());
  }

  #release(): void {
    const bytes = this.#heldBack;
    if (bytes === undefined) return;
    this.#heldBack = undefined;
    this.#cancelRelease?.();
    this.#carry(bytes, bytes.length);
  }

  /** Brings a packet to the other end, now or later. */
  #carry(bytes: Uint8Array, length: number): void {
    // A packet before it may have been the end.
    if (this.#closed) return;
    const { fromMs, toMs } = this.#faults.delay;
    const wait = toMs === 0 ? 0 : this.#waits.between(fromMs, toMs);
    const last = this.#delayed.at(-1);
    if (wait === 0 && last === undefined) {
      this.#forward(bytes, length);
      return;
    }
    if (this.#delayed.length >= MAX_DELAYED) {
      countLost(this.#counts, bytes[1]!);
      return;
    }
    this.#counts.delayed++;
    const dueAt = this.#clock.now() + wait;
    this.#delayed.push({ dueAt, bytes: bytes.slice(0, length) });
    if (last === undefined) this.#await(dueAt);
  }

  #await(dueAt: number): void {
    this.#cancelArrival = this.#clock.wake(dueAt, this.#onArrival);
  }

  readonly #onArrival = (): void => {
    const now = this.#clock.now();
    const left = this.#delayed.findIndex(({ dueAt }) => dueAt > now);
    const arrived = this.#delayed.splice(0, left < 0 ? this.#delayed.length : left);
    const next = this.#delayed[0];
    if (next !== undefined) this.#await(next.dueAt);
    for (const { bytes } of arrived) if (!this.#closed) this.#forward(bytes, bytes.length);
  };

  /** Brings what is on its way to the other end at once, and nothing after it. */
  flush(): void {
    const waiting = this.#delayed.map(({ bytes }) => bytes);
    if (this.#heldBack !== undefined) waiting.push(this.#heldBack);
    const closed = this.#closed;
    this.drop();
    if (!closed) for (const bytes of waiting) this.#forward(bytes, bytes.length);
  }

  drop(): void {
    this.#closed = true;
    this.#cancelArrival?.();
    this.#cancelRelease?.();
    this.#delayed = [];
    this.#heldBack = undefined;
  }
}
