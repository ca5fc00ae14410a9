/**
 * First step of publishing: the plan. Checks the request, finds the files and makes room for them before anything is
 * copied. Knows limits, names and sizes; reads no file contents and writes no records itself.
 */
import { statfs } from 'node:fs/promises';
import { checkApart, checkChannelName } from './channel-name.ts';
import { collect } from './collect.ts';
import type { BootSet } from './manifest.ts';
import { type FoundFile, scan } from './scan.ts';
import type { Tables } from './state.ts';
import type { Store } from './store.ts';
import { quote, StoreError } from './store-error.ts';

/**
 * Cap on versions in a store.
 * @limit Versions in a store. Shows: an error message.
 */
export const MAX_VERSIONS = 10_000;
/** @limit Labels of a version. Shows: an error message. */
export const MAX_LABELS = 32;
/** @limit Length of a label, characters. Shows: an error message. */
export const MAX_LABEL_CHARACTERS = 256;
/**
 * Cap on kernel arguments; more than kernels accept (COMMAND_LINE_SIZE is 2048 on x86, 4096 at most).
 * @limit Length of the kernel arguments, characters. Shows: an error message.
 */
export const MAX_KERNEL_ARGUMENTS_CHARACTERS = 4096;
/** Extra space for the manifest, index.json and the database. */
const SPARE_BYTES = 1024 * 1024;

export interface PublishRequest {
  readonly channel: string;
  /** Folders, which stand for their contents, and files. */
  readonly paths: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** True when the version must never be collected. */
  readonly keep?: boolean;
  /** True when the channel does not move: the version is meant for a rollout and goes to no node yet. */
  readonly candidate?: boolean;
  readonly kernelArguments?: string;
  /** Annotations `name`, `version` and `arch` of the operating system. */
  readonly os?: Readonly<Record<string, string>>;
  /** Stops the publishing between two chunks; the store stays unchanged. */
  readonly signal?: AbortSignal;
}

/** Effect of a new version on its channel: the channel moves to it, may roll it out later, or stays as it is. */
export type Standing = 'current' | 'candidate' | 'waiting';

/** Content of a version's record, besides its files. */
export interface Entry extends Omit<BootSet, 'files' | 'os'> {
  readonly channel: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly keep: boolean;
  readonly standing: Standing;
  /** True when the channel follows a registry, whose wish is this version. */
  readonly isFollowed?: boolean;
}

/** A checked request with the files it stands for. */
export interface PublishPlan extends Entry, Pick<BootSet, 'os'> {
  /** Sorted by name. */
  readonly files: readonly FoundFile[];
}

/** @throws StoreError when something can't be published or does not fit, or Error with the system's code. */
export async function planPublishing(store: Store, request: PublishRequest): Promise<PublishPlan> {
  const files = await checkPublishable(request);
  checkPlace(store.tables, request.channel);
  await makeRoom(store, files);
  const { channel, labels = {}, keep = false, candidate = false, kernelArguments, os = {} } = request;
  const standing: Standing = candidate ? 'candidate' : 'current';
  const plan = { channel, files, labels, keep, standing, os };
  return kernelArguments === undefined ? plan : { ...plan, kernelArguments };
}

/** Checks a request as far as possible without the store. @throws StoreError when something can't be published. */
export async function checkPublishable(request: PublishRequest): Promise<FoundFile[]> {
  checkRequest(request);
  return await scan(request.paths);
}

function checkRequest({ channel, labels = {}, os = {}, kernelArguments = '' }: PublishRequest): void {
  checkChannelName(channel);
  const pairs = Object.entries(labels);
  if (pairs.length > MAX_LABELS) throw new StoreError(`labels: expected at most ${MAX_LABELS}, got ${pairs.length}`);
  for (const [key, value] of [...pairs, ...Object.entries(os)]) {
    if (!/^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,62}[A-Za-z0-9])?$/.test(key)) {
      throw new StoreError(`label ${quote(key)}: expected a name of letters, digits and . _ / - between them`);
    }
    if (value.length > MAX_LABEL_CHARACTERS || /\p{Cc}/u.test(value)) {
      throw new StoreError(`label ${quote(key)}: expected at most ${MAX_LABEL_CHARACTERS} printable characters`);
    }
  }
  if (kernelArguments.length > MAX_KERNEL_ARGUMENTS_CHARACTERS || /\p{Cc}/u.test(kernelArguments)) {
    throw new StoreError(
      `kernel arguments: expected one line of at most ${MAX_KERNEL_ARGUMENTS_CHARACTERS} printable characters`,
    );
  }
}

/** Checks that the records have room for a version of the channel: for the plan, and again under the lock. */
export function checkPlace(tables: Tables, channel: string): void {
  const names = tables.channels.entries().map(([name]) => name);
  checkApart(
    channel,
    names.filter((name) => name !== channel),
  );
  if (tables.versions.entries().length >= MAX_VERSIONS) {
    throw new StoreError(`expected at most ${MAX_VERSIONS} versions in a store: remove old ones first`, false);
  }
}

/** Collects garbage when the files do not fit, and refuses them if they still do not. */
export async function makeRoom(store: Store, files: readonly { readonly size: number }[]): Promise<void> {
  const before = await roomFor(files, store.path);
  if (before.need <= before.free) return;
  await collect(store);
  const { need, free } = await roomFor(files, store.path);
  if (need <= free) return;
  throw new StoreError(
    `${store.path}: not enough space: expected ${need} bytes free, got ${free}; nothing was written`,
    false,
  );
}

/** Returns the bytes that the files need in the folder and the bytes free there. */
async function roomFor(
  files: readonly { readonly size: number }[],
  folder: string,
): Promise<{ need: number; free: number }> {
  const { bavail, bsize } = await statfs(folder);
  const blocks = files.reduce((sum, { size }) => sum + Math.ceil(size / bsize), 0);
  return { need: blocks * bsize + SPARE_BYTES, free: bavail * bsize };
}
