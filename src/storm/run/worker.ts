/** The entry module of a storm's thread: makes its engine, runs its share, reports how busy it was. */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { createEngine, type EngineKind } from '../../engine/create.ts';
import { StormCells } from './cells.ts';
import { createFaultCounts, type FaultCounts } from '../plan/fault-plan.ts';
import { withFaults } from './faulty-engine.ts';
import { Random } from '../plan/random.ts';
import { runShare, type ShareOrder } from './share.ts';
import type { ShareResult } from './share-result.ts';

export interface WorkerOrder {
  readonly engine: EngineKind;
  readonly share: Omit<ShareOrder, 'startAt'>;
}

/** The condition of the thread itself. */
export interface ThreadHealth {
  /** Share of the time spent working, 0..1. */
  readonly busy: number;
  /** Delay of the event loop, in milliseconds. */
  readonly delayP50: number;
  readonly delayP90: number;
  readonly delayP99: number;
  readonly delayMax: number;
  /** Datagrams lost in this process's buffers, or that could not be sent; null where the engine does not know. */
  readonly drops: number | null;
}

export interface WorkerResult {
  readonly result: ShareResult;
  readonly health: ThreadHealth;
  readonly injected: FaultCounts;
}

const WAIT_MS = 2;
/** Sampling interval of the event loop's delay, in milliseconds; the interval itself does not count as delay. */
const RESOLUTION_MS = 5;
const NS_PER_MS = 1e6;

export default async function run({ engine: kind, share }: WorkerOrder): Promise<WorkerResult> {
  const cells = StormCells.attach(share.cells, share.plan.stages.length);
  const injected = createFaultCounts();
  // With one address for all nodes, their links form a single series, so each thread needs another generator.
  const chance = new Random(share.seed).fork('faults');
  const random = share.source === 'port' ? chance.fork(share.thread) : chance;
  const engine = withFaults(createEngine(kind), share.faults, random, injected);
  try {
    cells.ready();
    while (cells.startAt === 0 && !cells.stopping) await delay(WAIT_MS);
    const before = performance.eventLoopUtilization();
    const late = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    late.enable();
    const order = { ...share, startAt: cells.startAt };
    const result = await runShare(order, engine, () => performance.now());
    late.disable();
    const { receiveDrops, sendDrops } = engine.health();
    const lateMs = (ns: number): number => Math.max(0, ns / NS_PER_MS - RESOLUTION_MS);
    return {
      result,
      injected,
      health: {
        busy: performance.eventLoopUtilization(before).utilization,
        delayP50: lateMs(late.percentile(50)),
        delayP90: lateMs(late.percentile(90)),
        delayP99: lateMs(late.percentile(99)),
        delayMax: lateMs(late.max),
        // Node.js does not report what the kernel dropped.
        drops: kind === 'portable' ? null : receiveDrops + sendDrops,
      },
    };
  } finally {
    await engine.close();
  }
}
