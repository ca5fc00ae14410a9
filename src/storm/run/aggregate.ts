/** Combines the results of a storm's threads into one report. Pure: the same results give the same report. */
import { type RecordedValues, ValueRecorder } from './histogram.ts';
import type { BootPlan, Stage } from '../plan/plan.ts';
import type { Profile } from '../plan/profile.ts';
import {
  type Curve,
  type Failure,
  type HarnessReport,
  type InjectedFaults,
  REPORT_SCHEMA,
  type StageReport,
  type StormReport,
  type Violation,
} from '../report.ts';
import { type Counted, type ShareResult, STEP_MS } from './share-result.ts';
import { RULES, type ViolationId } from '../violations.ts';
import type { ThreadHealth, WorkerResult } from './worker.ts';

/** Facts that the report states beside the results. */
export interface StormFacts {
  readonly startedAt: Date;
  readonly durationMs: number;
  readonly server: string;
  /** Where stages over HTTP asked, whether or not there were any. */
  readonly http: string;
  readonly seed: number;
  readonly plan: BootPlan;
  /** Same as ShareOrder.mix. */
  readonly mix: readonly Profile[];
  readonly arrival: string;
  readonly nodes: number;
  /** `verified`: there was content to compare files with; `versioned`: in several versions. */
  readonly verified: boolean;
  readonly versioned: boolean;
  readonly cpuMs: number;
  readonly engine: HarnessReport['engine'];
  readonly machine: StormReport['machine'];
  readonly version: string;
}

const BUCKETS = 40;
const MAX_POINTS = 600;
/** Silence counts as a missing retransmission when others were served at least this long after it began. */
const SILENCE_MS = 1000;
/** Above these values the figures may show the storm's own limits. */
const BUSY = 0.9;
const LATE_MS = 20;
/** A shorter storm consists of its own startup, so the load of its threads tells nothing. */
const JUDGED_MS = 1000;

function merged(parts: readonly RecordedValues[]): ValueRecorder {
  const all = new ValueRecorder();
  for (const part of parts) all.merge(ValueRecorder.fromTransferable(part));
  return all;
}

function sum<Part>(parts: readonly Part[], pick: (part: Part) => number): number {
  return parts.reduce((total, part) => total + pick(part), 0);
}

function countedBy<Key>(maps: readonly ReadonlyMap<Key, Counted>[]): Map<Key, Counted> {
  const all = new Map<Key, Counted>();
  for (const map of maps) {
    for (const [key, { count, example }] of map) {
      const known = all.get(key);
      if (known === undefined) all.set(key, { count, example });
      else known.count += count;
    }
  }
  return all;
}

function violationsOf(shares: readonly ShareResult[]): Violation[] {
  const all = countedBy<ViolationId>(shares.map(({ violations }) => violations));
  const lastBytesAt = Math.max(0, ...shares.map((share) => share.lastBytesAt));
  const left = shares.flatMap(({ silences }) => silences).filter(({ from }) => lastBytesAt > from + SILENCE_MS);
  if (left.length > 0) all.set('no-retransmission', { count: left.length, example: left[0]!.example });
  const wrong = sum(shares, ({ wrongFiles }) => wrongFiles.count);
  if (wrong > 0) all.set('wrong-bytes', { count: wrong, example: exampleOf(shares.map((share) => share.wrongFiles)) });
  const mixed = sum(shares, (share) => share.mixed.count);
  if (mixed > 0) all.set('mixed-versions', { count: mixed, example: exampleOf(shares.map((share) => share.mixed)) });
  return [...all]
    .map(([id, { count, example }]) => ({ id, ...RULES[id], count, example }))
    .toSorted((a, b) => b.count - a.count);
}

function exampleOf(parts: readonly Counted[]): string {
  return parts.find(({ count }) => count > 0)?.example ?? '';
}

function failuresOf(shares: readonly ShareResult[]): Failure[] {
  const all = countedBy(shares.map(({ failures }) => failures));
  return [...all]
    .map(([key, { count, example }]) => {
      const [stage = '', reason = ''] = key.split('\0');
      return { stage, reason, nodes: count, example };
    })
    .toSorted((a, b) => b.nodes - a.nodes);
}

/** @returns the profiles that nodes use in a stage. A mix of firmware replaces those of the plan. */
function viaOf(stage: Stage, mix: readonly Profile[]): StageReport['via'] {
  const all = new Set((mix.length === 0 ? [stage.profile] : mix).map(({ via }) => via));
  return all.size > 1 ? 'mixed' : [...all][0]!;
}

function stagesOf({ plan, mix }: StormFacts, shares: readonly ShareResult[]): StageReport[] {
  return plan.stages.map((stage, index) => {
    const { name, profile } = stage;
    const parts = shares.map(({ stages }) => stages[index]!);
    return {
      name,
      profile: mix.length === 0 ? profile.name : 'mixed',
      via: viaOf(stage, mix),
      completed: sum(parts, ({ completed }) => completed),
      failed: sum(parts, ({ failed }) => failed),
      files: sum(parts, ({ files }) => files),
      misses: sum(parts, ({ misses }) => misses),
      bytes: sum(parts, ({ bytes }) => bytes),
      first_reply_ms: merged(parts.map(({ firstReply }) => firstReply)).percentiles(),
      duration_ms: merged(parts.map(({ duration }) => duration)).percentiles(),
      retransmits: { client: sum(parts, ({ client }) => client), server: sum(parts, ({ server }) => server) },
    };
  });
}

/** Adds up the series of all threads, in steps that are long enough to keep the number of points below MAX_POINTS. */
function curveOf(shares: readonly ShareResult[]): Curve {
  const length = Math.max(
    1,
    ...shares.map(({ curve }) => Math.max(curve.completed.length, curve.failed.length, curve.bytes.length)),
  );
  const factor = Math.ceil(length / MAX_POINTS);
  const points = Math.ceil(length / factor);
  const series = (pick: (share: ShareResult) => readonly number[]): number[] => {
    const total = Array.from({ length: points }, () => 0);
    for (const share of shares) {
      for (const [step, amount] of pick(share).entries()) total[Math.floor(step / factor)]! += amount;
    }
    return total;
  };
  const running = (steps: readonly number[]): number[] => {
    let so = 0;
    return steps.map((amount) => (so += amount));
  };
  return {
    step_s: (factor * STEP_MS) / 1000,
    completed: running(series(({ curve }) => curve.completed)),
    failed: running(series(({ curve }) => curve.failed)),
    bytes: series(({ curve }) => curve.bytes),
  };
}

function harnessOf(facts: StormFacts, threads: readonly ThreadHealth[]): HarnessReport {
  const busiest = Math.max(...threads.map(({ busy }) => busy));
  const worst = (pick: (thread: ThreadHealth) => number): number => Math.max(...threads.map(pick));
  const known = threads.every(({ drops }) => drops !== null);
  const drops = known ? sum(threads, (thread) => thread.drops ?? 0) : null;
  const judged = facts.durationMs >= JUDGED_MS;
  const late = worst(({ delayP99 }) => delayP99);
  const percent = Math.round(100 * busiest);
  const reasons = [
    judged && busiest > BUSY
      ? `a thread of the storm was busy ${percent} % of the time: use more threads or cores`
      : '',
    judged && late > LATE_MS ? `the storm's event loop was ${Math.round(late)} ms late at the 99th percentile` : '',
    drops !== null && drops > 0 ? `${drops} datagrams were lost in the storm's own socket buffers` : '',
  ].filter((reason) => reason !== '');
  return {
    cpu_s: facts.cpuMs / 1000,
    busiest_thread: busiest,
    event_loop_delay_ms: {
      p50: worst(({ delayP50 }) => delayP50),
      p90: worst(({ delayP90 }) => delayP90),
      p99: late,
      max: worst(({ delayMax }) => delayMax),
    },
    drops,
    bottleneck: reasons.length > 0,
    reasons,
    threads: threads.length,
    engine: facts.engine,
  };
}

function injectedBy(workers: readonly WorkerResult[]): InjectedFaults {
  const parts = workers.map(({ injected }) => injected);
  return {
    lost: sum(parts, ({ lost }) => lost),
    lost_data: sum(parts, ({ lostData }) => lostData),
    duplicated: sum(parts, ({ duplicated }) => duplicated),
    reordered: sum(parts, ({ reordered }) => reordered),
    delayed: sum(parts, ({ delayed }) => delayed),
    vanished_nodes: sum(workers, ({ result }) => result.vanished),
  };
}

/** @param workers at least one. */
export function aggregate(facts: StormFacts, workers: readonly WorkerResult[]): Omit<StormReport, 'slo'> {
  const shares = workers.map(({ result }) => result);
  const { plan, mix } = facts;
  const stages = stagesOf(facts, shares);
  const finish = merged(shares.map((share) => share.finish));
  const firstReply = merged(shares.map((share) => share.firstReply));
  const completed = sum(shares, (share) => share.completed);
  const failed = sum(shares, (share) => share.failed);
  const vanished = sum(shares, (share) => share.vanished);
  const violations = violationsOf(shares);
  const finishMs = finish.percentiles();
  return {
    schema: REPORT_SCHEMA,
    started_at: facts.startedAt.toISOString(),
    server: facts.server,
    http: stages.some(({ via }) => via !== 'tftp') ? facts.http : null,
    seed: facts.seed,
    plan: {
      name: plan.name,
      stages: plan.stages.map(({ name }) => name),
      profiles: [
        ...new Set((mix.length === 0 ? plan.stages.map(({ profile }) => profile) : mix).map(({ name }) => name)),
      ],
    },
    arrival: facts.arrival,
    nodes: facts.nodes,
    completed,
    failed,
    unfinished: facts.nodes - completed - failed - vanished,
    wrong_bytes: facts.verified ? sum(shares, ({ wrongFiles }) => wrongFiles.count) : null,
    files_not_compared: facts.verified ? sum(shares, ({ uncompared }) => uncompared) : null,
    mixed_versions: facts.versioned ? sum(shares, ({ mixed }) => mixed.count) : null,
    bytes: sum(stages, ({ bytes }) => bytes),
    data_packets: sum(shares, ({ dataPackets }) => dataPackets),
    duration_s: facts.durationMs / 1000,
    first_reply_ms: firstReply.percentiles(),
    finish_s:
      finishMs === null
        ? null
        : {
            p50: finishMs.p50 / 1000,
            p90: finishMs.p90 / 1000,
            p99: finishMs.p99 / 1000,
            max: finishMs.max / 1000,
          },
    retransmits: {
      client: sum(stages, ({ retransmits }) => retransmits.client),
      server: sum(stages, ({ retransmits }) => retransmits.server),
    },
    unanswered_requests: sum(shares, ({ unheard }) => unheard),
    left_unanswered: null,
    duplicate_tids: violations.find(({ id }) => id === 'duplicate-tid')?.count ?? 0,
    injected: injectedBy(workers),
    stages,
    violations,
    failures: failuresOf(shares),
    curve: curveOf(shares),
    histograms: {
      first_reply_ms: firstReply.toHistogram(BUCKETS),
      finish_s: inSeconds(finish),
    },
    harness: harnessOf(
      facts,
      workers.map(({ health }) => health),
    ),
    machine: facts.machine,
    version: facts.version,
  };
}

function inSeconds(finish: ValueRecorder): StormReport['histograms']['finish_s'] {
  const { edges, counts } = finish.toHistogram(BUCKETS);
  return { edges: edges.map((edge) => edge / 1000), counts };
}
