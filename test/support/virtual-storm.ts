/** A storm on virtual time, with its report: one thread's share, run in this thread. */
import type { MemoryNetwork } from '../../src/engine/memory.ts';
import type { Address } from '../../src/engine/types.ts';
import { aggregate } from '../../src/storm/run/aggregate.ts';
import { CELL, StormCells } from '../../src/storm/run/cells.ts';
import type { ExpectedVersion } from '../../src/storm/run/expected.ts';
import { createFaultCounts, type FaultFlags, parseFaults } from '../../src/storm/plan/fault-plan.ts';
import { withFaults } from '../../src/storm/run/faulty-engine.ts';
import type { BootPlan } from '../../src/storm/plan/plan.ts';
import { Random } from '../../src/storm/plan/random.ts';
import type { StormReport } from '../../src/storm/report.ts';
import { runShare } from '../../src/storm/run/share.ts';
import type { VirtualClock } from '../../src/engine/virtual-clock.ts';

/** A version with the files as nodes should get them. */
export function version(name: string, files: ReadonlyMap<string, Uint8Array>): ExpectedVersion {
  const places = new Map<string, { offset: number; length: number }>();
  let offset = 0;
  for (const [file, { length }] of files) {
    places.set(file, { offset, length });
    offset += length;
  }
  const buffer = new SharedArrayBuffer(offset);
  for (const [file, bytes] of files) new Uint8Array(buffer).set(bytes, places.get(file)!.offset);
  return { name, buffer, files: places };
}

export interface VirtualStorm {
  readonly network: MemoryNetwork;
  readonly server: Address;
  readonly plan: BootPlan;
  readonly expected: readonly ExpectedVersion[];
  /** Number of nodes. Default 10. */
  readonly nodes?: number;
  /** Seed of the storm. Default 5. */
  readonly seed?: number;
  readonly faults?: FaultFlags;
  readonly everyMs?: number;
  /** Called once a second with the counts of resent packets. */
  readonly watch?: (resent: { readonly client: number; readonly server: number }) => void;
  /** Time at which the storm is stopped. */
  readonly stopAt?: number;
}

export async function virtualStorm(storm: VirtualStorm): Promise<Omit<StormReport, 'slo'>> {
  const { network, server, plan, expected, nodes = 10, seed = 5, everyMs = 0 } = storm;
  const clock: VirtualClock = network.clock;
  const cells = StormCells.allocate(1, plan.stages.length);
  const faults = parseFaults(storm.faults ?? {});
  const injected = createFaultCounts();
  const engine = withFaults(network.engine(), faults, new Random(seed).fork('faults'), injected);
  const running = runShare(
    {
      thread: 0,
      server,
      http: server,
      plan,
      seed,
      nodes: Array.from({ length: nodes }, (_, index) => index + 1),
      due: Array.from({ length: nodes }, (_, index) => index * everyMs),
      startAt: 0,
      source: 'address',
      faults,
      expected,
      doubledAcks: true,
      mix: [],
      cells: cells.buffer,
    },
    engine,
    () => clock.now(),
  );
  const state = { ended: false };
  void running.finally(() => {
    state.ended = true;
  });
  if (storm.stopAt !== undefined) clock.wake(storm.stopAt, () => cells.stop());
  for (let second = 1; !state.ended && second < 1000; second++) {
    await clock.runAsync(second * 1000);
    storm.watch?.({ client: cells.sum(CELL.client), server: cells.sum(CELL.server) });
  }
  const result = await running;
  const idle = { busy: 0, delayP50: 0, delayP90: 0, delayP99: 0, delayMax: 0, drops: 0 };
  return aggregate(
    {
      startedAt: new Date(0),
      durationMs: clock.now(),
      server: 'memory',
      http: 'none',
      seed,
      plan,
      mix: [],
      arrival: 'burst',
      nodes,
      verified: true,
      versioned: expected.length > 1,
      cpuMs: 0,
      engine: 'memory',
      machine: { cpu: '', cores: 0, node: '', kernel: '' },
      version: '',
    },
    [{ result, health: idle, injected }],
  );
}
