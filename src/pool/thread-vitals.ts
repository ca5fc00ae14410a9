/**
 * How a worker's thread fares: processor time used and how long its event loop keeps others waiting, noted once a second
 * in its row of counters. Keeps no process alive.
 */
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { vitalColumn } from '../engine/counters.ts';

const EVERY_MS = 1000;
/** Of two such windows, one under way, the longest delay is shown: whoever looks every ten seconds misses none. */
const WINDOW_MS = 10_000;
/** The timer by which the delay is measured. What it takes longer than that is the delay. */
const RESOLUTION_MS = 20;

/** @returns what to call before the thread ends. */
export function noteVitals(row: Float64Array): () => void {
  const [cpuSeconds, eventLoopDelayMs] = [vitalColumn('cpuSeconds'), vitalColumn('eventLoopDelayMs')];
  // What the thread had used that had this row before.
  const before = row[cpuSeconds]!;
  const monitor = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  monitor.enable();
  let [longest, formerly, left] = [0, 0, WINDOW_MS];
  const timer = setInterval(() => {
    row[cpuSeconds] = before + (threadCpuSeconds() ?? 0);
    if (monitor.count > 0) longest = Math.max(longest, monitor.max / 1e6 - RESOLUTION_MS);
    monitor.reset();
    row[eventLoopDelayMs] = Math.max(longest, formerly);
    left -= EVERY_MS;
    if (left > 0) return;
    [longest, formerly, left] = [0, longest, WINDOW_MS];
  }, EVERY_MS).unref();
  return () => {
    clearInterval(timer);
    monitor.disable();
  };
}

interface ThreadUsage {
  /** Microseconds. Since Node.js 23.9. */
  threadCpuUsage?(): { readonly user: number; readonly system: number };
}

/** Processor time used by the thread that calls; undefined where it can't be told. */
export function threadCpuSeconds(): number | undefined {
  const usage = (process as ThreadUsage).threadCpuUsage?.();
  if (usage !== undefined) return (usage.user + usage.system) / 1e6;
  try {
    // Reading it here, and not in Node.js's own threads, makes it this thread's. First comes the time on a processor, in ns.
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ', 1)[0]) / 1e9;
  } catch {
    return undefined;
  }
}
