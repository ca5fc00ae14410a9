/**
 * Cache of shared bytes, kept while they have readers and afterwards as long as the budget allows. Knows keys and
 * sizes; no files, names or transfers.
 *
 * An entry is in one of three states. Held: it has readers, and nothing evicts it. Shelved: it has no readers but was
 * marked by keep(); only the limit evicts it, not the budget. Idle: lru-cache decides which entry goes first. The total
 * stays within the budget by evicting idle entries; when held and shelved entries alone exceed it, nothing idle is
 * kept.
 */
import { LRUCache } from 'lru-cache';
import { giveUpShared } from '../bytes/shared-bytes.ts';
import type { FileSupply } from './file-supply.ts';
import type { BufferCacheOptions, BufferCacheStats, HeldBytes, Loaded, Unloaded } from './buffer-cache-types.ts';

const DEFAULT_MAX_BYTES = 2 * 1024 ** 3;
/**
 * An eighth of the limit, and at most this, is reserved for small files and for parts of large ones: a client that holds a
 * file of almost the limit, or only asks for it, keeps nobody from the others.
 * @limit Part of the memory limit for small files and rings: an eighth of the limit, and at most this. Setting:
 * `memoryLimit`.
 */
const MOST_RESERVE_BYTES = 64 * 1024 ** 2;

interface Entry {
  readonly key: string;
  loaded: Loaded;
  size: number;
  /** Bytes still to come. */
  promised: number;
  readers: number;
  superseded: boolean;
}

interface Load {
  result: Promise<Entry | Unloaded>;
  waiting: number;
  superseded: boolean;
}

/** Returns the size that an entry counts for: lru-cache throws on a size of 0, so an empty file counts as one byte. */
function sizeOf(bytes: number): number {
  return Math.max(1, bytes);
}

function discard({ loaded }: Entry): void {
  loaded.discard?.();
  giveUpShared(loaded.handle);
}

export class BufferCache {
  #maxBytes: number;
  readonly #limitBytes: number;
  /** The part of the limit that is not for whole large files. */
  readonly #reserveBytes: number;
  readonly #onOverBudget: (bytes: number) => void;
  readonly #held = new Map<string, Entry>();
  // Without `max`, for which lru-cache would preallocate that many entries.
  readonly #idle: LRUCache<string, Entry>;
  readonly #loads = new Map<string, Load>();
  /** Number of keep() calls in force per key; the caller bounds the number of keys. */
  readonly #keeps = new Map<string, number>();
  readonly #shelved = new Map<string, Entry>();
  #shelvedBytes = 0;
  #isOverBudget = false;
  #overBudget = 0;
  #heldBytes = 0;
  #promisedBytes = 0;
  #heldEntries = 0;
  #hits = 0;
  #misses = 0;
  #loadsStarted = 0;
  #evictions = 0;

  /** @throws RangeError when maxBytes is not a whole number of bytes. */
  constructor(options: BufferCacheOptions = {}) {
    const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 0) {
      throw new RangeError(`Expected maxBytes to be a whole number of bytes, got ${maxBytes}`);
    }
    this.#limitBytes = options.limitBytes ?? Number.POSITIVE_INFINITY;
    this.#reserveBytes = Math.min(MOST_RESERVE_BYTES, this.#limitBytes / 8);
    this.#maxBytes = Math.min(maxBytes, this.#limitBytes);
    this.#onOverBudget = options.onOverBudget ?? (() => {});
    this.#idle = new LRUCache({
      maxSize: sizeOf(this.#maxBytes),
      sizeCalculation: (entry) => entry.size,
      dispose: (entry, _, reason) => {
        if (reason === 'evict') this.#evict(entry);
      },
    });
  }

  /**
   * Returns the bytes of `key`, at once from memory or later from `load`. For concurrent calls `load` runs once, and
   * all get its result: the bytes, held for each caller, or its failure, or a rejection with what it threw.
   *
   * @param key must identify one version of the bytes, for instance by a file's identity; versions of one name have
   *   separate keys.
   * @param expectedBytes makes room in the budget before the load instead of after it.
   * @param promisedBytes bytes that arrive over time; there must be room for them below the limit, and idle entries are
   *   evicted only as they arrive.
   */
  acquire(
    key: string,
    load: () => Promise<Loaded | Unloaded>,
    expectedBytes = 0,
    promisedBytes = 0,
  ): HeldBytes | Unloaded | Promise<HeldBytes | Unloaded> {
    const present = this.#held.get(key) ?? this.#unshelve(key) ?? this.#revive(key);
    if (present !== undefined) {
      this.#hits++;
      present.readers++;
      return this.#handOut(present);
    }
    this.#misses++;
    const loading = this.#loads.get(key);
    const limit = promisedBytes > 0 ? this.#limitBytes - this.#reserveBytes : this.#limitBytes;
    const refusal = loading === undefined ? this.#refusal(expectedBytes + promisedBytes, limit) : undefined;
    if (refusal !== undefined) return refusal;
    const underWay = loading ?? this.#startLoad(key, load, expectedBytes, promisedBytes);
    underWay.waiting++;
    return underWay.result.then((result) => ('kind' in result ? result : this.#handOut(result)));
  }

  /**
   * Invalidates `key`: its bytes are not handed out again. Current readers keep theirs, and the memory is freed with
   * the last of them, or at once without any. The next acquire() of the key loads it again.
   */
  supersede(key: string): void {
    const idle = this.#takeShelved(key) ?? this.#idle.peek(key);
    this.#idle.delete(key);
    if (idle !== undefined) discard(idle);
    const held = this.#held.get(key);
    if (held !== undefined) this.#supersede(held);
    const load = this.#loads.get(key);
    if (load !== undefined) {
      load.superseded = true;
      this.#loads.delete(key);
    }
  }

  /**
   * Keeps the bytes of `key` once they are loaded, even without readers, until drop() has been called as often as
   * keep(). They count for the budget, but only the limit evicts them.
   */
  keep(key: string): void {
    this.#keeps.set(key, (this.#keeps.get(key) ?? 0) + 1);
    const entry = this.#idle.peek(key);
    if (entry === undefined) return;
    this.#idle.delete(key);
    this.#shelve(entry);
  }

  /** Reverses one call of keep(). */
  drop(key: string): void {
    const times = (this.#keeps.get(key) ?? 0) - 1;
    if (times > 0) {
      this.#keeps.set(key, times);
      return;
    }
    this.#keeps.delete(key);
    const entry = this.#takeShelved(key);
    if (entry !== undefined) this.#letIdle(entry);
  }

  /**
   * Frees everything without readers, and from now on each entry with its last reader. Call when no more requests come.
   */
  close(): void {
    this.#maxBytes = 0;
    this.#keeps.clear();
    for (const entry of [...this.#shelved.values(), ...this.#idle.values()]) {
      this.#takeShelved(entry.key);
      this.#idle.delete(entry.key);
      discard(entry);
    }
  }

  /**
   * Reserves `bytes` without a key for a single reader.
   *
   * @returns a function that gives them back, to be called once; or why there is no room.
   */
  hold(bytes: number): (() => void) | Unloaded {
    const refusal = this.#refusal(bytes, this.#limitBytes);
    if (refusal !== undefined) return refusal;
    this.#heldBytes += bytes;
    this.#keepToBudget();
    return () => {
      this.#heldBytes -= bytes;
    };
  }

  /** Returns true when the bytes of `key` are in memory, whole or still arriving. */
  has(key: string): boolean {
    return this.#held.has(key) || this.#shelved.has(key) || this.#idle.has(key);
  }

  stats(): BufferCacheStats {
    return {
      heldBytes: this.#heldBytes,
      idleBytes: this.#idle.calculatedSize,
      shelvedBytes: this.#shelvedBytes,
      entries: this.#heldEntries + this.#shelved.size + this.#idle.size,
      hits: this.#hits,
      misses: this.#misses,
      loads: this.#loadsStarted,
      evictions: this.#evictions,
      overBudget: this.#overBudget,
    };
  }

  #unshelve(key: string): Entry | undefined {
    const entry = this.#takeShelved(key);
    if (entry !== undefined) this.#hold(entry);
    return entry;
  }

  #takeShelved(key: string): Entry | undefined {
    const entry = this.#shelved.get(key);
    if (entry === undefined) return undefined;
    this.#shelved.delete(key);
    this.#shelvedBytes -= entry.size;
    return entry;
  }

  #shelve(entry: Entry): void {
    this.#shelved.set(entry.key, entry);
    this.#shelvedBytes += entry.size;
    this.#keepToBudget();
  }

  #letIdle(entry: Entry): void {
    // lru-cache would silently refuse an entry larger than the budget.
    if (entry.size > this.#maxBytes) this.#evict(entry);
    else this.#idle.set(entry.key, entry);
    this.#keepToBudget();
  }

  #evict(entry: Entry): void {
    this.#evictions++;
    discard(entry);
  }

  /** Moves an idle entry back to the held ones, with no reader yet. */
  #revive(key: string): Entry | undefined {
    const entry = this.#idle.get(key);
    if (entry === undefined) return undefined;
    this.#idle.delete(key);
    this.#hold(entry);
    return entry;
  }

  /** Returns why there is no memory for this many more bytes; undefined when there is. Idle entries would make way. */
  #refusal(bytes: number, limit: number): Unloaded | undefined {
    if (this.#heldBytes + this.#promisedBytes + bytes <= limit) return undefined;
    if (bytes <= limit) return { kind: 'busy', reason: 'the memory limit is reached', isShortOfMemory: true };
    return { kind: 'denied', reason: `${bytes} bytes exceed the memory limit`, tooLarge: true };
  }

  #startLoad(key: string, load: () => Promise<Loaded | Unloaded>, expectedBytes: number, promisedBytes: number): Load {
    const underWay: Load = { result: Promise.resolve({ kind: 'missing' }), waiting: 0, superseded: false };
    this.#loads.set(key, underWay);
    this.#loadsStarted++;
    this.#heldBytes += expectedBytes;
    this.#promisedBytes += promisedBytes;
    this.#keepToBudget();
    underWay.result = this.#finishLoad(key, load, { expectedBytes, promisedBytes }, underWay);
    return underWay;
  }

  async #finishLoad(
    key: string,
    load: () => Promise<Loaded | Unloaded>,
    { expectedBytes, promisedBytes }: { readonly expectedBytes: number; readonly promisedBytes: number },
    underWay: Load,
  ): Promise<Entry | Unloaded> {
    let loaded: Loaded | Unloaded;
    try {
      loaded = await load();
    } finally {
      this.#heldBytes -= expectedBytes;
      this.#promisedBytes -= promisedBytes;
      if (!underWay.superseded) this.#loads.delete(key);
    }
    if ('kind' in loaded) return loaded;
    // All waiting callers are counted before any of them runs, so that the first release can't free the bytes of the
    // others.
    const { waiting: readers, superseded } = underWay;
    const { supply } = loaded;
    const size = sizeOf(supply === undefined ? loaded.handle.length : supply.arrived);
    const entry: Entry = { key, loaded, size, promised: 0, readers, superseded };
    this.#hold(entry);
    if (supply !== undefined) {
      supply.watch(() => this.#grow(entry, supply));
      this.#grow(entry, supply);
    }
    return entry;
  }

  /**
   * Accounts for bytes that have arrived, or for the failure of the supply. After a failure the next acquire() loads
   * the bytes again.
   */
  #grow(entry: Entry, supply: FileSupply): void {
    if (entry.readers === 0) return;
    this.#heldBytes += sizeOf(supply.arrived) - entry.size;
    entry.size = sizeOf(supply.arrived);
    this.#promise(entry, supply.failure === undefined ? supply.size - supply.arrived : 0);
    if (supply.isWhole) entry.loaded = { ...entry.loaded, handle: supply.handle, supply: undefined };
    else if (supply.failure !== undefined) this.#supersede(entry);
    this.#keepToBudget();
  }

  #promise(entry: Entry, bytes: number): void {
    this.#promisedBytes += bytes - entry.promised;
    entry.promised = bytes;
  }

  #supersede(entry: Entry): void {
    if (entry.superseded) return;
    entry.superseded = true;
    this.#held.delete(entry.key);
  }

  #hold(entry: Entry): void {
    if (!entry.superseded) this.#held.set(entry.key, entry);
    this.#heldBytes += entry.size;
    this.#heldEntries++;
    this.#keepToBudget();
  }

  #handOut(entry: Entry): HeldBytes {
    let released = false;
    return {
      kind: 'held',
      handle: entry.loaded.handle,
      supply: entry.loaded.supply,
      release: () => {
        if (released) return;
        released = true;
        this.#release(entry);
      },
    };
  }

  #release(entry: Entry): void {
    entry.readers--;
    if (entry.readers > 0) return;
    this.#heldBytes -= entry.size;
    this.#heldEntries--;
    if (!entry.superseded) this.#held.delete(entry.key);
    this.#promise(entry, 0);
    const { supply, discard: giveBack, idles = giveBack === undefined } = entry.loaded;
    // Reading stops when no transfer needs the bytes any longer.
    if (entry.superseded || !idles || supply !== undefined) discard(entry);
    else if (this.#keeps.has(entry.key)) this.#shelve(entry);
    else this.#letIdle(entry);
  }

  #keepToBudget(): void {
    const inUse = this.#heldBytes + this.#shelvedBytes;
    while (inUse + this.#idle.calculatedSize > this.#maxBytes && this.#idle.pop() !== undefined);
    const over = this.#shelvedBytes > 0 && inUse > this.#maxBytes;
    if (over && !this.#isOverBudget) {
      this.#overBudget++;
      this.#onOverBudget(inUse);
    }
    this.#isOverBudget = over;
    // The limit holds regardless of keep(): an entry evicted here is read again on the next request.
    for (const [key, entry] of this.#shelved) {
      if (this.#heldBytes + this.#shelvedBytes <= this.#limitBytes) break;
      this.#takeShelved(key);
      this.#evict(entry);
    }
  }
}
