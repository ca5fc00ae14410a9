/**
 * Describes what boots at this server in the terms that servers share: digests in place of numbers, and what a choice
 * between two servers goes by. Changes nothing.
 */
import { ipNode, type NodeId, sideOf } from '../node/node-identity.ts';
import type { Catalog, CatalogVersion } from '../store/catalog.ts';
import type { PinPolicy } from '../store/records.ts';
import type { Pin } from './pin.ts';
import type { PinTable } from './pin-table.ts';
import { hasLapsed } from './pins.ts';
import type { Seen } from './seen-nodes.ts';
import type { LocalBoot } from './shared-choice.ts';
import { MAX_CHANNELS, type SharedNode, type SharedPin } from './shared-record.ts';

export interface LocalBootsOptions {
  readonly table: Pick<PinTable, 'ofNode'>;
  readonly catalog: Catalog;
  readonly policyOf: (channel: string) => PinPolicy;
  /** Converts a time of SteadyTime to the engine's clock. */
  readonly toEngine: (time: number) => number;
}

export class LocalBoots {
  readonly #table: Pick<PinTable, 'ofNode'>;
  readonly #catalog: Catalog;
  readonly #policyOf: (channel: string) => PinPolicy;
  readonly #toEngine: (time: number) => number;

  constructor({ table, catalog, policyOf, toEngine }: LocalBootsOptions) {
    this.#table = table;
    this.#catalog = catalog;
    this.#policyOf = policyOf;
    this.#toEngine = toEngine;
  }

  /** Returns the node's pins as other servers need them, and the time since their last use here, ms. */
  share(
    strand: NodeId,
    { lacking, births }: Pick<Seen, 'lacking' | 'births'>,
    now: number,
  ): { readonly node: SharedNode; readonly usedAgoMs: number } {
    const pins: SharedPin[] = [];
    let last: Pin | undefined;
    let isOpen = false;
    // Others read no more channels: a client that asks for many must not displace what the node has proven.
    for (const pin of [...this.#table.ofNode(strand)].toSorted(byImportance)) {
      if (pin.over || pins.length === MAX_CHANNELS) continue;
      const { channel, version, stage, address, provisional = false } = pin.record;
      const digest = this.#catalog.version(channel, version)?.manifest;
      if (digest === undefined) continue;
      const createdAt = this.#birth(channel, pin.record.createdAt, births);
      pins.push({ channel, digest, stage, createdAt, address, provisional });
      isOpen ||= pin.open > 0;
      if (last === undefined || pin.record.usedAt > last.record.usedAt) last = pin;
    }
    const others = lacking.filter(({ channel }) => pins.every((pin) => pin.channel !== channel));
    const address = last?.record.address ?? others[0]?.address ?? '';
    const usedAgoMs = last === undefined || isOpen ? 0 : Math.max(0, Math.round(now - last.record.usedAt));
    return { node: { address, pins: [...pins, ...others].slice(0, MAX_CHANNELS) }, usedAgoMs };
  }

  /** The same boot has the same time each time, although the servers' idea of the engine's clock varies. */
  #birth(channel: string, local: number, births: Seen['births']): number {
    const known = births.get(channel);
    if (known?.local === local) return known.shared;
    const shared = this.#toEngine(local);
    births.set(channel, { local, shared });
    return shared;
  }

  /** @param live the node's pins; at least one. */
  describe(live: readonly Pin[], other: SharedNode | undefined, isBeginning: boolean, now: number): LocalBoot {
    const digestOf = ({ record }: Pin): string | undefined =>
      this.#catalog.version(record.channel, record.version)?.manifest;
    return {
      isBeginning,
      usedAgoMs: live.some(({ open }) => open > 0) ? 0 : now - Math.max(...live.map(({ record }) => record.usedAt)),
      isPast: live.some(({ record }) => record.stage === 1),
      isSame: live.every((pin) =>
        other?.pins.some(({ channel, digest }) => channel === pin.record.channel && digest === digestOf(pin)),
      ),
    };
  }

  /** Returns the pins of boots that are under way. */
  live(strand: NodeId, now: number): Pin[] {
    return [...this.#table.ofNode(strand)].filter((pin) => this.isLive(pin, now));
  }

  isLive({ record, over, open }: Pin, now: number): boolean {
    return !over && !hasLapsed(record, open > 0, now, this.#policyOf(record.channel));
  }

  versionOf({ channel, digest }: SharedPin): CatalogVersion | undefined {
    const find = (): CatalogVersion | undefined => this.#catalog.byManifest(channel, digest);
    return find() ?? (this.#catalog.refresh() ? find() : undefined);
  }
}

/** Orders pins that a client has acknowledged a file of first, then the last used. */
function byImportance({ record: a }: Pin, { record: b }: Pin): number {
  return Number(a.provisional ?? false) - Number(b.provisional ?? false) || b.usedAt - a.usedAt;
}

/** Returns the names under which a client with these ids may have pins. */
export function strandsOf(ids: readonly NodeId[], address: string): NodeId[] {
  const ip = ipNode(address);
  return [...new Set(ids.flatMap((id) => (id === ip ? [id] : [id, sideOf(id, address)])))];
}
