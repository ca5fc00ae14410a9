/**
 * Decides which versions rendered configs name: chosen when a config is made for a node, pinned like the node's files,
 * and kept for a day. Combines the rules of boots.ts with notes for garbage collection; knows no configs.
 */
import { ATTEMPTS, type Boots, type Chosen } from './boots.ts';
import type { Catalog, CatalogVersion } from '../store/catalog.ts';
import type { NodeFinder, Requester } from './node-finder.ts';
import { ipNode, type NodeId } from '../node/node-identity.ts';
import type { NetworkList } from '../node/network-list.ts';
import type { SharedPins } from './shared-pins.ts';
import type { VersionNotes } from './version-notes.ts';

/** A request for a config. Its ids come from the name and the inventory: at most one of each kind, the best first. */
export interface ConfigRequest {
  /** The cleaned name. */
  readonly path: string;
  readonly client: string;
  readonly ids: readonly NodeId[];
}

export interface ConfigVersion {
  readonly version: CatalogVersion;
  /** Identifies the boot: different for each boot of the node. */
  readonly boot: string;
}

export interface ConfigPreview {
  readonly version: CatalogVersion;
  /** True when the node already boots this version. */
  readonly pinned: boolean;
}

/** Keeps the bytes of versions in memory. */
interface Shelf {
  /** Also keeps the bytes of this version. */
  keepAlso(version: CatalogVersion): void;
}

export interface ConfigVersionsOptions {
  readonly catalog: Catalog;
  readonly boots: Boots;
  readonly finder: NodeFinder;
  readonly notes: VersionNotes;
  readonly shared: NetworkList;
  readonly shelf: Shelf;
  /** undefined where pins are not shared. */
  readonly sharedPins: Pick<SharedPins, 'consult' | 'lacking'> | undefined;
  /** Returns true when the version of a name in a channel may arrive from a registry. */
  readonly awaits: (path: string) => boolean;
  readonly now: () => number;
}

export class ConfigVersions {
  readonly #options: ConfigVersionsOptions;

  constructor(options: ConfigVersionsOptions) {
    this.#options = options;
  }

  /**
   * Returns the version that a config for this node must name: the one that the node boots, or begins to boot with this
   * request. It is pinned, and kept for a day, before the promise resolves.
   *
   * @returns undefined when the channel has no version for the node.
   * @throws Error when versions are collected as fast as they are chosen, or the first one is still to arrive.
   */
  async choose(channel: string, request: ConfigRequest): Promise<ConfigVersion | undefined> {
    const { catalog, notes, shelf, awaits, now, sharedPins, shared } = this.#options;
    await sharedPins?.consult(request.client, request.ids, shared.has(request.client));
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const requester = this.#requesterOf(request);
      const node = requester instanceof Promise ? await requester : requester;
      const lacking = node === undefined ? undefined : sharedPins?.lacking(node.node, request.client, channel);
      if (lacking !== undefined && awaits(`${channel}@sha256-${lacking}/`)) {
        throw new Error(`the version of ${channel} that the node boots has not arrived from the registry`);
      }
      const chosen = this.#chooseOnce(channel, request, node);
      // A version may have been published a moment ago.
      if (chosen === undefined && catalog.refresh()) continue;
      if (chosen === undefined) {
        if (awaits(`${channel}/`)) throw new Error(`no version of ${channel} has arrived from the registry`);
        return undefined;
      }
      const { version, pin } = chosen;
      shelf.keepAlso(version);
      const noted = notes.rendered(version.name, now());
      const settled = pin?.committed === undefined ? 'stands' : await pin.committed;
      const isThere = typeof noted === 'boolean' ? noted : await noted;
      // Another server on this store may have pinned first; then the node gets that server's version.
      if (isThere && settled === 'stands' && (pin === undefined || pin.record.version === version.number)) {
        return { version, boot: `${version.name} ${pin?.record.createdAt ?? ''}` };
      }
      catalog.refresh();
    }
    throw new Error(`versions of ${channel} are collected as soon as they are chosen`);
  }

  /** Returns what choose() would return, without side effects on pins and notes. */
  preview(channel: string, { path, client, ids }: ConfigRequest): ConfigPreview | undefined {
    const { catalog, boots, finder, now } = this.#options;
    catalog.refresh();
    const known = finder.known(client, ids, now());
    const chosen = boots.preview(channel, path, [...known, ipNode(client)], client, now());
    return chosen === undefined ? undefined : { version: chosen.version, pinned: chosen.pin !== undefined };
  }

  /** Notes a request for a config that names no channel: it may identify the node and mark the beginning of a boot. */
  see({ path, client, ids }: ConfigRequest): void {
    const { boots, finder, shared, now, sharedPins } = this.#options;
    if (shared.has(client)) return;
    const note = (): void => boots.see(path, finder.peek(client, ids, now()), client, now());
    const consulted = sharedPins?.consult(client, ids);
    if (consulted === undefined) note();
    else void consulted.then(note);
  }

  #requesterOf({ client, ids }: ConfigRequest): Requester | Promise<Requester> | undefined {
    const { finder, shared, now } = this.#options;
    if (!shared.has(client)) return finder.find(client, ids, now());
    // A name that identifies the node needs no address.
    const [node] = ids;
    return node === undefined ? undefined : { node, ids, isSure: true };
  }

  /** @param requester undefined for an unidentified client of a shared network. */
  #chooseOnce(channel: string, { path, client }: ConfigRequest, requester: Requester | undefined): Chosen | undefined {
    const { boots, now } = this.#options;
    if (requester !== undefined) return boots.choose(channel, path, requester, client, now());
    const version = boots.currentVersion(channel);
    return version === undefined ? undefined : { version, pin: undefined };
  }
}
