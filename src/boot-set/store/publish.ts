/**
 * Publishing: files into the store as a version of a channel. Everything is copied, hashed and on the disk before one
 * transaction makes it visible; until then the store is as it was, and what is in the staging area is nobody's.
 */
import { constants, renameSync } from 'node:fs';
import { open, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { identityOf } from '../../content/file-identity.ts';
import { withCurrent } from './channel-changes.ts';
import { checkApart, checkChannelName } from './channel-name.ts';
import { collect } from './collect.ts';
import { hashHandle } from './hash-file.ts';
import { syncPath } from './index-file.ts';
import { buildManifest, EMPTY_CONFIG, MAX_MANIFEST_BYTES, sha256 } from './manifest.ts';
import { type ChannelRecord, type FileRecord, type VersionRecord, versionName } from './records.ts';
import { type FoundFile, scan } from './scan.ts';
import { makeStagingFolder, removeStagingFolder } from './staging-folder.ts';
import type { Tables } from './state.ts';
import type { Store } from './store.ts';
import { quote, StoreError, whatFailed } from './store-error.ts';

/** Versions in a store. */
export const MAX_VERSIONS = 10_000;
export const MAX_LABELS = 32;
export const MAX_LABEL_CHARACTERS = 256;
/** More than kernels take (COMMAND_LINE_SIZE is 2048 on x86, 4096 at most). */
export const MAX_KERNEL_ARGUMENTS_CHARACTERS = 4096;
/** For the manifest, index.json and the database. */
const SPARE_BYTES = 1024 * 1024;
/** One file is read while another is synced. */
const FILES_AT_ONCE = 2;

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

export interface Published {
  /** Its explicit name. */
  readonly name: string;
  readonly channel: string;
  readonly number: number;
  readonly manifest: string;
  readonly files: number;
  readonly bytes: number;
  /** Whether there was no version with the same content. */
  readonly isNew: boolean;
  /** What was current before; the channel is at `number` now, unless it is a candidate. */
  readonly before: number | undefined;
}

interface Staged {
  readonly path: string;
  readonly digest: string;
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

/** What the state must be like; looked at before anything is copied, and again under the lock. */
function checkPlace(tables: Tables, channel: string): void {
  const names = tables.channels.entries().map(([name]) => name);
  checkApart(
    channel,
    names.filter((name) => name !== channel),
  );
  if (tables.versions.entries().length >= MAX_VERSIONS) {
    throw new StoreError(`expected at most ${MAX_VERSIONS} versions in a store: remove some`, false);
  }
}

/** Refuses what does not fit, after a try to make room. */
async function checkRoom(store: Store, files: readonly FoundFile[]): Promise<void> {
  const room = async (): Promise<{ need: number; free: number }> => {
    const { bavail, bsize } = await statfs(store.path);
    const blocks = files.reduce((sum, { size }) => sum + Math.ceil(size / bsize), 0);
    return { need: blocks * bsize + SPARE_BYTES, free: bavail * bsize };
  };
  const before = await room();
  if (before.need <= before.free) return;
  await collect(store);
  const { need, free } = await room();
  if (need <= free) return;
  throw new StoreError(`${store.path}: no space: expected ${need} bytes free, got ${free}; nothing was written`, false);
}

async function copyFile(file: FoundFile, target: string, store: Store, signal?: AbortSignal): Promise<FileRecord> {
  const { O_RDONLY, O_NONBLOCK } = constants;
  const source = await open(file.path, O_RDONLY | O_NONBLOCK);
  try {
    const copy = await open(target, 'wx', 0o444);
    try {
      store.onStep('file made');
      const hashed = await hashHandle(source, (chunk, at) => writeWhole(copy, chunk, at), signal);
      store.onStep('file written');
      await copy.sync();
      store.onStep('file synced');
      const now = identityOf(await source.stat({ bigint: true }));
      if (now !== file.identity || hashed.size !== file.size) {
        throw new StoreError(`${quote(file.path)}: expected files that do not change meanwhile: publish again`, false);
      }
      return { name: file.name, ...hashed };
    } finally {
      await copy.close();
    }
  } finally {
    await source.close();
  }
}

async function writeWhole(
  file: { write: (bytes: Buffer, offset: number, length: number, at: number) => Promise<{ bytesWritten: number }> },
  chunk: Buffer,
  at: number,
): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, at + done);
    done += bytesWritten;
  }
}

/** Some at a time, the largest first: what is left at the end is small. */
async function copyAll(
  files: readonly FoundFile[],
  folder: string,
  store: Store,
  signal?: AbortSignal,
): Promise<{ records: FileRecord[]; staged: Staged[] }> {
  const waiting = files.map((file, at) => ({ file, path: join(folder, String(at)) }));
  waiting.sort((a, b) => a.file.size - b.file.size);
  const records: FileRecord[] = [];
  const staged: Staged[] = [];
  const failures: unknown[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.pop(); next !== undefined && failures.length === 0; next = waiting.pop()) {
      const record = await copyFile(next.file, next.path, store, signal);
      records.push(record);
      staged.push({ path: next.path, digest: record.digest });
    }
  };
  const workers = Array.from({ length: FILES_AT_ONCE }, () => work().catch((error: unknown) => failures.push(error)));
  await Promise.all(workers);
  if (failures.length > 0) throw failures[0];
  return { records, staged };
}

async function stageText(folder: string, name: string, text: string, store: Store): Promise<Staged> {
  const path = join(folder, name);
  const file = await open(path, 'wx', 0o444);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  store.onStep(`${name} staged`);
  return { path, digest: sha256(text) };
}

function enter(tables: Tables, request: PublishRequest, set: Omit<VersionRecord, 'number'>): Published {
  const { channel: name } = request;
  const fresh: ChannelRecord = {
    name,
    current: undefined,
    previous: [],
    nextNumber: tables.numbers.get(name) ?? 1,
    settings: {},
  };
  const channel = tables.channels.get(name) ?? fresh;
  const same = tables.versions
    .entries()
    .map(([, version]) => version)
    .find((version) => version.channel === name && version.manifest === set.manifest);
  const number = same?.number ?? channel.nextNumber;
  const version: VersionRecord =
    same === undefined
      ? { ...set, number }
      : {
          ...same,
          // Published again without labels, it keeps those it has.
          labels: Object.keys(set.labels).length === 0 ? same.labels : set.labels,
          keep: same.keep || set.keep,
        };
  const next = { ...channel, nextNumber: Math.max(channel.nextNumber, number + 1) };
  const isCandidate = request.candidate === true && channel.current !== number;
  tables.versions.put(versionName(name, number), version);
  tables.channels.put(
    name,
    isCandidate ? { ...next, rollout: { candidate: number, percent: 0, paused: false } } : withCurrent(next, number),
  );
  return {
    name: versionName(name, number),
    channel: name,
    number,
    manifest: set.manifest,
    files: set.files.length,
    bytes: set.files.reduce((sum, { size }) => sum + size, 0),
    isNew: same === undefined,
    before: channel.current,
  };
}

/**
 * What was committed must be there for everybody: its number is given, and its record, unless somebody has removed it
 * since, is ours. A publisher that has its exit code 0 throws its files away.
 */
function checkStored(store: Store, { name, channel, number, manifest }: Published): void {
  // A new look: the last one may be older than the commit.
  void store.generation;
  const { channels, numbers, versions } = store.tables;
  const next = channels.get(channel)?.nextNumber ?? numbers.get(channel) ?? 0;
  const stored = versions.get(name);
  if (next > number && (stored === undefined || stored.manifest === manifest)) return;
  throw new StoreError(`${store.path}: the database has lost ${name}: publish again`, false);
}

/** What can be known of a request without the store. @throws StoreError for what can't be published. */
export async function checkPublishable(request: PublishRequest): Promise<FoundFile[]> {
  checkRequest(request);
  return await scan(request.paths);
}

/**
 * @returns when the version is visible to all and survives a power failure.
 * @throws StoreError, or the signal's reason; then the store is as it was.
 */
export async function publish(store: Store, request: PublishRequest): Promise<Published> {
  const files = await checkPublishable(request);
  checkPlace(store.tables, request.channel);
  let folder: string | undefined;
  try {
    await checkRoom(store, files);
    folder = await makeStagingFolder(store.layout);
    store.onStep('staging made');
    const { records, staged } = await copyAll(files, folder, store, request.signal);
    const { kernelArguments, os } = request;
    const manifest = buildManifest({
      files: records,
      ...(kernelArguments === undefined ? {} : { kernelArguments }),
      ...(os === undefined ? {} : { os }),
    });
    if (Buffer.byteLength(manifest) > MAX_MANIFEST_BYTES) {
      throw new StoreError(`expected names that fit a manifest of ${MAX_MANIFEST_BYTES} bytes`);
    }
    staged.push(await stageText(folder, 'config', EMPTY_CONFIG, store));
    const stagedManifest = await stageText(folder, 'manifest', manifest, store);
    staged.push(stagedManifest);
    request.signal?.throwIfAborted();
    const published = await store.change((tables) => {
      checkPlace(tables, request.channel);
      // Over what may be there: the bytes are the same, or were until a disk lost them.
      for (const { path, digest } of staged) {
        renameSync(path, store.blobPath(digest));
        store.onStep('blob moved in');
      }
      syncPath(store.layout.blobs);
      store.onStep('blobs synced');
      return enter(tables, request, {
        channel: request.channel,
        manifest: stagedManifest.digest,
        files: records.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
        ...(kernelArguments === undefined ? {} : { kernelArguments }),
        labels: request.labels ?? {},
        keep: request.keep ?? false,
        publishedAt: store.now(),
      });
    });
    await store.flushed();
    checkStored(store, published);
    return published;
  } catch (error) {
    if (error instanceof StoreError || request.signal?.aborted === true) throw error;
    throw new StoreError(`${store.path}: publishing failed: ${whatFailed(error)}`, false);
  } finally {
    if (folder !== undefined) await removeStagingFolder(folder).catch(() => {});
    store.onStep('staging removed');
  }
}
