/**
 * In-memory catalog of a store: channels, versions and their files, and the resolution of names to them. Looks at the
 * store only in refresh(), and then reads only what is new. Knows no nodes and no bytes.
 */
import { asciiLowerCase } from '../../protocol/request.ts';
import type { SetVersion } from '../../content/types.ts';
import type { ChannelRecord, FileRecord, VersionRecord } from './records.ts';
import { versionName } from './records.ts';
import type { Store, Table } from './store.ts';
import { StoreError } from './store-error.ts';

/** Digits of a digest in a path: a whole digest overruns the 128 bytes that some firmware has for a name. */
const PATH_DIGITS = 32;
/** Minimum length of a digest prefix in a name. */
const MIN_DIGEST_CHARACTERS = 7;
const EXPLICIT_DIGEST = /^(?:sha256-)?([0-9a-f]{7,64})$/i;
const NUMBER = /^[0-9]+$/;

export interface CatalogStore extends Pick<Store, 'generation' | 'channels'> {
  readonly tables: { readonly versions: Pick<Table<VersionRecord>, 'get' | 'keys'> };
}

/** A version, with its files by name. */
export class CatalogVersion {
  readonly name: string;
  readonly channel: string;
  readonly number: number;
  /** Channel and number in the form that contents carry. */
  readonly set: SetVersion;
  /** Digest of the version's manifest. */
  readonly manifest: string;
  /** First part of the names of its files in rendered configs: by number, or by a digest that means the same anywhere. */
  readonly path: string;
  readonly files: readonly FileRecord[];
  readonly kernelArguments: string;
  #byName: ReadonlyMap<string, FileRecord> | undefined;
  #folded: ReadonlyMap<string, FileRecord> | undefined;

  constructor({ channel, number, manifest, files, kernelArguments = '' }: VersionRecord, isByDigest: boolean) {
    this.name = versionName(channel, number);
    this.path = isByDigest ? `${channel}@sha256-${manifest.slice(0, PATH_DIGITS)}` : this.name;
    this.channel = channel;
    this.number = number;
    this.set = { channel, version: number };
    this.manifest = manifest;
    this.files = files;
    this.kernelArguments = kernelArguments;
  }

  /** @param folds true to ignore ASCII case when there is no exact match. */
  file(name: string, folds: boolean): FileRecord | undefined {
    // Built on first use: most versions of a large store are never requested.
    this.#byName ??= new Map(this.files.map((file) => [file.name, file]));
    const exact = this.#byName.get(name);
    if (exact !== undefined || !folds) return exact;
    this.#folded ??= new Map(this.files.map((file) => [asciiLowerCase(file.name), file]));
    return this.#folded.get(asciiLowerCase(name));
  }
}

/** The meaning of a requested name. */
export type Asked =
  | { readonly kind: 'channel'; readonly channel: ChannelRecord; readonly file: string }
  /** A version by its number or digest; undefined when that version does not exist. */
  | { readonly kind: 'version'; readonly version: CatalogVersion | undefined; readonly file: string };

export class Catalog {
  readonly #store: CatalogStore;
  readonly #isByDigest: boolean;
  readonly #versions = new Map<string, CatalogVersion>();
  #channels = new Map<string, ChannelRecord>();
  /** Versions by channel, sorted by manifest digest; built when a digest is first requested. */
  #byDigest = new Map<string, readonly CatalogVersion[]>();
  /** The store's generation at the last refresh() that found a change. */
  #generation = -1;
  #trouble: StoreError | undefined;
  #onChange: () => void = () => {};

  /** @param isByDigest true when rendered configs name versions by their digest. */
  constructor(store: CatalogStore, isByDigest = false) {
    this.#store = store;
    this.#isByDigest = isByDigest;
  }

  get channels(): ReadonlyMap<string, ChannelRecord> {
    return this.#channels;
  }

  get size(): number {
    return this.#versions.size;
  }

  version(channel: string, number: number): CatalogVersion | undefined {
    return this.#versions.get(versionName(channel, number));
  }

  versionNamed(name: string): CatalogVersion | undefined {
    return this.#versions.get(name);
  }

  all(): readonly CatalogVersion[] {
    return [...this.#versions.values()];
  }

  /** Sets the callback that runs each time refresh() has taken in a change. There is one callback. */
  onChange(follow: () => void): void {
    this.#onChange = follow;
  }

  /**
   * Takes in what has changed in the store. After the first time, a damaged record leaves the known contents in use and
   * is reported by takeTrouble().
   *
   * @returns true when the store had changed and the change was taken in.
   * @throws StoreError for a damaged record the first time.
   */
  refresh(): boolean {
    const { generation } = this.#store;
    if (generation === this.#generation) return false;
    try {
      this.#takeIn();
    } catch (error) {
      if (this.#generation < 0 || !(error instanceof StoreError)) throw error;
      this.#generation = generation;
      this.#trouble = error;
      return false;
    }
    this.#generation = generation;
    this.#onChange();
    return true;
  }

  /** Returns why the last change could not be taken in, once. */
  takeTrouble(): StoreError | undefined {
    const trouble = this.#trouble;
    this.#trouble = undefined;
    return trouble;
  }

  /** Takes in all changes or, when a record is damaged, none. */
  #takeIn(): void {
    const { versions } = this.#store.tables;
    const channels = new Map(this.#store.channels().map((channel) => [channel.name, channel]));
    const names = new Set(versions.keys());
    // The contents of a version never change and its name is never reused, so known versions are not read again.
    const added: CatalogVersion[] = [];
    for (const name of names) {
      const record = this.#versions.has(name) ? undefined : versions.get(name);
      if (record !== undefined) added.push(new CatalogVersion(record, this.#isByDigest));
    }
    for (const name of this.#versions.keys()) if (!names.has(name)) this.#versions.delete(name);
    for (const version of added) this.#versions.set(version.name, version);
    this.#channels = channels;
    this.#byDigest = new Map();
  }

  /**
   * Resolves a name: `CHANNEL/FILE`, `CHANNEL-NUMBER/FILE`, `CHANNEL@HEX/FILE` or `CHANNEL@sha256-HEX/FILE`. Channels
   * do not nest, so each name has one reading.
   *
   * @param path cleaned name.
   * @returns undefined when the name is not one of the store's.
   */
  resolve(path: string): Asked | undefined {
    for (let slash = path.indexOf('/'), from = 0; slash > 0; from = slash + 1, slash = path.indexOf('/', from)) {
      const head = path.slice(0, slash);
      const channel = this.#channels.get(head);
      if (channel !== undefined) return { kind: 'channel', channel, file: path.slice(slash + 1) };
      const version = this.#versions.get(head) ?? this.#explicit(head, from);
      if (version === null) continue;
      return { kind: 'version', version, file: path.slice(slash + 1) };
    }
    return undefined;
  }

  /** @param from start of the last part of the name. @returns null when the name is not that of a version. */
  #explicit(name: string, from: number): CatalogVersion | undefined | null {
    const at = name.indexOf('@', from);
    if (at > from) {
      const digest = EXPLICIT_DIGEST.exec(name.slice(at + 1))?.[1];
      const channel = name.slice(0, at);
      if (!this.#channels.has(channel)) return null;
      return digest === undefined ? undefined : this.byManifest(channel, digest.toLowerCase());
    }
    const dash = name.lastIndexOf('-');
    // The number of a version that is gone or not yet known.
    return dash > from && NUMBER.test(name.slice(dash + 1)) && this.#channels.has(name.slice(0, dash))
      ? undefined
      : null;
  }

  /** Returns the version whose manifest digest has this prefix; undefined when several manifests do. */
  byManifest(channel: string, digest: string): CatalogVersion | undefined {
    if (digest.length < MIN_DIGEST_CHARACTERS) return undefined;
    let sorted = this.#byDigest.get(channel);
    if (sorted === undefined) {
      const all = [...this.#versions.values()].filter((version) => version.channel === channel);
      sorted = all.toSorted((a, b) => (a.manifest < b.manifest ? -1 : 1));
      this.#byDigest.set(channel, sorted);
    }
    let low = 0;
    for (let high = sorted.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if (sorted[middle]!.manifest < digest) low = middle + 1;
      else high = middle;
    }
    const found = sorted[low];
    const next = sorted[low + 1];
    if (found?.manifest.startsWith(digest) !== true) return undefined;
    return next?.manifest.startsWith(digest) === true && next.manifest !== found.manifest ? undefined : found;
  }
}
