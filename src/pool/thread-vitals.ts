/**
 * The health of a worker's thread: processor time used and event loop delay, written once a second to its row of
 * counters. Does not keep the process alive.
 */
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { vitalColumn } from '../engine/counters.ts';

const EVERY_MS = 1000;
/**
 * The longest delay is reported over two such windows, one of them in progress: a reader every ten seconds misses none.
 */
const WINDOW_MS = 10_000;
/** Period of the timer that measures the delay, ms. Any excess over it is the delay. */
const RESOLUTION_MS = 20;

/** Starts the notes. @returns function to call before the thread ends. */
export function noteVitals(row: Float64Array): () => void {
  const [cpuSeconds, eventLoopDelayMs] = [vitalColumn('cpuSeconds'), vitalColumn('eventLoopDelayMs')];
  // Processor time used by earlier threads with this row.
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
  /** Microseconds. Node.js 23.9 or later. */
  threadCpuUsage?(): { readonly user: number; readonly system: number };
}

/** Returns the processor time used by the calling thread, s; undefined where it can't be measured. */
export function threadCpuSeconds(): number | undefined {
  const usage = (process as ThreadUsage).threadCpuUsage?.();
  if (usage !== undefined) return (usage.user + usage.system) / 1e6;
  try {
    // Read here and not in Node.js's own threads, so that it is this thread's file. Its first field is run time, ns.
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ', 1)[0]) / 1e9;
  } catch {
    return undefined;
  }
}
