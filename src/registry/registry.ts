/**
 * One repository of a registry, by the OCI distribution specification 1.1: manifests, tags, blobs. Checks what the
 * registry says about digests and sizes. Knows nothing of stores and of files on disk.
 */
import { createHash, type Hash } from 'node:crypto';
import { isDigest, MEDIA_TYPE } from '../boot-set/store/layout.ts';
import { MAX_MANIFEST_BYTES } from '../boot-set/store/manifest.ts';
import { quote, StoreError } from '../boot-set/store/store-error.ts';
import { pause, readBody, readWhole } from './bounded-body.ts';
import type { Reference } from './reference.ts';
import {
  discard,
  header,
  reasonOf,
  RegistryHttp,
  type RegistryOptions,
  type Reply,
  TransientError,
} from './registry-http.ts';

/** Other tools write manifests of boot sets in either form; without these a registry answers 404. */
const ACCEPT = `${MEDIA_TYPE.manifest}, application/vnd.docker.distribution.manifest.v2+json`;
/** Attempts without progress after which a transfer fails. */
const ATTEMPTS = 5;
/** Bytes that count as progress: a registry that sends less each time must not be asked for ever. */
const PROGRESS_BYTES = 1024 * 1024;
const MAX_ETAG_CHARACTERS = 1024;
/** @limit Size of a list of tags. Shows: an error message. */
const MAX_TAGS_BYTES = 1024 * 1024;

export interface Manifest {
  /** SHA-256 of its bytes as 64 hex digits. */
  readonly digest: string;
  readonly text: string;
  readonly etag: string | undefined;
}

/** Where a download goes: each attempt continues at the offset reached. */
export interface BlobSink {
  /** @throws StoreError when the disk is at fault: the download then ends. */
  write(piece: Uint8Array, at: number): Promise<unknown>;
}

export interface Blob {
  readonly digest: string;
  readonly size: number;
}

/** The beginning of a blob: the state of its hash, and its length in bytes. */
export interface BlobStart {
  readonly hash: Hash;
  readonly at: number;
}

export class Registry {
  readonly #http: RegistryHttp;
  readonly #reference: Reference;
  readonly #pull: string;
  readonly #signal: AbortSignal | undefined;

  constructor(reference: Reference, options: RegistryOptions, signal?: AbortSignal) {
    this.#reference = reference;
    this.#http = new RegistryHttp(reference, options);
    this.#pull = `repository:${reference.repository}:pull`;
    this.#signal = signal;
  }

  get http(): RegistryHttp {
    return this.#http;
  }

  async close(): Promise<void> {
    await this.#http.close();
  }

  /**
   * Reads the manifest of the reference.
   *
   * @param etag of the manifest that the caller has.
   * @returns undefined when the manifest with that ETag is still the one.
   * @throws StoreError when the registry has none, or its bytes are not those of the digest.
   */
  async manifest(etag?: string): Promise<Manifest | undefined> {
    const { target, text: name } = this.#reference;
    return await this.#again(async () => {
      const reply = await this.#http.ask(
        {
          method: 'GET',
          at: this.#path(`manifests/${target}`),
          scope: this.#pull,
          headers: { accept: ACCEPT, ...(etag === undefined ? {} : { 'if-none-match': etag }) },
          signal: this.#signal,
        },
        [200, 304, 404],
      );
      const { statusCode, body } = reply;
      if (statusCode !== 200) discard(reply);
      if (statusCode === 404)
        throw new StoreError(`${quote(name)}: expected a boot set, the registry has none of that name`);
      if (statusCode === 304 && etag !== undefined) return undefined;
      if (statusCode === 304) throw new StoreError(`${quote(name)}: answered 304 to a request without an ETag`, false);
      const bytes = await readWhole(body, MAX_MANIFEST_BYTES, quote(name));
      const digest = createHash('sha256').update(bytes).digest('hex');
      const says = [header(reply, 'docker-content-digest'), target].filter(
        (one) => one?.startsWith('sha256:') === true,
      );
      if (says.some((one) => one !== `sha256:${digest}`)) {
        throw new StoreError(
          `${quote(name)}: expected a manifest with the digest ${says[0]}, got sha256:${digest}`,
          false,
        );
      }
      const tag = header(reply, 'etag');
      const kept = tag !== undefined && tag.length <= MAX_ETAG_CHARACTERS ? tag : undefined;
      return { digest, text: bytes.toString(), etag: kept };
    });
  }

  /**
   * Lists tags of the repository, at most one page.
   *
   * @param most cap on their number.
   */
  async tags(most: number): Promise<string[]> {
    const { repository, host } = this.#reference;
    const at = this.#path(`tags/list?n=${most}`);
    const reply = await this.#http.ask({ method: 'GET', at, scope: this.#pull, signal: this.#signal }, [200]);
    const what = `${host}: the list of tags of ${quote(repository)}`;
    const tags = tagsOf((await readWhole(reply.body, MAX_TAGS_BYTES, what)).toString());
    if (tags === undefined) throw new StoreError(`${what}: expected JSON with tags, got something else`, false);
    const names = tags.filter((tag): tag is string => typeof tag === 'string');
    return names.filter((tag) => /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(tag)).slice(0, most);
  }

  /** Returns the digest that a tag names, as the registry says; undefined when it says none. */
  async digestOf(tag: string): Promise<string | undefined> {
    const at = this.#path(`manifests/${tag}`);
    const reply = await this.#http.ask(
      { method: 'HEAD', at, scope: this.#pull, headers: { accept: ACCEPT }, signal: this.#signal },
      [200, 404],
    );
    discard(reply);
    const digest = header(reply, 'docker-content-digest')?.replace(/^sha256:/, '') ?? '';
    return reply.statusCode === 200 && isDigest(digest) ? digest : undefined;
  }

  /** Returns true when the repository has the blob. @param scope rights to ask with. */
  async hasBlob(digest: string, scope = this.#pull): Promise<boolean> {
    const at = this.#path(`blobs/sha256:${digest}`);
    const reply = await this.#http.ask({ method: 'HEAD', at, scope, signal: this.#signal }, [200, 404]);
    discard(reply);
    return reply.statusCode === 200;
  }

  /**
   * Downloads a blob; continues after a cut where it stopped.
   *
   * @param start bytes that the sink has already; if they turn out to be others, the blob begins again.
   * @throws StoreError when it has another size or digest, or does not arrive.
   */
  async download(
    blob: Blob,
    sink: BlobSink,
    onBytes: (bytes: number) => void,
    start: BlobStart = { hash: createHash('sha256'), at: 0 },
  ): Promise<void> {
    const found = await this.#downloadFrom(start, blob, sink, onBytes);
    if (found === blob.digest) return;
    if (start.at === 0) {
      throw new StoreError(`${this.#nameOf(blob)}: expected bytes with this digest, got sha256:${found}`, false);
    }
    onBytes(-blob.size);
    await this.download(blob, sink, onBytes);
  }

  /** @returns the digest of the whole blob. */
  async #downloadFrom(
    { hash: begun, at: kept }: BlobStart,
    blob: Blob,
    sink: BlobSink,
    onBytes: (bytes: number) => void,
  ): Promise<string> {
    const { digest, size } = blob;
    const what = this.#nameOf(blob);
    let hash = begun;
    let at = kept;
    for (let attempt = 1; at < size; attempt++) {
      const before = at;
      // oxlint-disable no-await-in-loop -- an attempt continues where the last one stopped.
      try {
        const reply = await this.#http.ask(
          {
            method: 'GET',
            at: this.#path(`blobs/sha256:${digest}`),
            scope: this.#pull,
            headers: { 'accept-encoding': 'identity', ...(at === 0 ? {} : { range: `bytes=${at}-` }) },
            signal: this.#signal,
          },
          [200, 206],
        );
        if (continuesAt(reply, at, size, what) === 0 && at > 0) {
          // The registry has no ranges and sends the blob from its start.
          hash = createHash('sha256');
          onBytes(-at);
          at = 0;
        }
        await readBody(reply.body, size - at, what, async (piece) => {
          hash.update(piece);
          await sink.write(piece, at);
          at += piece.length;
          onBytes(piece.length);
        });
        if (at < size) throw new TransientError(`${what}: expected ${size} bytes, got ${at}`);
      } catch (error) {
        this.#signal?.throwIfAborted();
        if (error instanceof StoreError && !(error instanceof TransientError)) throw error;
        if (at - before >= PROGRESS_BYTES) attempt = 0;
        else if (attempt >= ATTEMPTS) throw lastError(error, what);
        await pause(attempt, this.#signal);
      }
      // oxlint-enable no-await-in-loop
    }
    return hash.digest('hex');
  }

  #nameOf({ digest }: Blob): string {
    return `${this.#reference.host}: blob sha256:${digest}`;
  }

  #path(end: string): string {
    return `/v2/${this.#reference.repository}/${end}`;
  }

  async #again<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      // oxlint-disable no-await-in-loop -- one attempt after the other.
      try {
        return await work();
      } catch (error) {
        this.#signal?.throwIfAborted();
        if (error instanceof StoreError && !(error instanceof TransientError)) throw error;
        if (attempt >= ATTEMPTS) throw lastError(error, quote(this.#reference.text));
        await pause(attempt, this.#signal);
      }
      // oxlint-enable no-await-in-loop
    }
  }
}

/** Returns the entries of a list of tags; undefined when the text is none. */
function tagsOf(text: string): unknown[] | undefined {
  try {
    const { tags } = (JSON.parse(text) as { tags?: unknown } | null) ?? {};
    // A repository whose last tag was removed has null.
    return tags === null ? [] : Array.isArray(tags) ? tags : undefined;
  } catch {
    return undefined;
  }
}

function lastError(error: unknown, what: string): StoreError {
  return error instanceof StoreError ? error : new TransientError(`${what}: ${reasonOf(error)}`);
}

/** @returns the offset at which the body of the answer begins. @throws StoreError when it is another one or another blob. */
function continuesAt(reply: Reply, at: number, size: number, what: string): number {
  const fail = (message: string): StoreError => {
    discard(reply);
    return new StoreError(`${what}: ${message}`, false);
  };
  const coding = header(reply, 'content-encoding') ?? 'identity';
  if (coding !== 'identity') throw fail(`expected bytes as they are, got the coding ${quote(coding)}`);
  let from = 0;
  if (reply.statusCode === 206) {
    const range = /^bytes ([0-9]{1,15})-[0-9]{1,15}\/([0-9]{1,15}|\*)$/.exec(header(reply, 'content-range') ?? '');
    from = Number(range?.[1] ?? -1);
    if (from !== at || (range?.[2] !== '*' && Number(range?.[2]) !== size)) {
      throw fail(`expected bytes from ${at} of ${size}, got ${quote(header(reply, 'content-range') ?? 'no range')}`);
    }
  }
  const length = header(reply, 'content-length');
  if (length !== undefined && from + Number(length) !== size) {
    throw fail(`expected ${size} bytes, the registry announces ${from + Number(length)}`);
  }
  return from;
}
