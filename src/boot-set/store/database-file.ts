/**
 * Checks the database file before LMDB opens it. LMDB maps the file and trusts its contents: a truncated file would
 * kill the process by SIGBUS. Knows where LMDB stores the length of its file, and how to read a possibly damaged file
 * in a separate process.
 */
import { execFile } from 'node:child_process';
import { closeSync, fstatSync, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { STATE_FILE } from './layout.ts';
import type { OwnFolder } from './own-folder.ts';
import { StoreError } from './store-error.ts';

/**
 * Offsets in an LMDB page. The header is followed by the offsets of the nodes (leaf or branch page) or by a meta
 * record.
 */
const PAGE = { flagsAt: 18, countAt: 20, headerBytes: 24, branch: 1, leaf: 2 } as const;
const META = {
  magicAt: 24,
  pageSizeAt: 48,
  freeRootAt: 88,
  rootAt: 136,
  lastPageAt: 144,
  transactionAt: 152,
  bytes: 160,
} as const;
/** Offsets in a node: the size of its data or the page below it, flags, the key's size, key and data. */
const NODE = { flagsAt: 4, keySizeAt: 6, keyAt: 8, bigData: 1, subTree: 2 } as const;
/**
 * Offset of the root page in the data of a node that holds a tree, and of the page number in one whose data has pages
 * of its own.
 */
const TREE_ROOT_AT = 40;
const BIG_PAGES_AT = 16;
/** Root of an empty tree. */
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
/** LMDB's magic number, followed by the format version. */
const MAGIC = 'dec0efbe02000000';
const PAGE_SIZES = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];
/** Attempts at checking a database that others write to meanwhile. */
const LOOKS = 5;
/** Cap on the survey's output; more would come from a store larger than any store can be. */
const MAX_SURVEY_BYTES = 256 * 1024 ** 2;

/** Contents of the database that index.json lacks, as far as they can be read. */
export interface Survey {
  readonly rollouts: readonly { readonly channel: string; readonly candidate: number }[];
  /** Versions chosen for a node by hand. */
  readonly overrides: readonly { readonly node: string; readonly channel: string; readonly version: number }[];
  readonly pins: readonly { readonly node: string; readonly channel: string; readonly version: number }[];
  /** Names of versions whose use was noted. */
  readonly useNotes: readonly string[];
}

interface Meta {
  readonly pageSize: number;
  readonly lastPage: bigint;
  readonly transaction: bigint;
  /** Root pages of its two trees: free pages and data. */
  readonly roots: readonly bigint[];
}

function readMeta(fd: number, at: number): Meta | undefined {
  const page = Buffer.alloc(META.bytes);
  if (readSync(fd, page, 0, page.length, at) < page.length) return undefined;
  if (page.toString('hex', META.magicAt, META.magicAt + MAGIC.length / 2) !== MAGIC) return undefined;
  const pageSize = page.readUInt32LE(META.pageSizeAt);
  if (!PAGE_SIZES.includes(pageSize)) return undefined;
  const read = (from: number): bigint => page.readBigUInt64LE(from);
  return {
    pageSize,
    lastPage: read(META.lastPageAt),
    transaction: read(META.transactionAt),
    roots: [read(META.freeRootAt), read(META.rootAt)],
  };
}

/**
 * Reads the two meta records, which LMDB writes in turn.
 *
 * @returns the newest; undefined when the file is not a database.
 */
function newestMeta(fd: number): Meta | undefined {
  const first = readMeta(fd, 0);
  const second = first === undefined ? undefined : readMeta(fd, first.pageSize);
  if (first === undefined || second === undefined) return undefined;
  return second.transaction > first.transaction ? { ...second, pageSize: first.pageSize } : first;
}

/** @returns the pages below this one, and whether all data pages that it names are within `pages`. */
function below(page: Buffer, pages: bigint): { next: bigint[]; isWhole: boolean } {
  const flags = page.readUInt16LE(PAGE.flagsAt);
  const next: bigint[] = [];
  let isWhole = (flags & (PAGE.branch | PAGE.leaf)) !== 0;
  for (let index = 0; index < page.readUInt16LE(PAGE.countAt) >> 1; index++) {
    const node = PAGE.headerBytes + page.readUInt16LE(PAGE.headerBytes + 2 * index);
    const nodeFlags = page.readUInt16LE(node + NODE.flagsAt);
    if ((flags & PAGE.branch) !== 0) {
      next.push(BigInt(page.readUInt32LE(node)) + (BigInt(nodeFlags) << 32n));
      continue;
    }
    const data = node + NODE.keyAt + page.readUInt16LE(node + NODE.keySizeAt);
    if ((nodeFlags & NODE.bigData) !== 0) {
      isWhole &&= page.readBigUInt64LE(data) + page.readBigUInt64LE(data + BIG_PAGES_AT) <= pages;
    } else if ((nodeFlags & NODE.subTree) !== 0) next.push(page.readBigUInt64LE(data + TREE_ROOT_AT));
  }
  return { next, isWhole };
}

/** Returns true when every used page lies within the file. Follows all trees, without mapping anything. */
function isComplete(fd: number, { pageSize, roots }: Meta, bytes: number): boolean {
  const pages = BigInt(Math.floor(bytes / pageSize));
  const seen = new Set<bigint>();
  const waiting = [...roots];
  const page = Buffer.alloc(pageSize);
  try {
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      if (at === NO_PAGE) continue;
      if (at >= pages || seen.has(at)) return false;
      seen.add(at);
      if (readSync(fd, page, 0, pageSize, Number(at) * pageSize) < pageSize) return false;
      const { next, isWhole } = below(page, pages);
      if (!isWhole) return false;
      waiting.push(...next);
    }
    return true;
  } catch (error) {
    // An offset beyond the end of its page.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** @returns what is wrong with the file, as the rest of an error message. */
function faultOf(fd: number): string | undefined {
  for (let look = 1, before: bigint | undefined; ; look++) {
    const meta = newestMeta(fd);
    if (meta === undefined) return 'expected the database of a store, got another file or a damaged database';
    // Read after the meta record: another process may write, and it extends the file before updating the record.
    const { size } = fstatSync(fd);
    const says = (meta.lastPage + 1n) * BigInt(meta.pageSize);
    // LMDB does not write free pages at the end, so a shorter file can be complete.
    if (BigInt(size) >= says || isComplete(fd, meta, size)) return undefined;
    // Pages are reused two transactions later, so the check may have followed pages of another state.
    if (meta.transaction === before || look === LOOKS)
      return `expected ${says} bytes, got ${size}: the file is truncated`;
    before = meta.transaction;
  }
}

/**
 * Script for a separate Node.js process, so that a damaged file can crash only that process. Prints what index.json
 * lacks.
 */
const SURVEY = `
import { open } from 'lmdb';
const root = open({ path: process.argv[1], readOnly: true, noSubdir: true, maxDbs: 12 });
const all = (name) => [...(root.openDB({ name })?.getRange() ?? [])];
const chosen = ({ value: { node, channel, version } }) => ({ node, channel, version });
const said = {
  rollouts: all('channels').flatMap(({ key, value: { rollout } }) =>
    rollout === undefined ? [] : [{ channel: key, candidate: rollout.candidate }]),
  overrides: all('overrides').map(chosen),
  pins: all('pins').map(chosen),
  useNotes: all('leases').map(({ key }) => key),
};
process.stdout.write(JSON.stringify(said));
`;

/** @returns the contents of the database; undefined when it can't be read. Never throws. */
export async function surveyDatabase(path: string): Promise<Survey | undefined> {
  try {
    const args = ['--input-type=module', '--eval', SURVEY, path];
    const options = { cwd: import.meta.dirname, maxBuffer: MAX_SURVEY_BYTES };
    const { stdout } = await promisify(execFile)(process.execPath, args, options);
    return JSON.parse(stdout) as Survey;
  } catch {
    return undefined;
  }
}

/** Returns the error for a damaged database. */
export function damaged(path: string, what: string): StoreError {
  return new StoreError(`${path}: ${what}: "reveille store rebuild" rebuilds the database from index.json`, false);
}

/**
 * Checks that the file is an LMDB database and as long as it says.
 *
 * @returns true when the file exists and is not empty.
 * @throws StoreError when the file is damaged.
 */
export async function checkDatabase(root: OwnFolder): Promise<boolean> {
  if ((root.stat(STATE_FILE)?.size ?? 0) === 0) return false;
  const fd = root.openSync(STATE_FILE);
  try {
    const fault = faultOf(fd);
    if (fault !== undefined) throw damaged(`${root.path}/${STATE_FILE}`, fault);
    return true;
  } finally {
    closeSync(fd);
  }
}
