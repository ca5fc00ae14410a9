/**
 * Pushes a version of a store to a registry: the blobs that the repository lacks, then the manifest, which makes it
 * visible. Changes nothing in the store.
 */
import type { FileHandle } from 'node:fs/promises';
import { MEDIA_TYPE } from '../boot-set/store/layout.ts';
import { EMPTY_CONFIG, EMPTY_DIGEST, MAX_MANIFEST_BYTES } from '../boot-set/store/manifest.ts';
import type { VersionRecord } from '../boot-set/store/records.ts';
import type { Store } from '../boot-set/store/store.ts';
import { quote, StoreError, whatFailed } from '../boot-set/store/store-error.ts';
import { pause } from './bounded-body.ts';
import { filePieces } from './file-pieces.ts';
import type { Reference } from './reference.ts';
import { type Blob, Registry } from './registry.ts';
import { discard, header, type RegistryOptions, type Reply, TransientError } from './registry-http.ts';

/** Bytes of a request that uploads a part of a blob: after a cut, at most these are sent again. */
const CHUNK_BYTES = 16 * 1024 * 1024;
const ATTEMPTS = 5;
/** A chunk takes longer than an answer does. */
const CHUNK_MS = 10 * 60_000;

export interface PushRequest extends RegistryOptions {
  readonly version: VersionRecord;
  readonly reference: Reference;
  /** Repository of the same registry from which blobs may be mounted instead of uploaded. */
  readonly mountFrom?: string | undefined;
  /** True to find out what a push would upload, and change nothing. */
  readonly dryRun?: boolean;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface Pushed {
  readonly manifest: string;
  /** Number of blobs that were uploaded, and their size in bytes; for a dry run, those that the repository lacks. */
  readonly blobs: number;
  readonly uploaded: number;
  readonly mounted: number;
}

/** @throws StoreError, or the signal's reason. The registry may have blobs then, but not the manifest. */
export async function push(store: Store, request: PushRequest): Promise<Pushed> {
  const { version, reference, dryRun = false, signal } = request;
  if (reference.target.startsWith('sha256:')) {
    throw new StoreError(`${quote(reference.text)}: expected a tag to push to, got a digest`);
  }
  const upload = new Upload(store, request);
  try {
    const blobs = new Map<string, Blob>([[EMPTY_DIGEST, { digest: EMPTY_DIGEST, size: EMPTY_CONFIG.length }]]);
    for (const { digest, size } of version.files) blobs.set(digest, { digest, size });
    const lacking: Blob[] = [];
    for (const blob of blobs.values()) {
      signal?.throwIfAborted();
      // oxlint-disable-next-line no-await-in-loop -- one question after the other keeps the load on the registry low.
      if (!(await upload.has(blob.digest))) lacking.push(blob);
    }
    const total = lacking.reduce((sum, { size }) => sum + size, 0);
    const figures = { manifest: version.manifest, blobs: lacking.length, uploaded: total, mounted: 0 };
    if (dryRun) return figures;
    let done = 0;
    const mounted: Blob[] = [];
    for (const blob of lacking) {
      const start = done;
      // oxlint-disable-next-line no-await-in-loop -- one blob after the other.
      const how = await upload.blob(blob, (at) => request.onProgress?.(start + at, total));
      if (how === 'mounted') mounted.push(blob);
      done += blob.size;
      request.onProgress?.(done, total);
    }
    await upload.manifest(version.manifest);
    const uploaded = total - mounted.reduce((sum, { size }) => sum + size, 0);
    return { ...figures, blobs: lacking.length - mounted.length, uploaded, mounted: mounted.length };
  } catch (error) {
    if (error instanceof StoreError || signal?.aborted === true) throw error;
    throw new StoreError(`${quote(reference.text)}: pushing failed: ${whatFailed(error)}`, false);
  } finally {
    await upload.close();
  }
}

class Upload {
  readonly #store: Store;
  readonly #request: PushRequest;
  readonly #registry: Registry;
  readonly #scope: string;
  readonly #path: string;

  constructor(store: Store, request: PushRequest) {
    const { reference, mountFrom, signal } = request;
    const { repository } = reference;
    this.#store = store;
    this.#request = request;
    this.#registry = new Registry(reference, request, signal);
    const from = mountFrom === undefined ? '' : ` repository:${mountFrom}:pull`;
    this.#scope = `repository:${repository}:pull,push${from}`;
    this.#path = `/v2/${repository}`;
  }

  close(): Promise<void> {
    return this.#registry.close();
  }

  has(digest: string): Promise<boolean> {
    return this.#again(() => this.#registry.hasBlob(digest, this.#scope));
  }

  /** Uploads or mounts a blob. */
  async blob(blob: Blob, onBytes: (at: number) => void): Promise<'mounted' | 'uploaded'> {
    const file = await this.#open(blob);
    try {
      return await this.#again(() => this.#upload(file, blob, onBytes));
    } finally {
      await file.close();
    }
  }

  /** Uploads the manifest under its tag. @throws StoreError when the registry stored other bytes. */
  async manifest(digest: string): Promise<void> {
    const { reference } = this.#request;
    const text = this.#store.blobs.text(digest, MAX_MANIFEST_BYTES);
    if (text === undefined)
      throw new StoreError(`${this.#store.blobPath(digest)}: expected a manifest, got nothing`, false);
    const reply = await this.#again(() =>
      this.#ask('PUT', `${this.#path}/manifests/${reference.target}`, [201], {
        headers: { 'content-type': MEDIA_TYPE.manifest },
        body: () => text,
      }),
    );
    const says = header(reply, 'docker-content-digest');
    if (says === undefined || says === `sha256:${digest}`) return;
    throw new StoreError(
      `${quote(reference.text)}: expected the digest sha256:${digest}, the registry says ${quote(says)}`,
      false,
    );
  }

  async #open({ digest, size }: Blob): Promise<FileHandle> {
    const file = await this.#store.blobs.open(digest);
    const found = await file.stat();
    if (found.size === size) return file;
    await file.close();
    throw new StoreError(
      `${this.#store.blobPath(digest)}: expected ${size} bytes, got ${found.size}: see reveille verify`,
      false,
    );
  }

  async #upload(
    file: FileHandle,
    { digest, size }: Blob,
    onBytes: (at: number) => void,
  ): Promise<'mounted' | 'uploaded'> {
    const { mountFrom } = this.#request;
    const mount = mountFrom === undefined ? '' : `?mount=sha256:${digest}&from=${encodeURIComponent(mountFrom)}`;
    const begun = await this.#ask('POST', `${this.#path}/blobs/uploads/${mount}`, [201, 202]);
    if (begun.statusCode === 201) return 'mounted';
    let location = this.#location(begun);
    for (let at = 0, attempt = 1; at < size; ) {
      const end = Math.min(size, at + CHUNK_BYTES);
      const from = at;
      // oxlint-disable no-await-in-loop -- a registry takes the chunks of a blob in their order.
      try {
        const reply = await this.#ask('PATCH', location, [202], {
          headers: {
            'content-type': 'application/octet-stream',
            'content-length': String(end - from),
            'content-range': `${from}-${end - 1}`,
          },
          body: () => counted(filePieces(file, from, end), from, onBytes),
          answerMs: CHUNK_MS,
        });
        location = this.#location(reply);
        at = end;
        attempt = 1;
      } catch (error) {
        if (!(error instanceof TransientError) || attempt++ >= ATTEMPTS) throw error;
        await pause(attempt, this.#request.signal);
        const status = await this.#ask('GET', location, [204]);
        const range = /^(?:bytes=)?0-([0-9]{1,15})$/.exec(header(status, 'range') ?? '');
        // An upload without bytes has the range 0-0 as well: the registry refuses the next chunk if that is wrong.
        at = range === null || range[1] === '0' ? 0 : Number(range[1]) + 1;
        if (at > size)
          throw new StoreError(`${location.host}: expected at most ${size} bytes of sha256:${digest}`, false);
        location = this.#location(status, location);
      }
      // oxlint-enable no-await-in-loop
      onBytes(at);
    }
    location.searchParams.set('digest', `sha256:${digest}`);
    await this.#ask('PUT', location, [201], { headers: { 'content-length': '0' }, answerMs: CHUNK_MS });
    return 'uploaded';
  }

  #location(reply: Reply, otherwise?: URL): URL {
    const at = header(reply, 'location');
    if (at === undefined && otherwise !== undefined) return otherwise;
    return this.#registry.http.resolve(at ?? '');
  }

  async #ask(
    method: 'GET' | 'POST' | 'PATCH' | 'PUT',
    at: string | URL,
    expected: readonly number[],
    more: {
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: () => string | AsyncGenerator<Buffer>;
      readonly answerMs?: number;
    } = {},
  ): Promise<Reply> {
    const { signal } = this.#request;
    const { body, ...rest } = more;
    const reply = await this.#registry.http.ask(
      {
        method,
        at,
        scope: this.#scope,
        ...rest,
        ...(body === undefined ? {} : { body: body as () => string }),
        signal,
      },
      expected,
    );
    discard(reply);
    return reply;
  }

  async #again<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      // oxlint-disable no-await-in-loop -- one attempt after the other.
      try {
        return await work();
      } catch (error) {
        this.#request.signal?.throwIfAborted();
        if (!(error instanceof TransientError) || attempt >= ATTEMPTS) throw error;
        await pause(attempt, this.#request.signal);
      }
      // oxlint-enable no-await-in-loop
    }
  }
}

/** Passes on pieces of a file, and the offset reached. */
async function* counted(
  pieces: AsyncGenerator<Buffer>,
  from: number,
  onBytes: (at: number) => void,
): AsyncGenerator<Buffer> {
  let at = from;
  for await (const piece of pieces) {
    yield piece;
    at += piece.length;
    onBytes(at);
  }
}
