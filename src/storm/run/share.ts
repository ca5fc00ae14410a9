/**
 * One thread's share of a storm: starts its nodes when they are due, and writes down what comes of them. The same on
 * a thread and, with the memory engine, on virtual time in a test.
 */
import { Driver } from '../../engine/driver.ts';
import { allocateCounters, COUNTER, counterRow } from '../../engine/counters.ts';
import type { TransferReport } from '../../engine/report.ts';
import type { Address, Engine } from '../../engine/types.ts';
import { CELL, StormCells } from './cells.ts';
import { type ExpectedVersion, Expectation } from './expected.ts';
import { type FaultPlan, nodeFate } from '../plan/fault-plan.ts';
import { type RecordedValues, ValueRecorder } from './histogram.ts';
import { BootingNode, type NodeEnd, type NodeObserver, type NodeSetting, type Silence } from './node.ts';
import type { BootPlan } from '../plan/plan.ts';
import type { Profile } from '../plan/profile.ts';
import { Random } from '../plan/random.ts';
import { nodeVariables } from '../plan/variables.ts';
import type { ViolationId } from '../violations.ts';

/** The curve's step. */
export const STEP_MS = 100;
/** How often a thread looks whether it is to stop, in milliseconds. */
const LOOK_MS = 50;

/** What a thread is told. Survives structured clone. */
export interface ShareOrder {
  readonly thread: number;
  readonly server: Address;
  readonly plan: BootPlan;
  readonly seed: number;
  /** The nodes' numbers from 1, and when each is due: milliseconds after `startAt`, ascending. */
  readonly nodes: readonly number[];
  readonly due: readonly number[];
  /** By the engine's clock, which is the same in all threads. */
  readonly startAt: number;
  /** `address`: each node its own of 127.0.0.0/8. `port`: all from one local address. */
  readonly source: 'address' | 'port';
  readonly faults: FaultPlan;
  readonly expected: readonly ExpectedVersion[] | undefined;
  readonly doubledAcks: boolean;
  /** Firmware that nodes have in turn, in all stages; empty: the plan's. */
  readonly mix: readonly Profile[];
  readonly cells: SharedArrayBuffer;
}

export interface StageResult {
  completed: number;
  failed: number;
  files: number;
  misses: number;
  bytes: number;
  client: number;
  server: number;
  firstReply: RecordedValues;
  duration: RecordedValues;
}

/** Something counted, and where it was first seen. */
export interface Counted {
  count: number;
  readonly example: string;
}

export interface ShareResult {
  readonly completed: number;
  readonly failed: number;
  readonly vanished: number;
  /** Nodes whose files are not all of one version. */
  readonly mixed: Counted;
  readonly stages: readonly StageResult[];
  /** From the moment a node was due to its end, in milliseconds. */
  readonly finish: RecordedValues;
  readonly firstReply: RecordedValues;
  readonly violations: ReadonlyMap<ViolationId, Counted>;
  /** By stage and reason, joined by a NUL. */
  readonly failures: ReadonlyMap<string, Counted>;
  readonly wrongFiles: Counted;
  /** Files that were read and that there was nothing to compare with. */
  readonly uncompared: number;
  readonly silences: readonly Silence[];
  /** DATA that reached a transfer, copies included. */
  readonly dataPackets: number;
  /** When a payload byte last came, in milliseconds after the start; 0 when none did. */
  readonly lastBytesAt: number;
  /** By steps of STEP_MS: ends, failures and payload bytes in each. */
  readonly curve: { readonly completed: number[]; readonly failed: number[]; readonly bytes: number[] };
}

/** A silence is remembered for so many nodes: more of them say nothing new. */
const MAX_SILENCES = 1000;

class Recording implements NodeObserver {
  readonly stages: (Omit<StageResult, 'firstReply' | 'duration'> & {
    firstReply: ValueRecorder;
    duration: ValueRecorder;
  })[];
  readonly finish = new ValueRecorder();
  readonly firstReplies = new ValueRecorder();
  readonly violations = new Map<ViolationId, Counted>();
  readonly failures = new Map<string, Counted>();
  readonly silences: Silence[] = [];
  wrongFiles: Counted = { count: 0, example: '' };
  uncomparedFiles = 0;
  readonly curve = { completed: [] as number[], failed: [] as number[], bytes: [] as number[] };
  lastBytesAt = 0;
  completed = 0;
  failed = 0;
  vanished = 0;
  mixedNodes: Counted = { count: 0, example: '' };
  readonly #plan: BootPlan;
  readonly #cells: Float64Array;
  readonly #sinceStart: () => number;
  readonly #stageOf = new Map<number, number>();

  constructor(plan: BootPlan, cells: Float64Array, sinceStart: () => number) {
    this.#plan = plan;
    this.#cells = cells;
    this.#sinceStart = sinceStart;
    this.stages = plan.stages.map(() => ({
      completed: 0,
      failed: 0,
      files: 0,
      misses: 0,
      bytes: 0,
      client: 0,
      server: 0,
      firstReply: new ValueRecorder(),
      duration: new ValueRecorder(),
    }));
  }

  begin(node: number): void {
    this.#cells[CELL.begun]!++;
    this.#stageOf.set(node, -1);
  }

  stage(node: number, stage: number): void {
    const before = this.#stageOf.get(node)!;
    if (before >= 0) this.#cells[StormCells.stage(before)]!--;
    this.#cells[StormCells.stage(stage)]!++;
    this.#stageOf.set(node, stage);
  }

  bytes(length: number): void {
    const now = this.#sinceStart();
    this.#cells[CELL.bytes]! += length;
    this.lastBytesAt = now;
    this.#add(this.curve.bytes, now, length);
  }

  firstReply(stage: number, ms: number): void {
    this.stages[stage]!.firstReply.record(ms);
    this.firstReplies.record(ms);
  }

  copies(stage: number, copies: number): void {
    this.stages[stage]!.server += copies;
    this.#cells[CELL.server]! += copies;
  }

  transfer(stage: number, report: TransferReport, end: 'file' | 'miss' | 'other'): void {
    const into = this.stages[stage]!;
    into.bytes += report.bytes;
    into.client += report.retransmits;
    if (end === 'file') into.files++;
    else if (end === 'miss') into.misses++;
  }

  stageDone(stage: number, ms: number): void {
    this.stages[stage]!.completed++;
    this.stages[stage]!.duration.record(ms);
  }

  violation(id: ViolationId, example: string): void {
    count(this.violations, id, example);
  }

  wrongFile(example: string): void {
    this.wrongFiles = oneMore(this.wrongFiles, example);
  }

  uncompared(): void {
    this.uncomparedFiles++;
  }

  mixed(example: string): void {
    this.mixedNodes = oneMore(this.mixedNodes, example);
  }

  /** Shows main how often all nodes together have sent something again, those in mid-transfer included. */
  showResends(resends: number): void {
    this.#cells[CELL.client] = resends;
  }

  end(node: number, dueAt: number, end: NodeEnd): void {
    const now = this.#sinceStart();
    const stage = this.#stageOf.get(node)!;
    if (stage >= 0) this.#cells[StormCells.stage(stage)]!--;
    this.#stageOf.delete(node);
    switch (end.kind) {
      case 'completed':
        this.completed++;
        this.#cells[CELL.completed]!++;
        this.finish.record(Math.max(0, now - dueAt));
        this.#add(this.curve.completed, now, 1);
        break;
      case 'failed':
        this.failed++;
        this.#cells[CELL.failed]!++;
        this.#add(this.curve.failed, now, 1);
        this.stages[end.stage]!.failed++;
        count(this.failures, `${this.#plan.stages[end.stage]!.name}\0${end.reason}`, `node ${node}`);
        if (end.silence !== undefined && this.silences.length < MAX_SILENCES) this.silences.push(end.silence);
        break;
      case 'vanished':
        this.vanished++;
        break;
      case 'unfinished':
        break;
    }
  }

  #add(series: number[], now: number, amount: number): void {
    const step = Math.max(0, Math.floor(now / STEP_MS));
    while (series.length <= step) series.push(0);
    series[step]! += amount;
  }

  /** @param dataPackets DATA that reached a transfer. */
  result(dataPackets: number): ShareResult {
    const { completed, failed, vanished, violations, failures, wrongFiles, silences, lastBytesAt, curve } = this;
    return {
      completed,
      failed,
      vanished,
      mixed: this.mixedNodes,
      uncompared: this.uncomparedFiles,
      violations,
      failures,
      wrongFiles,
      silences,
      lastBytesAt,
      dataPackets,
      curve,
      finish: this.finish.toTransferable(),
      firstReply: this.firstReplies.toTransferable(),
      stages: this.stages.map((stage) => ({
        ...stage,
        firstReply: stage.firstReply.toTransferable(),
        duration: stage.duration.toTransferable(),
      })),
    };
  }
}

function oneMore(counted: Counted, example: string): Counted {
  return { count: counted.count + 1, example: counted.example || example };
}

function count<Key>(map: Map<Key, Counted>, key: Key, example: string): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, { count: 1, example });
  else known.count++;
}

/** The address of a node on the loopback: 127.1.0.1 is the first. */
export function loopbackAddress(node: number): string {
  return `127.${1 + (node >> 16)}.${(node >> 8) & 255}.${node & 255}`;
}

/**
 * Runs a share to its end, or to where it is stopped. Never rejects for what a server does.
 *
 * @param engine with the order's faults in it. The caller closes it.
 * @param time milliseconds with fractions, by a clock that runs as fast as the engine's.
 */
export async function runShare(order: ShareOrder, engine: Engine, time: () => number): Promise<ShareResult> {
  const { plan, server, source } = order;
  const cells = StormCells.attach(order.cells, plan.stages.length);
  const counters = counterRow(allocateCounters(1), 0);
  const driver = new Driver(engine, counters);
  // The start as `time` has it.
  const startedAt = time() + (order.startAt - engine.clock.now());
  const sinceStart = (): number => time() - startedAt;
  const recording = new Recording(plan, cells.row(order.thread), sinceStart);
  const pauses = new Pauses(engine);
  const setting: NodeSetting = {
    driver,
    server,
    plan,
    expectation: order.expected === undefined ? undefined : new Expectation(order.expected),
    // Where we make copies ourselves, or bring packets together that came apart, a copy says nothing of the server.
    doubledAcks: order.doubledAcks && order.faults.in.duplicate === 0 && order.faults.in.delay.toMs === 0,
    time: sinceStart,
    pause: (ms) => pauses.pause(ms),
    stopping: () => cells.stopping,
    tell: recording,
  };
  const nodes = new Random(order.seed).fork('nodes');
  const boot = async (index: number): Promise<void> => {
    const number = order.nodes[index]!;
    const dueAt = order.due[index]!;
    await pauses.pause(dueAt - sinceStart());
    if (cells.stopping) return;
    recording.begin(number);
    const random = nodes.fork(number);
    const address = loopbackAddress(number);
    const node = new BootingNode(setting, {
      number,
      local: source === 'address' ? address : server.address.includes(':') ? '::' : '0.0.0.0',
      shared: source === 'address',
      variables: nodeVariables(number, address),
      fate: nodeFate(order.faults, random),
      profile: order.mix.length === 0 ? undefined : order.mix[number % order.mix.length],
      random,
    });
    recording.end(number, dueAt, await node.boot());
  };
  const all = Promise.all(order.nodes.map((_, index) => boot(index)));
  const look = (): void => {
    recording.showResends(counters[COUNTER.retransmits]!);
    if (cells.stopping) {
      pauses.end();
      driver.abortAll();
    }
    cancelLook = engine.clock.wake(engine.clock.now() + LOOK_MS, look);
  };
  let cancelLook = engine.clock.wake(engine.clock.now() + LOOK_MS, look);
  try {
    await all;
  } finally {
    cancelLook();
  }
  recording.showResends(counters[COUNTER.retransmits]!);
  return recording.result(counters[COUNTER.dataReceived]!);
}

/** Waits that can all be cut short. */
class Pauses {
  readonly #engine: Engine;
  readonly #pending = new Set<() => void>();
  #ended = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  pause(ms: number): Promise<void> {
    if (ms <= 0 || this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#pending.delete(done);
        resolve();
      };
      const cancel = this.#engine.clock.wake(this.#engine.clock.now() + Math.ceil(ms), done);
      this.#pending.add(done);
    });
  }

  end(): void {
    this.#ended = true;
    for (const done of this.#pending) done();
  }
}
