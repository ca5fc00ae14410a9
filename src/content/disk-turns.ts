/**
 * Whose turn it is to use a disk. Calls on files run on the few threads that the process has for them (libuv's): a disk that
 * hangs keeps those that wait for it, and must not keep all of them.
 */

/** Threads for calls on files: libuv's default where nothing else is said. */
const THREADS = Number(process.env['UV_THREADPOOL_SIZE']) || 4;
/** With so many threads a disk may have two for reading, and four each for names and for opening. */
const MANY_THREADS = 16;
const READS_PER_DISK = 2;
const LOOKS_PER_FOLDER = 4;
/** With fewer threads, one of each. */
const allowed = (calls: number): number => (THREADS >= MANY_THREADS ? calls : 1);

interface Place {
  busy: number;
  /** In the order in which they came. */
  readonly waiting: (() => void)[];
}

/** Calls at once in one place; others wait. */
export class Turns<Key> {
  readonly #most: number;
  readonly #places = new Map<Key, Place>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Calls when it is its turn. */
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

/** Reading, by the disk's number as a file's stat has it. The threads are the process's, and so are the turns. */
export const READS = new Turns<number | bigint>(allowed(READS_PER_DISK));
/** Looking for names, by the folder below which they are: which disk that is shows only afterwards. */
export const LOOKS = new Turns<string>(allowed(LOOKS_PER_FOLDER));
/** Opening what was found, likewise: whoever reads has waited for both, and none of them for the others. */
export const OPENINGS = new Turns<string>(allowed(LOOKS_PER_FOLDER));
