/**
 * Decides which version of a channel a request gets, and makes, renews or replaces the node's pin. Applies the rules of
 * pins.ts to the node, the channel and its versions. Knows no bytes, and waits for nothing.
 */
import type { BootStage, BootStages } from './boot-stage.ts';
import type { Catalog, CatalogVersion } from '../store/catalog.ts';
import type { NodeFinder, Requester } from './node-finder.ts';
import { behindNodeFolder, ipNode, type NodeId, ownerOf } from '../node/node-identity.ts';
import type { Pin } from './pin.ts';
import type { PinTable } from './pin-table.ts';
import type { PinPolicies } from './pin-policies.ts';
import { judge, type PinDecision, stageAfter } from './pins.ts';
import { type FileRecord, pinKey } from '../store/records.ts';
import type { Store } from '../store/store.ts';
import { chooseVersion, type LabelsOf } from './version-choice.ts';
import type { Whereabouts } from './whereabouts.ts';

/**
 * Cap on attempts to choose a version: it may be collected between the lookup in the catalog and the pin, and another
 * one is then chosen.
 * @limit Attempts to choose a version while collections remove the chosen one. Shows:
 * `reveille_requests_ignored_total{reason="busy"}`.
 */
export const ATTEMPTS = 4;

export interface BootsOptions {
  readonly store: Pick<Store, 'tables'>;
  readonly catalog: Catalog;
  readonly pins: PinTable;
  readonly finder: NodeFinder;
  readonly whereabouts: Whereabouts;
  readonly stages: BootStages;
  readonly policies: PinPolicies;
  readonly caseInsensitive: boolean;
  readonly labelsOf: LabelsOf;
}

/** A version, and the pin it was chosen under. */
export interface Chosen {
  readonly version: CatalogVersion;
  readonly pin: Pin | undefined;
}

/** A version, its pin and one of its files. */
export interface Found extends Chosen {
  readonly file: FileRecord;
}

/**
 * The answer to a request by channel name. Without a file a version is pinned that lacks the name, or no file was
 * requested.
 */
export interface PinnedFile extends Chosen {
  readonly file: FileRecord | undefined;
  readonly pin: Pin;
}

/** A request to a channel: for a file, or without a name for the version that the node's files must be of. */
interface Wish {
  readonly channel: string;
  readonly name: string | undefined;
  readonly stage: BootStage;
}

export class Boots {
  readonly #options: BootsOptions;
  readonly #beginnings = new WeakMap<CatalogVersion, boolean>();
  #late = 0;

  constructor(options: BootsOptions) {
    this.#options = options;
  }

  /** Number of requests that continued with a version after its pin had ended. */
  get late(): number {
    return this.#late;
  }

  /**
   * Finds a file for a node by channel name. The reply must wait for the pin's `committed`.
   *
   * @returns undefined when the channel has nothing for the node.
   */
  find(channel: string, name: string, requester: Requester, address: string, now: number): PinnedFile | undefined {
    return this.#find({ channel, name, stage: this.#options.stages.of(name) }, requester, address, now);
  }

  /** Like find(), for a config that will name files of the channel. @param path the config's name. */
  choose(channel: string, path: string, requester: Requester, address: string, now: number): Chosen | undefined {
    return this.#find({ channel, name: undefined, stage: this.#configStage(path) }, requester, address, now);
  }

  /** Returns what choose() would return, without changing pins. */
  preview(channel: string, path: string, ids: readonly NodeId[], address: string, now: number): Chosen | undefined {
    const { pins, whereabouts } = this.#options;
    const stage = this.#configStage(path);
    const node = whereabouts.peek(ids[0]!, address, stage, now);
    const pin = pins.find(node, channel);
    const pinned = pin === undefined ? undefined : this.#version(channel, pin.record.version);
    const decision = this.#judge({ channel, name: undefined, stage }, node, pin, pinned, now);
    const version = decision === 'begin' ? this.#firstOf(channel, node, ids, now) : pinned;
    return version === undefined ? undefined : { version, pin: decision === 'begin' ? undefined : pin };
  }

  #find(wish: Wish, requester: Requester, address: string, now: number): PinnedFile | undefined {
    const { pins, whereabouts } = this.#options;
    const strand = whereabouts.take(requester.node, address, wish.stage, now);
    const pin = pins.find(strand, wish.channel);
    const pinned = pin === undefined ? undefined : this.#version(wish.channel, pin.record.version);
    const decision = this.#judge(wish, strand, pin, pinned, now);
    switch (decision) {
      case 'begin':
        return this.#begin(wish, requester, strand, address, now);
      case 'gone':
        return undefined;
      case 'late':
      case 'keep':
        return this.#goOn(pin!, pinned!, wish, address, now, decision === 'late');
    }
  }

  #judge(
    { channel, stage }: Wish,
    node: NodeId,
    pin: Pin | undefined,
    pinned: CatalogVersion | undefined,
    now: number,
  ): PinDecision {
    const situation = {
      stage,
      open: this.#options.pins.isOpen(node),
      over: pin?.over ?? false,
      exists: pinned !== undefined,
      hasBeginning: pinned === undefined || this.#hasBeginning(pinned),
    };
    const record = pin === undefined ? undefined : { ...pin.record, stage: this.#stageOf(node, now) };
    return judge(record, situation, now, this.#options.policies.of(channel));
  }

  /** A config is neutral unless its name is one that begins boots. */
  #configStage(path: string): BootStage {
    return this.#options.stages.of(path) === 'zero' ? 'zero' : 'neutral';
  }

  /** Finds a file in the version that the channel gives to an unidentified client. */
  current(channel: string, name: string): Found | undefined {
    const version = this.currentVersion(channel);
    const file = version === undefined ? undefined : this.fileOf(version, name);
    return version === undefined || file === undefined ? undefined : { version, file, pin: undefined };
  }

  currentVersion(channel: string): CatalogVersion | undefined {
    return this.#choose(channel, []);
  }

  /** Finds a file by its name, or by the part after a first folder that names the node. */
  fileOf(version: CatalogVersion, name: string): FileRecord | undefined {
    const { caseInsensitive } = this.#options;
    const found = version.file(name, caseInsensitive);
    if (found !== undefined) return found;
    const rest = behindNodeFolder(name);
    return rest === undefined ? undefined : version.file(rest, caseInsensitive);
  }

  /**
   * Notes a request for a file outside any channel: by explicit name, or from another source. A loader or config then
   * ends the node's last boot, if that had passed its beginning.
   *
   * @param exists true when the node is known to get the file.
   * @returns the pin under which the transfer counts as part of the node's boot.
   */
  notice(stage: BootStage, exists: boolean, requester: Requester, address: string, now: number): Pin | undefined {
    const { pins, finder, whereabouts } = this.#options;
    const { node, isSure } = requester;
    const strand = whereabouts.take(node, address, stage, now);
    if (stage === 'zero' && this.#stageOf(strand, now) === 1 && !pins.isOpen(strand)) {
      if (isSure || node === ipNode(address)) this.#endAll(strand, now);
      else finder.doubt(address, now);
    }
    const [pin] = pins.ofNode(strand);
    // Loader and config came by channel and the kernel by number: the boot has passed its beginning.
    if (pin !== undefined && exists && stage === 'later') this.#setStage(pin, 1);
    return pin;
  }

  /** Notes a request for a config that names no version. */
  see(path: string, requester: Requester, address: string, now: number): void {
    this.notice(this.#configStage(path), false, requester, address, now);
  }

  #goOn(
    pin: Pin,
    version: CatalogVersion,
    { name, stage }: Wish,
    address: string,
    now: number,
    isLate: boolean,
  ): PinnedFile {
    const { pins, policies } = this.#options;
    const file = name === undefined ? undefined : this.fileOf(version, name);
    // Past half the idle time, write now: gc could expire the pin before the next flush. Write a new address as well:
    // after a restart the node is found by it.
    const isUrgent =
      now - pin.saved.usedAt > policies.of(version.channel).pinIdleMs / 2 || address !== pin.saved.address;
    if (name !== undefined && file === undefined) {
      pins.update(pin, { usedAt: now, address }, isUrgent);
      return { version, file, pin };
    }
    if (isLate) this.#late++;
    // A node that was reset during a transfer begins again with this version, in all of its channels.
    if (stage === 'zero') for (const other of pins.ofNode(pin.record.node)) this.#setStage(other, 0);
    pins.update(pin, { usedAt: now, address, stage: stageAfter(pin.record.stage, stage) }, isUrgent);
    return { version, file, pin };
  }

  /** @param strand name of the pins that the request uses. */
  #begin(wish: Wish, requester: Requester, strand: NodeId, address: string, now: number): PinnedFile | undefined {
    const { pins, finder, whereabouts } = this.#options;
    const { channel, name, stage } = wish;
    const version = this.#firstOf(channel, strand, requester.ids, now);
    const file = version === undefined || name === undefined ? undefined : this.fileOf(version, name);
    // A missing file begins no boot: a boot in progress continues.
    if (version === undefined || (name !== undefined && file === undefined)) return undefined;
    // With a leading pin it makes no difference whose the address is: the version is that of the leading pin.
    const isLed = whereabouts.lead(strand, channel, now) !== undefined;
    if (!requester.isSure && !isLed && pins.find(strand, channel) !== undefined) {
      const doubted = finder.doubt(address, now);
      if (doubted.node !== requester.node) return this.#find(wish, doubted, address, now);
    }
    if (stage === 'zero') this.#endAll(strand, now);
    const before = pins.find(strand, channel);
    // A node that has once acknowledged a file at this address is proven.
    const provisional = before === undefined ? true : before.record.provisional;
    const record = {
      node: strand,
      channel,
      version: version.number,
      createdAt: now,
      usedAt: now,
      address,
      provisional,
    };
    const pin = pins.put({ ...record, stage: stageAfter(0, stage) }, true);
    return { version, file, pin };
  }

  /**
   * Returns the version for a new boot: that of the node's own pin when the boot begins at another address while that
   * pin is in use, otherwise a newly chosen one.
   */
  #firstOf(channel: string, strand: NodeId, ids: readonly NodeId[], now: number): CatalogVersion | undefined {
    const lead = this.#options.whereabouts.lead(strand, channel, now);
    const led = lead === undefined ? undefined : this.#version(channel, lead.record.version);
    return led ?? this.#choose(channel, ids);
  }

  #choose(name: string, ids: readonly NodeId[]): CatalogVersion | undefined {
    const { catalog, store, labelsOf } = this.#options;
    const channel = catalog.channels.get(name);
    if (channel === undefined) return undefined;
    const { overrides } = store.tables;
    const number = chooseVersion(ids, {
      channel,
      override: (node) => overrides.get(pinKey(node, name))?.version,
      manifest: (candidate) => catalog.version(name, candidate)?.manifest,
      labelsOf,
    });
    return number === undefined ? undefined : catalog.version(name, number);
  }

  #version(channel: string, number: number): CatalogVersion | undefined {
    const { catalog } = this.#options;
    return catalog.version(channel, number) ?? (catalog.refresh() ? catalog.version(channel, number) : undefined);
  }

  #hasBeginning(version: CatalogVersion): boolean {
    let has = this.#beginnings.get(version);
    if (has === undefined) {
      has = version.files.some(({ name }) => this.#options.stages.of(name) === 'zero');
      this.#beginnings.set(version, has);
    }
    return has;
  }

  /** Returns how far the node's boot has come, over all channels. */
  #stageOf(strand: NodeId, now: number): 0 | 1 {
    const { pins, whereabouts } = this.#options;
    for (const { record, over } of pins.ofNode(strand)) if (record.stage === 1 && !over) return 1;
    return whereabouts.hasGoneOn(strand, now) ? 1 : 0;
  }

  #setStage(pin: Pin, stage: 0 | 1): void {
    if (pin.record.stage !== stage) this.#options.pins.update(pin, { stage }, false);
  }

  /** Ends the node's last boot in all channels. */
  #endAll(strand: NodeId, now: number): void {
    const { pins, whereabouts } = this.#options;
    for (const pin of pins.ofNode(strand)) pins.end(pin);
    if (ownerOf(strand) === strand) whereabouts.begin(strand, now);
  }
}
