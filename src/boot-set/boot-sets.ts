/**
 * The boot sets of a store, as a source: by explicit name the version that is named, by a channel's name the version
 * that the node began its boot with. Puts together who asks (node-finder.ts), what there is (catalog.ts), the rules
 * (pins.ts) and the bytes (blob-shelf.ts). Runs in the server's main thread; knows no packets and starts no collection.
 */
import type { MapFile } from '../bytes/shared-bytes.ts';
import type { BufferCache } from '../content/buffer-cache.ts';
import { cleanName } from '../content/name.ts';
import type { Answer, BootRequest, Missing, NotMine, Source } from '../content/types.ts';
import { type AddressTable, AddressTables, type TablesClock } from './node/address-tables.ts';
import { BlobShelf } from './blob-shelf.ts';
import { BootStages } from './boot/boot-stage.ts';
import { type Found, Boots } from './boot/boots.ts';
import { Catalog, type CatalogVersion } from './store/catalog.ts';
import { ExplicitUses } from './boot/explicit-uses.ts';
import { NodeFinder, type Requester } from './boot/node-finder.ts';
import { type ConfigPreview, type ConfigRequest, type ConfigVersion, ConfigVersions } from './boot/config-versions.ts';
import { behindNodeFolder, nodesInPath } from './node/node-identity.ts';
import { PinTable } from './boot/pin-table.ts';
import { type PinStore, StoredPins } from './boot/pin-store.ts';
import { hasLapsed, type PinPolicy } from './boot/pins.ts';
import { RenderedNotes } from './boot/rendered-notes.ts';
import { SharedNetworks } from './node/shared-networks.ts';
import { type BootSetsStats, channelStats } from './stats.ts';
import type { Store } from './store/store.ts';
import type { LabelsOf } from './boot/version-choice.ts';

/** How often the store is looked at for changes. */
const POLL_MS = 250;
/** Longest wait before what has changed of a pin is written. */
const FLUSH_MS = 5000;
/** A version may be collected between the look at the catalog and the pin: then it is chosen anew. */
const ATTEMPTS = 4;

const MISSING: Missing = { kind: 'missing' };
const NOT_MINE: NotMine = { kind: 'notMine' };

export interface BootSetsOptions {
  readonly store: Pick<Store, 'generation' | 'channels' | 'pins' | 'tables' | 'note' | 'blobPath'>;
  readonly cache: BufferCache;
  /** Default: blobs are copied. */
  readonly mapFile?: MapFile | undefined;
  readonly clock: TablesClock;
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number;
  /** What pins have whose channel says nothing else. */
  readonly policy: PinPolicy;
  /** Patterns for the names that a boot begins with. Default: DEFAULT_STAGE_ZERO. */
  readonly stageZero?: readonly string[] | undefined;
  /** Networks whose addresses stand for many nodes. */
  readonly sharedNetworks?: readonly string[];
  /** Who has which address, the more trustworthy first. */
  readonly tables?: readonly AddressTable[];
  readonly caseInsensitive?: boolean;
  /** Bytes of current versions that are read ahead of requests. Default 0. */
  readonly prefetchBytes?: number;
  readonly labelsOf?: LabelsOf;
  /** Where pins are kept. Default: in the store. */
  readonly pins?: PinStore;
  readonly mostPins?: number;
  readonly onWarning?: (message: string, detail: Readonly<Record<string, unknown>>) => void;
}

export class BootSets implements Source {
  readonly #options: BootSetsOptions;
  readonly #now: () => number;
  readonly #catalog: Catalog;
  readonly #pins: PinTable;
  readonly #finder: NodeFinder;
  readonly #uses: ExplicitUses;
  readonly #rendered: RenderedNotes;
  readonly #configs: ConfigVersions;
  readonly #shelf: BlobShelf;
  readonly #stages: BootStages;
  readonly #shared: SharedNetworks;
  readonly #boots: Boots;
  readonly #warn: NonNullable<BootSetsOptions['onWarning']>;
  #cancelPoll: () => void = () => {};
  #flushedAt = 0;
  #flushMs = FLUSH_MS;
  #flushing: Promise<void> = Promise.resolve();
  #sharedAnswers = 0;
  #pinsToldFull = false;

  /** @throws RangeError for a network that is none. */
  constructor(options: BootSetsOptions) {
    const { store, cache, clock, mapFile } = options;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#warn = options.onWarning ?? (() => {});
    this.#stages = new BootStages(options.stageZero);
    this.#shared = new SharedNetworks(options.sharedNetworks ?? []);
    this.#catalog = new Catalog(store);
    const onFailure = (error: unknown): void => this.#warn('the store can not be written to', { error: String(error) });
    this.#pins = new PinTable({
      store: options.pins ?? new StoredPins(store),
      exists: (channel, version) => {
        // As of now: a pin goes in the same transaction as its version.
        this.#refresh();
        return this.#catalog.version(channel, version) !== undefined;
      },
      onFailure,
      ...(options.mostPins === undefined ? {} : { most: options.mostPins }),
    });
    const tables = new AddressTables({
      tables: options.tables ?? [],
      clock,
      onUnreadable: (error) => this.#warn('a table of addresses can not be read', { error: String(error) }),
    });
    const policyOf = (channel: string): PinPolicy => this.#policyOf(channel);
    const isShared = (address: string): boolean => this.#shared.has(address);
    this.#finder = new NodeFinder({ pins: this.#pins, tables, policyOf, isShared });
    this.#boots = new Boots({
      store,
      catalog: this.#catalog,
      pins: this.#pins,
      finder: this.#finder,
      stages: this.#stages,
      policyOf,
      refresh: () => this.#refresh(),
      caseInsensitive: options.caseInsensitive ?? false,
      labelsOf: options.labelsOf ?? (() => undefined),
    });
    this.#uses = new ExplicitUses(store, (channel) => this.#policyOf(channel).pinIdleMs, onFailure);
    this.#rendered = new RenderedNotes(store, onFailure);
    this.#shelf = new BlobShelf({
      cache,
      mapFile,
      blobPath: (digest) => store.blobPath(digest),
      onWarning: this.#warn,
    });
    this.#configs = new ConfigVersions({
      boots: this.#boots,
      finder: this.#finder,
      notes: this.#rendered,
      isShared,
      keepAlso: (version) => this.#shelf.keepAlso(version),
      refresh: () => this.#refresh(),
      now: this.#now,
    });
    this.#flushedAt = clock.now();
    this.#refresh();
    this.#poll();
  }

  stats(): BootSetsStats {
    return {
      channels: channelStats(
        this.#catalog.channels.values(),
        this.#pins.all(),
        (name) => this.#policyOf(name),
        this.#now(),
      ),
      versions: this.#catalog.size,
      pins: this.#pins.size,
      pinsEvicted: this.#pins.evicted,
      latePins: this.#boots.late,
      sharedAnswers: this.#sharedAnswers,
    };
  }

  /** Looks no longer at the store, and writes what is left. Transfers may still be open. */
  async close(): Promise<void> {
    this.#cancelPoll();
    await this.#flushing;
    await this.#flush();
    this.#shelf.close();
  }

  async open(request: BootRequest): Promise<Answer> {
    const path = cleanName(request.filename);
    if (typeof path !== 'string') return path;
    const { client } = request;
    // What is not known may have been published a moment ago.
    const asked = this.#catalog.resolve(path) ?? (this.#refresh() ? this.#catalog.resolve(path) : undefined);
    const isShared = this.#shared.has(client);
    const ids = isShared ? [] : nodesInPath(path, asked?.file);
    if (asked?.kind === 'channel') {
      const channel = asked.channel.name;
      if (!isShared) {
        const found = this.#finder.find(client, ids, this.#now());
        return this.#openPinned(channel, asked.file, found instanceof Promise ? await found : found, request);
      }
      // A name that says who asks needs no address.
      const [node] = behindNodeFolder(asked.file) === undefined ? [] : nodesInPath(asked.file);
      if (node === undefined) return this.#openCurrent(channel, asked.file, request);
      return this.#openPinned(channel, asked.file, { node, ids: [node], isSure: true }, request);
    }
    const who = isShared ? undefined : this.#finder.peek(client, ids, this.#now());
    if (asked !== undefined) return this.#openExplicit(path, asked.file, who, request);
    if (who !== undefined) this.#boots.notice(this.#stages.of(path), false, who, client, this.#now());
    return NOT_MINE;
  }

  /** See ConfigVersions. */
  choose(channel: string, request: ConfigRequest): Promise<ConfigVersion | undefined> {
    return this.#configs.choose(channel, request);
  }

  /** See ConfigVersions. */
  see(request: ConfigRequest): void {
    this.#configs.see(request);
  }

  /** See ConfigVersions. */
  preview(channel: string, request: ConfigRequest): ConfigPreview | undefined {
    return this.#configs.preview(channel, request);
  }

  async #openPinned(channel: string, name: string, requester: Requester, request: BootRequest): Promise<Answer> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const found = this.#boots.find(channel, name, requester, request.client, this.#now());
      // What was published or chosen a moment ago counts, and so does a pin dropped by hand.
      if (found?.file === undefined && this.#refresh()) continue;
      if (found === undefined) return MISSING;
      const { version, file, pin } = found;
      if (file === undefined) {
        // Where it asked from, or what it is called, may be new: a restart must not forget that.
        await pin.committed;
        return MISSING;
      }
      // Counted before anything is waited for: a boot that is being answered is not over.
      pin.open++;
      this.#shelf.keepAlso(version);
      const settled = pin.committed === undefined ? 'stands' : await pin.committed;
      // Another server on this store may have been faster: its version is the node's.
      if (settled === 'stands' && pin.record.version === version.number) {
        return this.#answer({ version, file, pin }, request, () => {
          pin.open--;
          this.#pins.update(pin, { usedAt: this.#now() }, false);
        });
      }
      pin.open--;
      this.#refresh();
    }
    return { kind: 'busy', reason: `versions of ${channel} are collected as soon as they are chosen` };
  }

  async #openExplicit(path: string, name: string, who: Requester | undefined, request: BootRequest): Promise<Answer> {
    const find = (): CatalogVersion | undefined => {
      const asked = this.#catalog.resolve(path);
      return asked?.kind === 'version' ? asked.version : undefined;
    };
    const version = find() ?? (this.#refresh() ? find() : undefined);
    const file = version === undefined ? undefined : this.#boots.fileOf(version, name);
    if (version === undefined || file === undefined) return MISSING;
    const pin =
      who === undefined ? undefined : this.#boots.notice(this.#stages.of(name), true, who, request.client, this.#now());
    return this.#openNoted({ version, file, pin }, request);
  }

  async #openCurrent(channel: string, name: string, request: BootRequest): Promise<Answer> {
    if (this.#sharedAnswers++ === 0) {
      const detail = { client: request.client, channel };
      this.#warn('addresses of a shared network get the current version of a channel, file by file', detail);
    }
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const found = this.#boots.current(channel, name);
      const answer = found === undefined ? MISSING : await this.#openNoted(found, request);
      if (answer.kind !== 'missing' || !this.#refresh()) return answer;
    }
    return MISSING;
  }

  /** Opens a file of a version that no pin protects: a note in the store does. */
  async #openNoted(found: Found, request: BootRequest): Promise<Answer> {
    const { version, pin } = found;
    const noted = this.#uses.use(version, this.#now());
    if (!(typeof noted === 'boolean' ? noted : await noted)) {
      this.#refresh();
      return MISSING;
    }
    this.#uses.opened(version.name);
    if (pin !== undefined) pin.open++;
    return this.#answer(found, request, () => {
      if (pin !== undefined) pin.open--;
      this.#uses.closed(version.name, this.#now());
    });
  }

  /** @param done called once: at once when there is nothing to send, else when it has been sent. */
  async #answer({ version, file }: Found, { mode }: BootRequest, done: () => void): Promise<Answer> {
    let isOver = false;
    const end = (): void => {
      if (!isOver) done();
      isOver = true;
    };
    try {
      const held = await this.#shelf.acquire(file, mode);
      if (held.kind === 'missing') {
        this.#refresh();
        end();
        return this.#catalog.versionNamed(version.name) === undefined ? MISSING : this.#shelf.lost(file);
      }
      if (held.kind !== 'held') {
        end();
        return held;
      }
      const release = (): void => {
        held.release();
        end();
      };
      const { name, set } = version;
      return { kind: 'content', handle: held.handle, label: `${name}/${file.name}`, origin: 'bootSet', set, release };
    } catch (error) {
      end();
      throw error;
    }
  }

  #policyOf(channel: string): PinPolicy {
    const { policy } = this.#options;
    const settings = this.#catalog.channels.get(channel)?.settings;
    if (settings === undefined) return policy;
    const { pinIdleMs = policy.pinIdleMs, pinCapMs = policy.pinCapMs } = settings;
    return { pinIdleMs, pinCapMs };
  }

  /** @returns whether the store had changed. */
  #refresh(): boolean {
    if (!this.#catalog.refresh()) return false;
    this.#pins.doubt();
    const exists = (name: string): boolean => this.#catalog.versionNamed(name) !== undefined;
    this.#uses.retain(exists);
    this.#rendered.retain(exists);
    const idle = [...this.#catalog.channels.values()].map(({ settings }) => settings.pinIdleMs ?? FLUSH_MS * 4);
    this.#flushMs = Math.min(FLUSH_MS, Math.min(this.#options.policy.pinIdleMs, ...idle) / 4);
    this.#stock();
    return true;
  }

  /** Keeps the bytes of versions that are booted, and of those that the next boots will get. */
  #stock(): void {
    const kept = new Map<string, CatalogVersion>();
    const add = (version: CatalogVersion | undefined): void => {
      if (version !== undefined) kept.set(version.name, version);
    };
    const prefetchBytes = this.#options.prefetchBytes ?? 0;
    if (prefetchBytes > 0) {
      for (const { name, current } of this.#catalog.channels.values()) {
        if (current !== undefined) add(this.#catalog.version(name, current));
      }
      this.#shelf.readAhead(
        [...kept.values()].flatMap(({ files }) => files),
        prefetchBytes,
      );
    }
    const now = this.#now();
    for (const { record, open } of this.#pins.all()) {
      const { channel, version } = record;
      if (!hasLapsed(record, open > 0, now, this.#policyOf(channel))) add(this.#catalog.version(channel, version));
    }
    this.#shelf.keep(kept.values());
  }

  #poll(): void {
    const { clock } = this.#options;
    this.#cancelPoll = clock.wake(clock.now() + POLL_MS, () => {
      try {
        this.#refresh();
        if (clock.now() - this.#flushedAt >= this.#flushMs) this.#flushing = this.#flush();
      } catch (error) {
        // What is known goes on being served.
        this.#warn('the store can not be read', { error: String(error) });
      }
      this.#poll();
    });
  }

  async #flush(): Promise<void> {
    const now = this.#now();
    this.#flushedAt = this.#options.clock.now();
    this.#uses.flush(now);
    this.#stock();
    if (this.#pins.evicted > 0 && !this.#pinsToldFull) {
      this.#pinsToldFull = true;
      this.#warn('more nodes boot than pins can be kept: the oldest are dropped', { pins: this.#pins.size });
    }
    await this.#pins.flush(now);
  }
}
