/** The report on the storm's own threads: the results are empty here, the health is not. */
import { expect, it } from 'vitest';
import { aggregate, type StormFacts } from '../../../src/storm/run/aggregate.ts';
import { createFaultCounts } from '../../../src/storm/plan/fault-plan.ts';
import { ValueRecorder } from '../../../src/storm/run/histogram.ts';
import { planFromFiles } from '../../../src/storm/plan/read-plan.ts';
import type { HarnessReport } from '../../../src/storm/report.ts';
import type { ThreadHealth } from '../../../src/storm/run/worker.ts';

const IDLE: ThreadHealth = { busy: 0.1, delayP50: 0, delayP90: 0, delayP99: 0, delayMax: 0, drops: 0 };

function harness(threads: readonly Partial<ThreadHealth>[], facts: Partial<StormFacts> = {}): HarnessReport {
  const none = { count: 0, example: '' };
  const nothing = new ValueRecorder().toTransferable();
  const result = {
    completed: 0,
    failed: 0,
    vanished: 0,
    mixed: none,
    uncompared: 0,
    stages: [],
    finish: nothing,
    firstReply: nothing,
    violations: new Map(),
    failures: new Map(),
    wrongFiles: none,
    silences: [],
    unheard: 0,
    lastBytesAt: 0,
    dataPackets: 0,
    curve: { completed: [], failed: [], bytes: [] },
  };
  return aggregate(
    {
      startedAt: new Date(0),
      durationMs: 10_000,
      server: '127.0.0.1:69',
      http: '127.0.0.1:80',
      seed: 1,
      plan: { ...planFromFiles({ profile: 'bare', files: ['linux'] }), stages: [] },
      mix: [],
      arrival: 'burst',
      nodes: 1,
      verified: false,
      versioned: false,
      cpuMs: 1,
      engine: 'linux',
      machine: { cpu: '', cores: 2, node: '', kernel: '' },
      version: '',
      ...facts,
    },
    threads.map((health) => ({ result, injected: createFaultCounts(), health: { ...IDLE, ...health } })),
  ).harness;
}

it('the storm was the bottleneck when one of its threads was busy, late, or lost datagrams', () => {
  expect(harness([{}, {}])).toMatchObject({ bottleneck: false, reasons: [], drops: 0 });
  expect(harness([{}, { busy: 0.93 }]).reasons).toEqual([
    'a thread of the storm was busy 93 % of the time: use more threads or cores',
  ]);
  expect(harness([{ delayP99: 21 }, {}]).reasons).toEqual([
    "the storm's event loop was 21 ms late at the 99th percentile",
  ]);
  expect(harness([{ drops: 3 }, { drops: 4 }])).toMatchObject({
    bottleneck: true,
    drops: 7,
    reasons: ["7 datagrams were lost in the storm's own socket buffers"],
  });
});

it('a storm of milliseconds is not called a bottleneck because of its own start', () => {
  const short = harness([{ busy: 0.97, delayP99: 35 }], { durationMs: 57 });
  expect(short).toMatchObject({ bottleneck: false, reasons: [] });
  expect(harness([{ drops: 1 }], { durationMs: 57 }).bottleneck).toBe(true);
});

it('drops of an engine that cannot count them are reported as unknown', () => {
  expect(harness([{ drops: null }, { drops: null }], { engine: 'portable' })).toMatchObject({
    drops: null,
    bottleneck: false,
  });
});
