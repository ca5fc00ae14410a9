/**
 * Serves the files below one folder. Knows names, symbolic links and file times; leaves the bytes to the buffer cache.
 * Never serves anything outside the folder, whatever the name and wherever links lead, except in trusted folders that
 * links lead into.
 *
 * A name is looked up (where it leads, and to which version of the file) at most once a second; in between, the last
 * result holds, including that there is no file. Bytes are cached per version, so an edit creates a second entry beside
 * the one that running transfers still read.
 */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { AllocateFile, MapFile } from '../bytes/shared-bytes.ts';
import type { BufferCache } from './buffer-cache.ts';
import type { HeldBytes, Loaded, Unloaded } from './buffer-cache-types.ts';
import { CaseFolding } from './case-folding.ts';
import { LOOKS } from './disk-turns.ts';
import { identityOf, isFresh } from './file-identity.ts';
import {
  CHANGED,
  type FoundFile,
  isInside,
  mostBytes,
  SMALL_BYTES,
  snapshot,
  type SnapshotOptions,
  stream,
  type StreamOptions,
} from './file-snapshot.ts';
import { holdRing, lacksMemory } from './held-ring.ts';
import { asBytes, asText, exactPath } from './name.ts';
import { answerToFailure } from './system-failure.ts';
import { realPathOf, systemPath } from './system-path.ts';
import type { TrustedRoots } from './trusted-roots.ts';
import type { Answer, BootRequest, Busy, Denied, Missing, Source, TransferMode, Validators } from './types.ts';
import { whenReady } from './when-ready.ts';

export interface DirectoryOptions {
  /** The folder. May be a symbolic link, even one that is switched while the server runs. */
  readonly root: string;
  /**
   * Folders that links in the root may lead into. Whoever can create links in the root can have everything in these
   * folders served. Default: none.
   */
  readonly trustedRoots?: TrustedRoots | undefined;
  /** The cache may be shared with other sources. */
  readonly cache: BufferCache;
  /** True to let `BOOT/X` find `boot/x`. Folds ASCII letters alone; an exact match wins. Default false. */
  readonly caseInsensitive?: boolean;
  /**
   * Maps files instead of copying them. Only for folders whose files are immutable and only ever replaced: a file
   * changed in place would change under its readers. Default: each version is copied into memory.
   */
  readonly mapFile?: MapFile | undefined;
  /** Allocates memory for copies. Default: shared memory. */
  readonly allocateFile?: AllocateFile | undefined;
  /** Monotonic time in milliseconds, from an arbitrary origin. */
  readonly clock: () => number;
  /** Wall clock in milliseconds since the epoch, by which file times are judged. Default Date.now. */
  readonly wallClock?: () => number;
  /** Called with one line for the operator. */
  readonly onWarning?: ((message: string, detail: Readonly<Record<string, unknown>>) => void) | undefined;
}

/** How long the result of a lookup holds. */
export const LOOK_AGAIN_MS = 1000;
/**
 * Cap on names whose last lookup is remembered; the least recently requested are forgotten.
 * @limit Names whose lookup is remembered. Shows: nothing: the name is looked up again.
 */
const MAX_NAMES = 8192;
/**
 * Attempts to read a file that keeps changing, before the client has to ask again.
 * @limit Attempts to read a file that keeps changing. Shows: `reveille_requests_ignored_total{reason="busy"}`.
 */
const ATTEMPTS = 4;

/** Hexadecimal digits of a hash that are enough to tell versions of a file apart. */
const ETAG_DIGITS = 32;

/**
 * A file and the cache keys of its bytes: one key per version, whatever names lead to it. A file written a moment ago
 * gets new keys at each look, so that it is read again until its times can be trusted.
 */
interface KeyedFile extends FoundFile {
  readonly keys: Readonly<Record<TransferMode, string>>;
  /** Those of its bytes as octets. */
  readonly validators: () => Validators;
}

interface Look {
  /** Time at which the look began, by the clock. */
  readonly at: number;
  readonly found: KeyedFile | Missing | Denied | Busy;
}

interface Asked {
  /** Path, one character per byte like all paths here: file names may be any bytes. */
  readonly name: string;
  readonly mode: TransferMode;
  /** Attempt number, from 1; one more for each time the file changed while it was read. */
  readonly attempt: number;
}

export class Directory implements Source {
  readonly #root: string;
  /** The root as given, and the root as last found without symbolic links. */
  #paths: readonly string[];
  readonly #trustedRoots: TrustedRoots | undefined;
  readonly #cache: BufferCache;
  readonly #folding: CaseFolding | undefined;
  readonly #ways: Pick<SnapshotOptions, 'mapFile' | 'allocateFile'>;
  readonly #onWarning: DirectoryOptions['onWarning'];
  readonly #clock: () => number;
  readonly #wallClock: () => number;
  readonly #looks = new LRUCache<string, Look>({ max: MAX_NAMES });
  readonly #looking = new Map<string, Promise<Look>>();

  constructor(options: DirectoryOptions) {
    this.#root = asBytes(resolve(options.root));
    this.#paths = [this.#root];
    this.#trustedRoots = options.trustedRoots;
    this.#cache = options.cache;
    this.#ways = { mapFile: options.mapFile, allocateFile: options.allocateFile };
    this.#onWarning = options.onWarning;
    this.#clock = options.clock;
    this.#wallClock = options.wallClock ?? Date.now;
    const onCut = (folder: string, listed: number): void =>
      options.onWarning?.('a folder has too many names: case matters for the names beyond the limit', {
        folder,
        listed,
      });
    const folding = { clock: this.#clock, wallClock: this.#wallClock, onCut };
    this.#folding = options.caseInsensitive === true ? new CaseFolding(folding) : undefined;
  }

  get paths(): readonly string[] {
    return this.#paths;
  }

  open(request: BootRequest): Answer | Promise<Answer> {
    const name = exactPath(request.filename);
    return typeof name === 'string' ? this.#open({ name, mode: request.mode, attempt: 1 }) : name;
  }

  #open(asked: Asked): Answer | Promise<Answer> {
    return whenReady(this.#look(asked.name), (look) => this.#take(asked, look));
  }

  /** Returns the bytes of what was found; at once when they are in memory or being read. */
  #take(asked: Asked, look: Look): Answer | Promise<Answer> {
    const { found } = look;
    const { mode } = asked;
    if (found.kind !== 'file') return found;
    const key = found.keys[mode];
    const loaded =
      found.size <= SMALL_BYTES
        ? this.#cache.acquire(key, () => snapshot(found, mode, this.#ways), found.size)
        : this.#cache.acquire(key, () => this.#stream(asked, look, found), 0, mostBytes(found.size, mode));
    return whenReady(loaded, (ready) =>
      lacksMemory(ready) && found.size > SMALL_BYTES
        ? this.#goRound(asked, look, found)
        : this.#answer(asked, look, ready),
    );
  }

  async #stream(asked: Asked, look: Look, found: KeyedFile): Promise<Loaded | Unloaded> {
    const supply = await stream(found, asked.mode, { ...this.#ways, ...this.#manners(asked, look) });
    if ('kind' in supply) return supply;
    // A copy may stay without readers, because reading it was expensive.
    const idles = this.#ways.mapFile === undefined || asked.mode === 'netascii';
    return { handle: supply.handle, supply, discard: () => supply.stop(), idles };
  }

  /** Serves through a ring a file that does not fit into memory. */
  async #goRound(asked: Asked, look: Look, found: KeyedFile): Promise<Answer> {
    const { allocateFile } = this.#ways;
    const isImmutable = this.#ways.mapFile !== undefined;
    const manners = { ...this.#manners(asked, look), allocateFile, isImmutable, isRing: true };
    return this.#answer(asked, look, await holdRing(this.#cache, () => stream(found, asked.mode, manners)));
  }

  #manners({ name }: Asked, look: Look): Pick<StreamOptions, 'clock' | 'onFailure'> {
    return {
      clock: this.#clock,
      onFailure: (failure, error) => {
        this.#forget(name, look);
        const reason = failure === 'changed' ? 'the file changed while it was read for the first time' : String(error);
        this.#onWarning?.('a file could not be read to its end', { file: asText(name), reason });
      },
    };
  }

  #answer(asked: Asked, look: Look, loaded: HeldBytes | Unloaded): Answer | Promise<Answer> {
    const { name, mode, attempt } = asked;
    if (loaded.kind === 'held') {
      const { handle, supply, release } = loaded;
      const { found } = look;
      const validators = found.kind === 'file' && mode === 'octet' ? found.validators : undefined;
      return { kind: 'content', handle, supply, label: asText(name), validators, release };
    }
    if (loaded === CHANGED) {
      this.#forget(name, look);
      if (attempt < ATTEMPTS) return this.#open({ ...asked, attempt: attempt + 1 });
    } else if (loaded.kind !== 'busy' && this.#looks.peek(name) === look) {
      this.#looks.set(name, { at: look.at, found: loaded });
    }
    return loaded;
  }

  /** All contents of the file share the function, because a running transfer keeps its content. */
  #validatorsOf(key: string, modifiedMs: number): () => Validators {
    let etag: string | undefined;
    return () => {
      etag ??= createHash('sha256').update(key, 'latin1').digest('hex').slice(0, ETAG_DIGITS);
      // HTTP's dates have whole seconds: a later write within this one would have the same.
      const isSettled = this.#wallClock() - modifiedMs >= 1000;
      return isSettled ? { etag, modifiedMs } : { etag };
    };
  }

  /**
   * Returns what the name leads to: the result of the last second, or that of a new look. One look at a time per name.
   */
  #look(name: string): Look | Promise<Look> {
    const known = this.#looks.get(name);
    if (known !== undefined && this.#clock() - known.at < LOOK_AGAIN_MS) return known;
    let looking = this.#looking.get(name);
    if (looking === undefined) {
      looking = this.#lookNow(name).finally(() => this.#looking.delete(name));
      this.#looking.set(name, looking);
    }
    return looking;
  }

  async #lookNow(name: string): Promise<Look> {
    const look: Look = { at: this.#clock(), found: await LOOKS.run(this.#root, () => this.#find(name)) };
    // A busy result is not stored: the next request looks again.
    if (look.found.kind === 'busy') return look;
    const before = this.#looks.peek(name)?.found;
    if (before?.kind === 'file' && this.#isGone(before, look.found)) this.#supersede(before);
    this.#looks.set(name, look);
    return look;
  }

  async #find(name: string): Promise<Look['found']> {
    let root: string;
    try {
      root = await realPathOf(this.#root);
      this.#paths = [this.#root, root];
    } catch (error) {
      // A missing root (not mounted, being switched) says nothing about its files: clients must ask again.
      const answer = answerToFailure(error);
      return answer.kind === 'missing' ? { kind: 'busy', reason: `${asText(this.#root)} does not exist` } : answer;
    }
    const found = await this.#findBelow(root, name);
    if (found.kind !== 'missing' && found.kind !== 'denied') return found;
    const folding = this.#folding;
    const step = folding === undefined ? join : (folder: string, part: string) => folding.find(folder, part);
    return (await this.#trustedRoots?.mayHold(root, name, step)) === true
      ? { kind: 'busy', reason: 'the target of a link does not exist, and a folder of trustedRoots is missing' }
      : found;
  }

  async #findBelow(root: string, name: string): Promise<Look['found']> {
    try {
      const path = this.#folding === undefined ? join(root, name) : await this.#folding.find(root, name);
      return path === undefined ? { kind: 'missing' } : await this.#examine(path, root);
    } catch (error) {
      return answerToFailure(error);
    }
  }

  /** @throws Error with the system's code. */
  async #examine(path: string, root: string): Promise<KeyedFile | Missing | Denied> {
    const real = await realPathOf(path);
    const place = isInside(real, root) ? root : await this.#trustedRoots?.folderOf(real);
    if (place === undefined) return { kind: 'denied', reason: `leads to ${asText(real)}, outside ${asText(root)}` };
    const stats = await stat(systemPath(real), { bigint: true });
    if (stats.isDirectory()) return { kind: 'missing' };
    if (!stats.isFile()) return { kind: 'denied', reason: `${asText(real)} is not a regular file` };
    const identity = identityOf(stats);
    const fresh = isFresh(stats, this.#wallClock());
    // Within one second all names that lead to the same file share its bytes.
    const look = fresh ? Math.floor(this.#clock() / LOOK_AGAIN_MS) : '';
    const key = (mode: TransferMode): string => `${this.#root}\0${mode}\0${identity}\0${look}`;
    const keys = { octet: key('octet'), netascii: key('netascii') };
    const { dev: device, nlink: links } = stats;
    const size = Number(stats.size);
    const modifiedMs = Number(stats.mtimeNs / 1_000_000n);
    const validators = this.#validatorsOf(keys.octet, modifiedMs);
    return { kind: 'file', root: place, path: real, size, device, identity, links, fresh, keys, validators };
  }

  /**
   * Returns true when the version found before is outdated. A link that now leads elsewhere says nothing about its old
   * target.
   */
  #isGone(before: KeyedFile, now: Look['found']): boolean {
    if (now.kind !== 'file') return true;
    return now.path === before.path && now.keys.octet !== before.keys.octet;
  }

  #supersede({ keys }: KeyedFile): void {
    this.#cache.supersede(keys.octet);
    this.#cache.supersede(keys.netascii);
  }

  /** Drops the result of a look and supersedes its bytes, unless a newer look has replaced it. */
  #forget(name: string, look: Look): void {
    if (this.#looks.peek(name) !== look) return;
    this.#looks.delete(name);
    if (look.found.kind === 'file') this.#supersede(look.found);
  }
}
