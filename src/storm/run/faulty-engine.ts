/**
 * An engine that damages traffic on purpose: packets that its links send and receive are lost, duplicated, held back
 * and delayed by seeded chance, as a FaultPlan says. To count them it reads their opcode and nothing else. DATA that a
 * link sends, and all packets of listening addresses, pass untouched.
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

/** Time for which a packet is held back when no other comes to overtake it: shorter than any client's patience. */
const HELD_BACK_MS = 20;
/**
 * Maximum number of packets on their way in one direction of a link: more than any window. Further packets are lost.
 * @limit Packets delayed in one direction of a link. Shows: `injected.lost` in the report.
 */
const MAX_DELAYED = 1024;

/**
 * @returns an engine with faults, or `engine` itself when the plan has no faults for packets.
 * @param random generator used for nothing else. A link's faults depend on it, on the link's local address and on the
 * number of earlier links of that address: not on other addresses, nor on the thread.
 * @param counts totals to which the faults are added.
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
  /** Number of links that each local address has had: one entry for each node. */
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
    // Added before the link is open, since it may receive at once.
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
   * Drops packets on their way in. Packets on their way out leave at once: a transfer's last ACK is followed by
   * close(), and would otherwise never arrive.
   */
  close(): void {
    this.#incoming.drop();
    this.#outgoing.flush();
    this.#forget();
    this.#inner?.close();
  }

  /** Ends the link without a packet, because the engine is closing. */
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

/** One direction of a link: applies faults to its packets. Copies only the packets that it keeps. */
class Lane {
  readonly #clock: Clock;
  readonly #faults: DirectionFaults;
  readonly #random: Random;
  readonly #waits: Random;
  readonly #counts: FaultCounts;
  readonly #forward: Pass;
  readonly #touches: boolean;
  /**
   * Packets on their way. No packet overtakes another, since `reorder` does that: one that is due early waits for the
   * earlier ones.
   */
  #delayed: Delayed[] = [];
  #cancelArrival: (() => void) | undefined;
  /** The packet that waits for the next one to overtake it. */
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
    // Every packet takes the same number of draws, whatever happens to it, so that the fate of later packets does not
    // change.
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

  /** Delivers a packet to the other end, now or later. */
  #carry(bytes: Uint8Array, length: number): void {
    // The delivery of an earlier packet may have closed the link.
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

  /** Delivers all waiting packets to the other end at once, then closes the lane. */
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
