/**
 * Finding files whose names differ from the one asked for in the case of ASCII letters (Windows' loaders vary it).
 * Knows folders' listings. Does not care whether what it finds lies inside the root: it only lists names.
 */
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { asciiLowerCase } from '../protocol/request.ts';
import { identityOf, isFresh } from './file-identity.ts';
import { systemCode } from './system-failure.ts';

interface Listing {
  /** Of the folder when it was listed: it changes with every name that comes or goes. */
  readonly identity: string;
  readonly fresh: boolean;
  /** Folded name to the name as it is. */
  readonly names: ReadonlyMap<string, string>;
}

/** Folders whose listings are kept. A rack asks for thousands of names in few folders. */
const MAX_LISTINGS = 64;

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

export class CaseFolding {
  readonly #wallClock: () => number;
  readonly #listings = new LRUCache<string, Listing>({ max: MAX_LISTINGS });
  readonly #underWay = new Map<string, Promise<Listing>>();

  constructor(wallClock: () => number) {
    this.#wallClock = wallClock;
  }

  /**
   * Finds `name` below `root`, part by part: an exact match wins, otherwise the first in code unit order of those
   * equal but for the case of A to Z.
   *
   * @param name a clean one (name.ts).
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
      const actual = (await this.#list(path)).names.get(asciiLowerCase(part));
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
    const stats = await stat(folder, { bigint: true });
    const identity = identityOf(stats);
    const known = this.#listings.get(folder);
    if (known !== undefined && known.identity === identity && !known.fresh) return known;
    const fresh = isFresh(stats, this.#wallClock());
    const names = new Map<string, string>();
    for (const actual of (await readdir(folder)).toSorted()) {
      const folded = asciiLowerCase(actual);
      if (!names.has(folded)) names.set(folded, actual);
    }
    const listing = { identity, fresh, names };
    this.#listings.set(folder, listing);
    return listing;
  }
}
