/**
 * Schedules garbage collection of the store, at intervals and when the disk gets full, each run in a separate process.
 * Knows times and results; the collection itself finds out what is needed.
 */
import { statfs } from 'node:fs/promises';
import type { VerbEnd } from '../admin/api.ts';
import type { CollectionStats } from '../telemetry/store-metrics.ts';

/** Interval between checks of the free space. */
const CHECK_MS = 30_000;
/** Percentage of free disk space below which a collection runs early. */
const MIN_FREE_PERCENT = 10;
/** Minimum time after any collection before one for lack of space: the last one may not have helped. */
const PRESSURE_AGAIN_MS = 5 * 60_000;

export interface CollectionScheduleOptions {
  readonly store: string;
  /** Interval between collections in milliseconds; 0: only when the disk gets full. */
  readonly everyMs: number;
  readonly graceMs: number;
  readonly run: (verb: string, args: readonly string[]) => Promise<VerbEnd>;
  readonly onCollected: (result: Readonly<Record<string, unknown>>) => void;
  readonly onFailure: (reason: string) => void;
  /** Returns the percentage of the disk that is free. Default: as the file system reports. */
  readonly freePercent?: () => Promise<number>;
  /** Clock in milliseconds, with an arbitrary origin. */
  readonly now?: () => number;
}

export class CollectionSchedule {
  readonly #options: CollectionScheduleOptions;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;
  #lastRunAt: number;
  #busy = false;
  #runs = 0;
  #failures = 0;
  #versions = 0;
  #bytes = 0;

  constructor(options: CollectionScheduleOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#lastRunAt = this.#now();
  }

  /** Starts the checks. The timer does not keep the process alive. */
  start(): void {
    const { everyMs } = this.#options;
    const step = everyMs === 0 ? CHECK_MS : Math.min(CHECK_MS, everyMs);
    this.#timer = setInterval(() => void this.collectIfDue(), step).unref();
  }

  stats(): CollectionStats {
    return { runs: this.#runs, failures: this.#failures, versions: this.#versions, bytes: this.#bytes };
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Collects when a collection is due, or when space is short. Runs one collection at a time. */
  async collectIfDue(): Promise<void> {
    if (this.#busy) return;
    const { everyMs } = this.#options;
    this.#busy = true;
    try {
      const since = this.#now() - this.#lastRunAt;
      const isTime = everyMs > 0 && since >= everyMs;
      if (isTime || (since >= PRESSURE_AGAIN_MS && (await this.#freePercent()) < MIN_FREE_PERCENT))
        await this.#collect();
    } finally {
      this.#busy = false;
    }
  }

  async #freePercent(): Promise<number> {
    const { store, freePercent } = this.#options;
    if (freePercent !== undefined) return freePercent();
    try {
      const { bavail, blocks } = await statfs(store);
      return blocks === 0 ? 100 : (100 * bavail) / blocks;
    } catch {
      return 100;
    }
  }

  async #collect(): Promise<void> {
    const { graceMs, run, onCollected, onFailure } = this.#options;
    this.#lastRunAt = this.#now();
    const { code, stdout, stderr } = await run('gc', [`--grace=${graceMs}ms`]);
    this.#runs++;
    const result = code === 0 ? parseResult(stdout) : undefined;
    if (result === undefined) {
      this.#failures++;
      onFailure(stderr === '' ? `ended with ${code ?? 'a signal'}` : stderr);
      return;
    }
    this.#versions += result.versions.length;
    this.#bytes += result.bytes;
    onCollected({ versions: result.versions, bytes: result.bytes, blobs: result.blobs, waiting: result.waiting });
  }
}

/** Parses the output of `gc --json`, as far as it is counted. */
function parseResult(text: string): { versions: string[]; bytes: number; blobs: number; waiting: number } | undefined {
  let result: unknown;
  try {
    result = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { versions, bytes, blobs, waiting } = (result ?? {}) as Record<string, unknown>;
  if (!Array.isArray(versions) || typeof bytes !== 'number' || typeof blobs !== 'number') return undefined;
  return {
    versions: versions.map((version: { name?: unknown }) => String(version.name)),
    bytes,
    blobs,
    waiting: Array.isArray(waiting) ? waiting.length : 0,
  };
}
