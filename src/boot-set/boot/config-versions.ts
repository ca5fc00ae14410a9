/**
 * The versions that configs name: chosen when a config is made for a node, pinned like the node's files, and kept for a
 * day. Puts the rules of boots.ts together with the notes for those who collect; knows no configs.
 */
import type { Boots, Chosen } from './boots.ts';
import type { Catalog, CatalogVersion } from '../store/catalog.ts';
import type { NodeFinder, Requester } from './node-finder.ts';
import { ipNode, type NodeId } from '../node/node-identity.ts';
import type { NetworkList } from '../node/network-list.ts';
import type { RenderedNotes } from './rendered-notes.ts';

/** A version may be collected between the look at the catalog and the pin: then it is chosen anew. */
const ATTEMPTS = 4;

/** Who asks for a config, as far as its name and the inventory tell: its ids, the best first, one of each kind. */
export interface ConfigRequest {
  /** Cleaned. */
  readonly path: string;
  readonly client: string;
  readonly ids: readonly NodeId[];
}

export interface ConfigVersion {
  readonly version: CatalogVersion;
  /** Another one for each boot of the node. */
  readonly boot: string;
}

export interface ConfigPreview {
  readonly version: CatalogVersion;
  /** Whether the node has it already. */
  readonly pinned: boolean;
}

/** The place where the bytes of versions are at hand. */
interface Shelf {
  /** The bytes of this version stay there as well. */
  keepAlso(version: CatalogVersion): void;
}

export interface ConfigVersionsOptions {
  readonly catalog: Catalog;
  readonly boots: Boots;
  readonly finder: NodeFinder;
  readonly notes: RenderedNotes;
  readonly shared: NetworkList;
  readonly shelf: Shelf;
  readonly now: () => number;
}

export class ConfigVersions {
  readonly #options: ConfigVersionsOptions;

  constructor(options: ConfigVersionsOptions) {
    this.#options = options;
  }

  /**
   * The version of a channel that a config for this node is to name: the one that it boots, or begins to boot with this
   * request. It is pinned, and kept for a day, before the promise resolves.
   *
   * @returns undefined when the channel has nothing for the node.
   * @throws Error when versions go faster than they can be chosen.
   */
  async choose(channel: string, request: ConfigRequest): Promise<ConfigVersion | undefined> {
    const { catalog, notes, shelf, now } = this.#options;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const requester = this.#requesterOf(request);
      const chosen = this.#chooseOnce(channel, request, requester instanceof Promise ? await requester : requester);
      // What was published a moment ago counts.
      if (chosen === undefined && catalog.refresh()) continue;
      if (chosen === undefined) return undefined;
      const { version, pin } = chosen;
      shelf.keepAlso(version);
      const noted = notes.rendered(version.name, now());
      const settled = pin?.committed === undefined ? 'stands' : await pin.committed;
      const isThere = typeof noted === 'boolean' ? noted : await noted;
      // Another server on this store may have been faster: its version is the node's.
      if (isThere && settled === 'stands' && (pin === undefined || pin.record.version === version.number)) {
        return { version, boot: `${version.name} ${pin?.record.createdAt ?? ''}` };
      }
      catalog.refresh();
    }
    throw new Error(`versions of ${channel} are collected as soon as they are chosen`);
  }

  /** What choose would give, without doing anything. */
  preview(channel: string, { path, client, ids }: ConfigRequest): ConfigPreview | undefined {
    const { catalog, boots, finder, now } = this.#options;
    catalog.refresh();
    const known = finder.known(client, ids, now());
    const chosen = boots.preview(channel, path, [...known, ipNode(client)], client, now());
    return chosen === undefined ? undefined : { version: chosen.version, pinned: chosen.pin !== undefined };
  }

  /** A config of no channel was asked for: it may say who asks, and that a boot begins. */
  see({ path, client, ids }: ConfigRequest): void {
    const { boots, finder, shared, now } = this.#options;
    if (!shared.has(client)) boots.see(path, finder.peek(client, ids, now()), client, now());
  }

  #requesterOf({ client, ids }: ConfigRequest): Requester | Promise<Requester> | undefined {
    const { finder, shared, now } = this.#options;
    if (!shared.has(client)) return finder.find(client, ids, now());
    // A name that says who asks needs no address.
    const [node] = ids;
    return node === undefined ? undefined : { node, ids, isSure: true };
  }

  /** @param requester undefined: anybody, from a shared network. */
  #chooseOnce(channel: string, { path, client }: ConfigRequest, requester: Requester | undefined): Chosen | undefined {
    const { boots, now } = this.#options;
    if (requester !== undefined) return boots.choose(channel, path, requester, client, now());
    const version = boots.currentVersion(channel);
    return version === undefined ? undefined : { version, pin: undefined };
  }
}
