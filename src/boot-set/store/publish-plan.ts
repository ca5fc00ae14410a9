/**
 * The first step of publishing: the plan. Checks what is asked for, finds the files and makes room for them, before
 * anything is copied. Knows limits, names and sizes; reads no file's bytes and writes no record of its own.
 */
import { statfs } from 'node:fs/promises';
import { checkApart, checkChannelName } from './channel-name.ts';
import { collect } from './collect.ts';
import type { BootSet } from './manifest.ts';
import { type FoundFile, scan } from './scan.ts';
import type { Tables } from './state.ts';
import type { Store } from './store.ts';
import { quote, StoreError } from './store-error.ts';

/** Versions in a store. */
export const MAX_VERSIONS = 10_000;
export const MAX_LABELS = 32;
export const MAX_LABEL_CHARACTERS = 256;
/** More than kernels take (COMMAND_LINE_SIZE is 2048 on x86, 4096 at most). */
export const MAX_KERNEL_ARGUMENTS_CHARACTERS = 4096;
/** For the manifest, index.json and the database. */
const SPARE_BYTES = 1024 * 1024;

export interface PublishRequest {
  readonly channel: string;
  /** Folders, whose contents they stand for, and files. */
  readonly paths: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** Never collected. */
  readonly keep?: boolean;
  /** The channel does not move: the version is for a rollout, to nobody as yet. */
  readonly candidate?: boolean;
  readonly kernelArguments?: string;
  /** `name`, `version`, `arch`. */
  readonly os?: Readonly<Record<string, string>>;
  /** Stops it between two chunks; the store stays as it was. */
  readonly signal?: AbortSignal;
}

/** A request that was checked, with the files that it stands for. */
export interface PublishPlan extends Omit<BootSet, 'files'> {
  readonly channel: string;
  /** In the order of their names. */
  readonly files: readonly FoundFile[];
  readonly labels: Readonly<Record<string, string>>;
  readonly keep: boolean;
  readonly candidate: boolean;
}

/** @throws StoreError for what can't be published or does not fit, or Error with the system's code. */
export async function planPublishing(store: Store, request: PublishRequest): Promise<PublishPlan> {
  const files = await checkPublishable(request);
  checkPlace(store.tables, request.channel);
  await makeRoom(store, files);
  const { channel, labels = {}, keep = false, candidate = false, kernelArguments, os = {} } = request;
  const plan = { channel, files, labels, keep, candidate, os };
  return kernelArguments === undefined ? plan : { ...plan, kernelArguments };
}

/** Checks a request as far as that goes without the store. @throws StoreError for what can't be published. */
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

/** Checks that the records have a place for a version of the channel: for the plan, and again under the lock. */
export function checkPlace(tables: Tables, channel: string): void {
  const names = tables.channels.entries().map(([name]) => name);
  checkApart(
    channel,
    names.filter((name) => name !== channel),
  );
  if (tables.versions.entries().length >= MAX_VERSIONS) {
    throw new StoreError(`expected at most ${MAX_VERSIONS} versions in a store: remove some`, false);
  }
}

/** Collects where the files do not fit, and refuses them if they do not fit then. */
async function makeRoom(store: Store, files: readonly FoundFile[]): Promise<void> {
  const before = await roomFor(files, store.path);
  if (before.need <= before.free) return;
  await collect(store);
  const { need, free } = await roomFor(files, store.path);
  if (need <= free) return;
  throw new StoreError(`${store.path}: no space: expected ${need} bytes free, got ${free}; nothing was written`, false);
}

/** Bytes that the files take in the folder, and bytes that are free there. */
async function roomFor(files: readonly FoundFile[], folder: string): Promise<{ need: number; free: number }> {
  const { bavail, bsize } = await statfs(folder);
  const blocks = files.reduce((sum, { size }) => sum + Math.ceil(size / bsize), 0);
  return { need: blocks * bsize + SPARE_BYTES, free: bavail * bsize };
}
