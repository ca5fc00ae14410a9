/**
 * Finds files whose names differ from the requested one in the case of ASCII letters, as the names of Windows loaders
 * do. Knows folder listings. Does not check whether a file lies inside the root: it only lists names.
 *
 * A folder may hold a million files, and a request for a missing name has it listed. So listings are read in small
 * batches with other work in between, one folder at a time, and up to a cap.
 */
import { lstat, opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as othersHaveRun } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { identityOf, isFresh } from './file-identity.ts';
import { asText, foldCase } from './name.ts';
import { systemCode } from './system-failure.ts';
import { systemPath } from './system-path.ts';

interface Listing {
  /** Identity of the folder when it was listed; it changes with every name added or removed. */
  readonly identity: string;
  readonly fresh: boolean;
  /** Names by their folded form. */
  readonly names: ReadonlyMap<string, string>;
  /** True when the folder has more names than the cap. */
  readonly cut: boolean;
  /** Time until which the listing holds despite changes, by the clock. */
  readonly holdsUntil: number;
}

/**
 * Cap on folders whose listings are kept. A rack asks for thousands of names in few folders.
 * @limit Folder listings kept for case-insensitive names. Shows: nothing: the folder is listed again.
 */
const MAX_LISTINGS = 64;
/**
 * Caps on the names listed per folder, and on those kept for all folders; a name takes about 100 bytes.
 * @limit Names kept of one folder listing. Shows: a warning; other names are found only as they are written.
 */
const MAX_NAMES_LISTED = 65_536;
/** @limit Names kept of all folder listings. Shows: nothing: the folder is listed again. */
const MAX_NAMES_KEPT = 262_144;
/**
 * Names read in one batch, which takes about 100 µs.
 * @limit Names of a listing read in one batch.
 */
const BATCH = 512;
/**
 * Encoding for names as buffers, which the types lack. Where the file system does not report the type of an entry,
 * Node.js joins folder and name, and both must be of the same kind.
 */
const AS_BUFFERS = 'buffer' as BufferEncoding;
/**
 * A listing holds this many times as long as it took, so that a folder that keeps changing is listed for at most a
 * tenth of the time.
 */
const REST = 9;

export interface CaseFoldingOptions {
  /** Monotonic time in milliseconds, from an arbitrary origin. */
  readonly clock: () => number;
  /** Wall clock in milliseconds since the epoch. */
  readonly wallClock: () => number;
  /** Called when a folder has more names than the cap: names beyond it are found only in their exact spelling. */
  readonly onCut: (folder: string, listed: number) => void;
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(systemPath(path));
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

export class CaseFolding {
  readonly #options: CaseFoldingOptions;
  readonly #listings = new LRUCache<string, Listing>({
    max: MAX_LISTINGS,
    maxSize: MAX_NAMES_KEPT,
    sizeCalculation: ({ names }) => names.size + 1,
  });
  readonly #underWay = new Map<string, Promise<Listing>>();
  /** Resolves when no folder is being listed. */
  #lastListed: Promise<unknown> = Promise.resolve();

  constructor(options: CaseFoldingOptions) {
    this.#options = options;
  }

  /**
   * Finds `name` below `root`, part by part: an exact match wins, otherwise the first listed name in code unit order
   * that differs only in the case of A to Z.
   *
   * @param root absolute path, see name.ts.
   * @param name relative path, see name.ts.
   * @returns its path; undefined when some part matches nothing.
   * @throws Error with the system's code.
   */
  async find(root: string, name: string): Promise<string | undefined> {
    let path = root;
    for (const part of name.split('/')) {
      const exact = join(path, part);
      if (await exists(exact)) {
        path = exact;
        continue;
      }
      const actual = (await this.#list(path)).names.get(foldCase(part));
      if (actual === undefined) return undefined;
      path = join(path, actual);
    }
    return path;
  }

  #list(folder: string): Promise<Listing> {
    let listing = this.#underWay.get(folder);
    if (listing === undefined) {
      listing = this.#relist(folder).finally(() => this.#underWay.delete(folder));
      this.#underWay.set(folder, listing);
    }
    return listing;
  }

  async #relist(folder: string): Promise<Listing> {
    const { clock, wallClock, onCut } = this.#options;
    const known = this.#listings.get(folder);
    const from = clock();
    if (known !== undefined && from < known.holdsUntil) return known;
    const stats = await stat(systemPath(folder), { bigint: true });
    const identity = identityOf(stats);
    if (known !== undefined && known.identity === identity && !known.fresh) return known;
    const fresh = isFresh(stats, wallClock());
    const listed = this.#lastListed.then(() => list(folder));
    this.#lastListed = listed.catch(() => {});
    const { names, cut } = await listed;
    const holdsUntil = clock() + REST * (clock() - from);
    const listing = { identity, fresh, names, cut, holdsUntil };
    this.#listings.set(folder, listing);
    if (cut && known?.cut !== true) onCut(asText(folder), MAX_NAMES_LISTED);
    return listing;
  }
}

/** Reads a folder's names up to the cap. @throws Error with the system's code. */
async function list(folder: string): Promise<Pick<Listing, 'names' | 'cut'>> {
  const names = new Map<string, string>();
  let read = 0;
  // Leaving the loop in any way closes the folder.
  for await (const entry of await opendir(systemPath(folder), { bufferSize: BATCH, encoding: AS_BUFFERS })) {
    const name = (entry.name as unknown as Buffer).toString('latin1');
    if (read === MAX_NAMES_LISTED) return { names, cut: true };
    const folded = foldCase(name);
    const before = names.get(folded);
    if (before === undefined || name < before) names.set(folded, name);
    // The names of one batch come without a pause in between.
    if (++read % BATCH === 0) await othersHaveRun();
  }
  return { names, cut: false };
}
