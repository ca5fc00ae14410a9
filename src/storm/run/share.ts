/**
 * One thread's share of a storm: starts its nodes when they are due, and ends them when the storm is to stop. Runs the
 * same on a thread and, with the memory engine, on virtual time in a test. Knows neither how a node boots nor how its
 * outcome is recorded.
 */
import { allocateCounters, COUNTER, counterRow } from '../../engine/counters.ts';
import { Driver } from '../../engine/driver.ts';
import type { Address, Engine } from '../../engine/types.ts';
import { type FaultPlan, nodeFate } from '../plan/fault-plan.ts';
import type { BootPlan } from '../plan/plan.ts';
import type { Profile } from '../plan/profile.ts';
import { Random } from '../plan/random.ts';
import { nodeVariables } from '../plan/variables.ts';
import { StormCells } from './cells.ts';
import { type ExpectedVersion, Expectation } from './expected.ts';
import { HttpWire } from './http-connection.ts';
import { loopbackAddress } from './loopback-address.ts';
import { BootingNode } from './node.ts';
import type { NodeIdentity, NodeSetting } from './node-setting.ts';
import { Pauses } from './pauses.ts';
import { ShareProgress } from './share-progress.ts';
import { ShareRecording } from './share-recording.ts';
import type { ShareResult } from './share-result.ts';

/** Interval between checks for the end of the storm, in milliseconds. */
const LOOK_MS = 50;

/** The order for a thread. Survives structured clone. */
export interface ShareOrder {
  readonly thread: number;
  readonly server: Address;
  /** Where stages over HTTP ask. */
  readonly http: Address;
  readonly plan: BootPlan;
  readonly seed: number;
  /** Node numbers, from 1, and the moment when each is due: milliseconds after `startAt`, ascending. */
  readonly nodes: readonly number[];
  readonly due: readonly number[];
  /** The start by the engine's clock, which is the same in all threads. */
  readonly startAt: number;
  /** `address`: each node sends from its own address of 127.0.0.0/8. `port`: all send from one local address. */
  readonly source: 'address' | 'port';
  readonly faults: FaultPlan;
  readonly expected: readonly ExpectedVersion[] | undefined;
  readonly doubledAcks: boolean;
  /** Firmware given to nodes in turn, for all stages; empty: the plan's. */
  readonly mix: readonly Profile[];
  readonly cells: SharedArrayBuffer;
}

class Share {
  readonly #order: ShareOrder;
  readonly #engine: Engine;
  readonly #cells: StormCells;
  readonly #counters = counterRow(allocateCounters(1), 0);
  readonly #driver: Driver;
  readonly #pauses: Pauses;
  readonly #wire: HttpWire;
  readonly #sinceStart: () => number;
  readonly #progress: ShareProgress;
  readonly #recording: ShareRecording;
  readonly #setting: NodeSetting;
  readonly #chance: Random;

  constructor(order: ShareOrder, engine: Engine, time: () => number) {
    const { plan, thread, seed } = order;
    this.#order = order;
    this.#engine = engine;
    this.#cells = StormCells.attach(order.cells, plan.stages.length);
    this.#driver = new Driver(engine, this.#counters);
    this.#pauses = new Pauses(engine.clock);
    this.#wire = new HttpWire(order.http, engine.clock);
    // The start, converted to the clock of `time`.
    const startedAt = time() + (order.startAt - engine.clock.now());
    this.#sinceStart = () => time() - startedAt;
    this.#progress = new ShareProgress(this.#cells.row(thread));
    this.#recording = new ShareRecording(plan, this.#progress, this.#sinceStart);
    this.#setting = this.#nodeSetting();
    this.#chance = new Random(seed).fork('nodes');
  }

  async run(): Promise<ShareResult> {
    const { nodes, due } = this.#order;
    const booted = Promise.all(nodes.map((number, index) => this.#bootWhenDue(number, due[index]!)));
    const stopLooking = this.#keepLooking();
    try {
      await booted;
    } finally {
      stopLooking();
      // Those of nodes that have vanished are still open.
      this.#wire.abortAll();
    }
    this.#showResends();
    return this.#recording.result(this.#counters[COUNTER.dataReceived]!);
  }

  async #bootWhenDue(number: number, dueAt: number): Promise<void> {
    await this.#pauses.pause(dueAt - this.#sinceStart());
    if (this.#cells.stopping) return;
    this.#recording.begin(number);
    const node = new BootingNode(this.#setting, this.#identityOf(number));
    this.#recording.end(number, dueAt, await node.boot());
  }

  /**
   * Publishes at intervals what nodes have sent again, and stops them when the storm is to end.
   *
   * @returns a function that ends these looks.
   */
  #keepLooking(): () => void {
    const { clock } = this.#engine;
    const look = (): void => {
      this.#showResends();
      if (this.#cells.stopping) {
        this.#pauses.end();
        this.#driver.abortAll();
        this.#wire.abortAll();
      }
      cancel = clock.wake(clock.now() + LOOK_MS, look);
    };
    let cancel = clock.wake(clock.now() + LOOK_MS, look);
    return () => cancel();
  }

  #showResends(): void {
    this.#progress.clientResends(this.#counters[COUNTER.retransmits]! + this.#wire.askedAgain);
  }

  #nodeSetting(): NodeSetting {
    const { server, plan, expected, doubledAcks, faults } = this.#order;
    return {
      driver: this.#driver,
      server,
      wire: this.#wire,
      plan,
      expectation: expected === undefined ? undefined : new Expectation(expected),
      // Where the faults duplicate packets, or delay them so that they arrive together, a copy proves nothing about the
      // server.
      doubledAcks: doubledAcks && faults.in.duplicate === 0 && faults.in.delay.toMs === 0,
      time: this.#sinceStart,
      pause: (ms) => this.#pauses.pause(ms),
      stopping: () => this.#cells.stopping,
      tell: this.#recording,
    };
  }

  #identityOf(number: number): NodeIdentity {
    const { server, source, faults, mix } = this.#order;
    const random = this.#chance.fork(number);
    const address = loopbackAddress(number);
    return {
      number,
      local: source === 'address' ? address : server.address.includes(':') ? '::' : '0.0.0.0',
      shared: source === 'address',
      variables: nodeVariables(number, address),
      fate: nodeFate(faults, random),
      profile: mix.length === 0 ? undefined : mix[number % mix.length],
      random,
    };
  }
}

/**
 * Runs a share to its end, or until it is stopped. Never rejects because of the server's behavior.
 *
 * @param engine engine with the order's faults in it. The caller closes it.
 * @param time milliseconds with fractions, by a clock that runs as fast as the engine's.
 */
export async function runShare(order: ShareOrder, engine: Engine, time: () => number): Promise<ShareResult> {
  return await new Share(order, engine, time).run();
}
