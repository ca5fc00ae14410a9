/**
 * What a store holds, in memory: channels, versions, their files; and the way from a name to one of them. Looks at the
 * store only when told, and then reads what is new. Knows no nodes and no bytes.
 */
import { asciiLowerCase } from '../../protocol/request.ts';
import type { SetVersion } from '../../content/types.ts';
import type { ChannelRecord, FileRecord, VersionRecord } from './records.ts';
import { versionName } from './records.ts';
import type { Store, Table } from './store.ts';
import { StoreError } from './store-error.ts';

/** The least of a digest that may stand for it in a name. */
const MIN_DIGEST_CHARACTERS = 7;
const EXPLICIT_DIGEST = /^(?:sha256-)?([0-9a-f]{7,64})$/i;
const NUMBER = /^[0-9]+$/;

export interface CatalogStore extends Pick<Store, 'generation' | 'channels'> {
  readonly tables: { readonly versions: Pick<Table<VersionRecord>, 'get' | 'keys'> };
}

/** One version, and its files by name. */
export class CatalogVersion {
  readonly name: string;
  readonly channel: string;
  readonly number: number;
  /** Both of these, as contents say what they are of. */
  readonly set: SetVersion;
  /** The digest of its manifest. */
  readonly manifest: string;
  readonly files: readonly FileRecord[];
  readonly kernelArguments: string;
  #byName: ReadonlyMap<string, FileRecord> | undefined;
  #folded: ReadonlyMap<string, FileRecord> | undefined;

  constructor({ channel, number, manifest, files, kernelArguments = '' }: VersionRecord) {
    this.name = versionName(channel, number);
    this.channel = channel;
    this.number = number;
    this.set = { channel, version: number };
    this.manifest = manifest;
    this.files = files;
    this.kernelArguments = kernelArguments;
  }

  /** @param folds whether capitals do not matter where there is no exact match. */
  file(name: string, folds: boolean): FileRecord | undefined {
    // Made when first asked for: most versions of a large store never are.
    this.#byName ??= new Map(this.files.map((file) => [file.name, file]));
    const exact = this.#byName.get(name);
    if (exact !== undefined || !folds) return exact;
    this.#folded ??= new Map(this.files.map((file) => [asciiLowerCase(file.name), file]));
    return this.#folded.get(asciiLowerCase(name));
  }
}

/** What a name asks for. */
export type Asked =
  | { readonly kind: 'channel'; readonly channel: ChannelRecord; readonly file: string }
  /** A version by its number or digest; undefined: there is no such version. */
  | { readonly kind: 'version'; readonly version: CatalogVersion | undefined; readonly file: string };

export class Catalog {
  readonly #store: CatalogStore;
  readonly #versions = new Map<string, CatalogVersion>();
  #channels = new Map<string, ChannelRecord>();
  /** By channel, in the order of their manifests; made when a digest is asked for. */
  #byDigest = new Map<string, readonly CatalogVersion[]>();
  /** The store's, when refresh() last took something in. */
  #generation = -1;
  #trouble: StoreError | undefined;
  #onChange: () => void = () => {};

  constructor(store: CatalogStore) {
    this.#store = store;
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

  /** Calls `follow` from now on, each time that refresh() has taken something in. There is one follower. */
  onChange(follow: () => void): void {
    this.#onChange = follow;
  }

  /**
   * Looks whether the store has changed, and takes in what is new. A record that is damaged later keeps nobody from what
   * is known: it is told by takeTrouble().
   *
   * @returns whether it had.
   * @throws StoreError for a damaged record at the first look.
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

  /** Why the last change could not be taken in, if it has not been told yet. */
  takeTrouble(): StoreError | undefined {
    const trouble = this.#trouble;
    this.#trouble = undefined;
    return trouble;
  }

  /** All or nothing. */
  #takeIn(): void {
    const { versions } = this.#store.tables;
    const channels = new Map(this.#store.channels().map((channel) => [channel.name, channel]));
    const names = new Set(versions.keys());
    // What a version holds never changes, and its name is never used again: what is known is not read once more.
    const added: CatalogVersion[] = [];
    for (const name of names) {
      const record = this.#versions.has(name) ? undefined : versions.get(name);
      if (record !== undefined) added.push(new CatalogVersion(record));
    }
    for (const name of this.#versions.keys()) if (!names.has(name)) this.#versions.delete(name);
    for (const version of added) this.#versions.set(version.name, version);
    this.#channels = channels;
    this.#byDigest = new Map();
  }

  /**
   * What a name is: `CHANNEL/FILE`, `CHANNEL-NUMBER/FILE`, `CHANNEL@HEX/FILE` or `CHANNEL@sha256-HEX/FILE`. Channels do not
   * lie within each other, so there is one reading.
   *
   * @param path cleaned. @returns undefined when it is none of the store's.
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

  /** @returns null when the name, of which the last part begins at `from`, is not that of a version. */
  #explicit(name: string, from: number): CatalogVersion | undefined | null {
    const at = name.indexOf('@', from);
    if (at > from) {
      const digest = EXPLICIT_DIGEST.exec(name.slice(at + 1))?.[1];
      const channel = name.slice(0, at);
      if (!this.#channels.has(channel)) return null;
      return digest === undefined ? undefined : this.#byManifest(channel, digest.toLowerCase());
    }
    const dash = name.lastIndexOf('-');
    // The number of a version that is gone, or not yet known.
    return dash > from && NUMBER.test(name.slice(dash + 1)) && this.#channels.has(name.slice(0, dash))
      ? undefined
      : null;
  }

  /** The one version whose manifest's digest begins so; none if there are several. */
  #byManifest(channel: string, digest: string): CatalogVersion | undefined {
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
