/** A share of a storm over HTTP, with real sockets, and the server that it asks. */
import { onTestFinished } from 'vitest';
import { PortableEngine } from '../../../src/engine/portable.ts';
import { createFaultCounts, type FaultFlags, parseFaults } from '../../../src/storm/plan/fault-plan.ts';
import { HTTP_PROFILES } from '../../../src/storm/plan/http-profiles.ts';
import type { Stage } from '../../../src/storm/plan/plan.ts';
import type { HttpProfile } from '../../../src/storm/plan/profile.ts';
import type { StormReport } from '../../../src/storm/report.ts';
import { aggregate } from '../../../src/storm/run/aggregate.ts';
import { StormCells } from '../../../src/storm/run/cells.ts';
import { runShare } from '../../../src/storm/run/share.ts';
import { SEED, seededBytes } from '../../support/content.ts';
import { type Misbehave, UnrulyHttp } from '../../support/unruly-http.ts';
import { version } from '../../support/virtual-storm.ts';

export const KERNEL = seededBytes(SEED, 200_000);
export const INITRD = seededBytes(SEED + 1, 500_000);
const FILES: ReadonlyMap<string, Uint8Array> = new Map([
  ['linux', KERNEL],
  ['initrd.img', INITRD],
]);

/** A client's habits, with as little patience as a test has; its waits are those of a minute divided by 1,000. */
export function client(name: string, more: Partial<HttpProfile> = {}): HttpProfile {
  const found = HTTP_PROFILES.find((profile) => profile.name === name)!;
  const { schedule } = found;
  return {
    ...found,
    schedule: { ...schedule, firstMs: schedule.firstMs / 1000, ceilingMs: schedule.ceilingMs / 1000 },
    ...more,
  };
}

interface World {
  readonly port: number;
  readonly profile: HttpProfile;
  readonly names?: readonly (readonly string[])[];
  /** Clients of the stages, where they are several. */
  readonly profiles?: readonly HttpProfile[];
  readonly nodes?: number;
  readonly faults?: FaultFlags;
  readonly files?: ReadonlyMap<string, Uint8Array> | undefined;
  /** Called with a function that stops the storm. */
  readonly running?: (stop: () => void) => void;
}

export async function storm(world: World): Promise<Omit<StormReport, 'slo'>> {
  const { port, profile, names = [['linux'], ['initrd.img']], nodes = 1, files = FILES } = world;
  const stages = names.map((search, index): Stage => {
    const think = { fromMs: 0, toMs: 0 };
    const own = world.profiles?.[index] ?? profile;
    return { name: search.at(-1)!, profile: own, search, optional: false, repeat: 1, think };
  });
  const plan = { name: 'test', stages };
  const cells = StormCells.allocate(1, stages.length);
  const engine = new PortableEngine();
  const server = { address: '127.0.0.1', port };
  world.running?.(() => cells.stop());
  const startedAt = engine.clock.now();
  const result = await runShare(
    {
      thread: 0,
      server,
      http: server,
      plan,
      seed: SEED,
      nodes: Array.from({ length: nodes }, (_, index) => index + 1),
      due: Array.from({ length: nodes }, () => 0),
      startAt: startedAt,
      source: 'address',
      faults: parseFaults(world.faults ?? {}),
      expected: [version('', files)],
      doubledAcks: true,
      mix: [],
      cells: cells.buffer,
    },
    engine,
    () => performance.now(),
  );
  const durationMs = engine.clock.now() - startedAt;
  await engine.close();
  const health = { busy: 0, delayP50: 0, delayP90: 0, delayP99: 0, delayMax: 0, drops: 0 };
  return aggregate(
    {
      startedAt: new Date(0),
      durationMs,
      server: 'none',
      http: `127.0.0.1:${port}`,
      seed: SEED,
      plan,
      mix: [],
      arrival: 'burst',
      nodes,
      verified: true,
      versioned: false,
      cpuMs: 0,
      engine: 'portable',
      machine: { cpu: '', cores: 0, node: '', kernel: '' },
      version: '',
    },
    [{ result, health, injected: createFaultCounts() }],
  );
}

export async function unruly(misbehave?: Misbehave): Promise<UnrulyHttp> {
  const server = await UnrulyHttp.start(FILES, misbehave);
  onTestFinished(() => server.close());
  return server;
}

export function reasons({ failures }: Omit<StormReport, 'slo'>): string[] {
  return failures.map(({ reason }) => reason);
}

export function ids({ violations }: Omit<StormReport, 'slo'>): string[] {
  return violations.map(({ id }) => id);
}
