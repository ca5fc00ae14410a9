/** One storm from its settings to its report: deals nodes to threads, combines their results, checks the objectives. */
import type { EngineKind } from '../../engine/create.ts';
import type { Address } from '../../engine/types.ts';
import { aggregate } from './aggregate.ts';
import { type ArrivalLaw, dueTimes } from '../plan/arrival.ts';
import { runCrew } from './crew.ts';
import type { ExpectedVersion } from './expected.ts';
import type { FaultPlan } from '../plan/fault-plan.ts';
import { describeMachine } from '../machine.ts';
import type { BootPlan } from '../plan/plan.ts';
import type { Profile } from '../plan/profile.ts';
import { Random } from '../plan/random.ts';
import type { StormProgress, StormReport } from '../report.ts';
import { evaluate, type Slo } from '../slo.ts';
import { formatAddress } from '../../text/address-text.ts';

export interface StormOptions {
  /** An IP address in text, and the port. */
  readonly server: Address;
  /** Where stages over HTTP ask. */
  readonly http: Address;
  readonly plan: BootPlan;
  /** Same as ShareOrder.mix. */
  readonly mix?: readonly Profile[];
  /** 1 or more. */
  readonly nodes: number;
  readonly arrival: ArrivalLaw;
  /** The arrival law as it was written, for the report. */
  readonly arrivalText: string;
  /** 0 <= seed < 2^53. The same seed gives the same nodes, moments and faults. */
  readonly seed: number;
  readonly faults: FaultPlan;
  /** The expected content of files; undefined: their bytes are not compared. */
  readonly expected?: readonly ExpectedVersion[];
  /** True when `expected` holds several versions to tell apart. */
  readonly versioned: boolean;
  /** `address`: each node sends from its own 127.x.y.z, with the Linux engine. `port`: all send from one address. */
  readonly source: 'address' | 'port';
  readonly engine: EngineKind;
  readonly threads: number;
  /** True: each longer transfer sends one ACK twice, to test the server's reaction. */
  readonly doubledAcks: boolean;
  readonly slo: Slo;
  readonly version: string;
  readonly onProgress?: (progress: StormProgress) => void;
  /** Ends the storm; the report covers the time until then. */
  readonly signal?: AbortSignal;
  readonly worker?: URL;
}

export async function runStorm(options: StormOptions): Promise<StormReport> {
  const { server, plan, nodes, arrival, seed, faults, expected, source, engine, threads, doubledAcks, slo } = options;
  const { mix = [], http } = options;
  const startedAt = new Date();
  const before = process.cpuUsage();
  const due = dueTimes(arrival, nodes, new Random(seed).fork('arrival'));
  let durationMs = 0;
  const workers = await runCrew({
    threads: Math.min(threads, nodes),
    engine,
    common: { server, http, plan, mix, seed, source, faults, expected, doubledAcks },
    due,
    onProgress: (progress) => {
      durationMs = progress.elapsedMs;
      options.onProgress?.(progress);
    },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.worker === undefined ? {} : { worker: options.worker }),
  });
  const { user, system } = process.cpuUsage(before);
  const report = aggregate(
    {
      startedAt,
      durationMs,
      server: formatAddress(server),
      http: formatAddress(http),
      seed,
      plan,
      mix,
      arrival: options.arrivalText,
      nodes,
      verified: expected !== undefined || plan.stages.some(({ size, sha256 }) => (size ?? sha256) !== undefined),
      versioned: options.versioned,
      cpuMs: (user + system) / 1000,
      engine,
      machine: describeMachine(),
      version: options.version,
    },
    workers,
  );
  const checks = evaluate(slo, report);
  return { ...report, slo: { met: checks.every(({ met }) => met), checks } };
}
