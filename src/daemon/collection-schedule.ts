/**
 * Garbage collection of the store, now and then and when the disk gets full, each in a process of its own. Knows when,
 * and what came of it; what is needed and what is not, the collection finds out for itself.
 */
import { statfs } from 'node:fs/promises';
import type { VerbEnd } from '../admin/api.ts';

/** How often the free space is looked at. */
const CHECK_MS = 30_000;
/** Less of the disk than this, and a collection comes before its time. */
const MIN_FREE_PERCENT = 10;
/** Where a collection did not help, the next one for want of space waits so long. */
const PRESSURE_AGAIN_MS = 5 * 60_000;

export interface CollectionScheduleOptions {
  readonly store: string;
  /** Between two collections; 0: only when the disk gets full. */
  readonly everyMs: number;
  readonly graceMs: number;
  readonly run: (verb: string, args: readonly string[]) => Promise<VerbEnd>;
  readonly onCollected: (result: Readonly<Record<string, unknown>>) => void;
  readonly onFailure: (reason: string) => void;
  /** Share of the disk that is free, in percent. Default: the file system's word. */
  readonly freePercent?: () => Promise<number>;
  /** Milliseconds since some moment. */
  readonly now?: () => number;
}

export interface CollectionStats {
  readonly runs: number;
  readonly failures: number;
  readonly versions: number;
  readonly bytes: number;
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

  /** Begins to check; no timer keeps the process alive. */
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

  /** Collects if it is time, or if there is little room. One collection at a time. */
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

/** What `gc --json` prints, as far as it is counted. */
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
