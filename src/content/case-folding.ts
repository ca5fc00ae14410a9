/**
 * Finding files whose names differ from the one asked for in the case of ASCII letters (Windows' loaders vary it).
 * Knows folders' listings. Does not care whether what it finds lies inside the root: it only lists names.
 *
 * A folder may hold a million files, and whoever asks for a name that is not there has it listed. So a listing is read
 * bit by bit, with everything else in between, one at a time, and ends at a bound.
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
  /** Of the folder when it was listed: it changes with every name that comes or goes. */
  readonly identity: string;
  readonly fresh: boolean;
  /** Folded name to the name as it is. */
  readonly names: ReadonlyMap<string, string>;
  /** Whether the folder has more names than are listed. */
  readonly cut: boolean;
  /** Until when it holds whatever has changed, by the clock. */
  readonly holdsUntil: number;
}

/** Folders whose listings are kept. A rack asks for thousands of names in few folders. */
const MAX_LISTINGS = 64;
/** Names of one folder that are listed, and of all of them that are kept: some 100 bytes each. */
const MAX_NAMES_LISTED = 65_536;
const MAX_NAMES_KEPT = 262_144;
/** Names that are read in one go: some 100 µs. */
const BATCH = 512;
/**
 * Names as buffers, which the types leave out: where a file system does not say what an entry is, Node.js joins folder
 * and name, and both must be of one kind.
 */
const AS_BUFFERS = 'buffer' as BufferEncoding;
/** A listing holds for so many times as long as it took: a folder that never stays the same is listed for a tenth of the time. */
const REST = 9;

export interface CaseFoldingOptions {
  /** Milliseconds since some moment; never steps back. */
  readonly clock: () => number;
  /** The time of day in milliseconds. */
  readonly wallClock: () => number;
  /** A folder has more names than are listed: those beyond are found as they are written alone. */
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
  /** Settles when nothing is being listed. */
  #lastListed: Promise<unknown> = Promise.resolve();

  constructor(options: CaseFoldingOptions) {
    this.#options = options;
  }

  /**
   * Finds `name` below `root`, part by part: an exact match wins, otherwise the first in code unit order of those
   * listed that are equal but for the case of A to Z.
   *
   * @param root absolute, and @param name relative: paths as in name.ts.
   * @returns its path, or undefined when some part matches nothing.
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

/** Reads a folder's names, as many as are listed. @throws Error with the system's code. */
async function list(folder: string): Promise<Pick<Listing, 'names' | 'cut'>> {
  const names = new Map<string, string>();
  let read = 0;
  // Leaving the loop closes the folder, however that comes about.
  for await (const entry of await opendir(systemPath(folder), { bufferSize: BATCH, encoding: AS_BUFFERS })) {
    const name = (entry.name as unknown as Buffer).toString('latin1');
    if (read === MAX_NAMES_LISTED) return { names, cut: true };
    const folded = foldCase(name);
    const before = names.get(folded);
    if (before === undefined || name < before) names.set(folded, name);
    // What was read at once is handed out without a pause.
    if (++read % BATCH === 0) await othersHaveRun();
  }
  return { names, cut: false };
}
