/**
 * Limits concurrent file calls per disk. File calls run on the few threads of libuv's pool; a disk that hangs blocks
 * the threads that wait for it, and must not block all of them.
 */

/** Threads for file calls: UV_THREADPOOL_SIZE, or libuv's default. */
const THREADS = Number(process.env['UV_THREADPOOL_SIZE']) || 4;
/**
 * With this many threads a disk may use two for reading, and four each for lookups and for opening; with fewer, one
 * each.
 */
const MANY_THREADS = 16;
/**
 * @limit Reads at once from one disk, where Node.js has 16 threads for file calls; 1 where it has fewer. Setting:
 * `UV_THREADPOOL_SIZE`. Shows: nothing: reads wait.
 */
const READS_PER_DISK = 2;
/**
 * @limit Lookups at once below one folder, and opens likewise, where Node.js has 16 threads for file calls; 1 where it
 * has fewer. Setting: `UV_THREADPOOL_SIZE`. Shows: nothing: lookups wait.
 */
const LOOKS_PER_FOLDER = 4;
/** Returns the number of concurrent calls allowed. */
const allowed = (calls: number): number => (THREADS >= MANY_THREADS ? calls : 1);

interface Place {
  busy: number;
  /** Waiting calls in order of arrival. */
  readonly waiting: (() => void)[];
}

/** Limits the number of concurrent calls per place; further calls wait. */
export class Turns<Key> {
  readonly #most: number;
  readonly #places = new Map<Key, Place>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Runs the call when its turn comes. */
  async run<T>(key: Key, call: () => Promise<T>): Promise<T> {
    let place = this.#places.get(key);
    if (place === undefined) {
      place = { busy: 0, waiting: [] };
      this.#places.set(key, place);
    }
    const { waiting } = place;
    if (place.busy === this.#most) await new Promise<void>((resolve) => void waiting.push(resolve));
    else place.busy++;
    try {
      return await call();
    } finally {
      const next = waiting.shift();
      if (next !== undefined) next();
      else if (--place.busy === 0) this.#places.delete(key);
    }
  }
}

/** Turns for reading, by the device number in a file's stat. Global, because the threads belong to the process. */
export const READS = new Turns<number | bigint>(allowed(READS_PER_DISK));
/** Turns for looking up names, by the folder above them: the disk is known only afterwards. */
export const LOOKS = new Turns<string>(allowed(LOOKS_PER_FOLDER));
/**
 * Turns for opening files, by the same key. Separate from lookups and reads, so that none of the three waits for the
 * others.
 */
export const OPENINGS = new Turns<string>(allowed(LOOKS_PER_FOLDER));
