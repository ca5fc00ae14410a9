/**
 * The file of the database before LMDB has it. LMDB maps the file and believes what is in it: of a file that is cut short
 * the process dies by SIGBUS. Knows where LMDB says how long its file is, and how to read a file that may be damaged: in
 * a process of its own.
 */
import { execFile } from 'node:child_process';
import { closeSync, fstatSync, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { STATE_FILE } from './layout.ts';
import type { OwnFolder } from './own-folder.ts';
import { StoreError } from './store-error.ts';

/** Where a page of LMDB's has what: behind its header are, on a leaf or branch, the places of its nodes, or a meta record. */
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
/** A node: the size of its data or the page below it, flags, the key's size, key and data. */
const NODE = { flagsAt: 4, keySizeAt: 6, keyAt: 8, bigData: 1, subTree: 2 } as const;
/** In the data of a node that holds a tree, and in that of one whose data has pages of its own. */
const TREE_ROOT_AT = 40;
const BIG_PAGES_AT = 16;
/** The root of a tree that has nothing in it. */
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
/** The magic number, with the format's version after it. */
const MAGIC = 'dec0efbe02000000';
const PAGE_SIZES = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];
/** Looks at a database that others write to meanwhile. */
const LOOKS = 5;
/** What the survey may say; one that says more is of a store larger than there are. */
const MAX_SURVEY_BYTES = 256 * 1024 ** 2;

/** What a database holds that index.json does not, as far as it can be read. */
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
  /** The first pages of its trees: what is free, and what there is. */
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

/** There are two metas, written in turn. @returns the newest; undefined: it is no database. */
function newestMeta(fd: number): Meta | undefined {
  const first = readMeta(fd, 0);
  const second = first === undefined ? undefined : readMeta(fd, first.pageSize);
  if (first === undefined || second === undefined) return undefined;
  return second.transaction > first.transaction ? { ...second, pageSize: first.pageSize } : first;
}

/** @returns the pages that this one leads to, and whether pages of data that it names are within `pages`. */
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

/** Whether every page that is in use lies in the file: follows all trees, without mapping anything. */
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
    // A place behind the end of its page.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** @returns what is wrong with the file, as the rest of a line. */
function faultOf(fd: number): string | undefined {
  for (let look = 1, before: bigint | undefined; ; look++) {
    const meta = newestMeta(fd);
    if (meta === undefined) return 'expected the database of a store, got something else or a damaged one';
    // After the meta was read: another process may write, and the file is longer before it says so.
    const { size } = fstatSync(fd);
    const says = (meta.lastPage + 1n) * BigInt(meta.pageSize);
    // LMDB does not write free pages at the end, so a shorter file can be whole.
    if (BigInt(size) >= says || isComplete(fd, meta, size)) return undefined;
    // Pages are used again two transactions later: what was followed may have been another state's.
    if (meta.transaction === before || look === LOOKS) return `expected ${says} bytes, got ${size}: it is cut short`;
    before = meta.transaction;
  }
}

/**
 * Run by Node.js, so that whatever the file does to LMDB ends another process. Tells what index.json does not have.
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

/** @returns what is in the database; undefined: it can't be read. Never throws. */
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

/** What is told of a database that can't be believed. */
export function damaged(path: string, what: string): StoreError {
  return new StoreError(`${path}: ${what}: "reveille store rebuild" makes it anew from index.json`, false);
}

/**
 * Checks that the file is a database of LMDB's and as long as it says.
 *
 * @returns whether it is there and not empty.
 * @throws StoreError
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
