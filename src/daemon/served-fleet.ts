/**
 * A running server's membership in its fleet: connects the store and the followed tags with the fleet's records in
 * Redis. Knows the parts by their interfaces; the rules are in src/fleet.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { type BootSets, followPromotions, type Store } from '../boot-set/index.ts';
import { FleetBoard } from '../fleet/fleet-board.ts';
import { FleetMember, type FleetMemberOptions } from '../fleet/fleet-member.ts';
import { supersedes } from '../fleet/promotion.ts';
import type { RedisLink } from '../redis/redis-link.ts';
import type { FleetFollower } from './fleet-follower.ts';

export interface ServedFleetOptions extends Pick<FleetMemberOptions, 'clock' | 'load' | 'onInfo' | 'onWarning'> {
  readonly link: RedisLink;
  readonly store: Store;
  readonly source: Pick<BootSets, 'holdings'>;
  /** undefined when no channel follows a tag. */
  readonly follower: FleetFollower | undefined;
  /** True when the store is on a read-only disk: its channels cannot move. */
  readonly isReadOnly: boolean;
  /** Port at which the server answers requests. */
  readonly port: number;
  readonly version: string;
}

/**
 * Longest wait for an answer of Redis: no request waits for it.
 * @limit Time for an answer of Redis about promotions. Shows: `reveille_fleet_joined` is 0.
 */
const DEADLINE_MS = 2000;

/** Joins the fleet. */
export function joinFleet(options: ServedFleetOptions): FleetMember {
  const { link, store, source, follower, isReadOnly, port, version, clock, load, onInfo, onWarning } = options;
  const holdings = (): ReturnType<BootSets['holdings']> => {
    const useNotes = store.tables.useNotes.entries();
    return source.holdings({ overrides: store.overrides(), useNotes, defaults: store.defaults() }, store.now());
  };
  if (isReadOnly) onWarning('the store is on a read-only disk: no channel follows promotions', { store: store.path });
  const member = new FleetMember({
    board: new FleetBoard(link, DEADLINE_MS),
    clock,
    wallClock: Date.now,
    identity: { name: `${hostname()}:${port}`, run: randomUUID(), version, startedAt: Date.now() },
    store: {
      holdings,
      follow: isReadOnly
        ? undefined
        : (promoted) => store.change((tables) => followPromotions(tables, promoted, supersedes)),
      neededByOthers: () => new Set(store.neededByOthers().keys()),
      keep: async (needed) => {
        if (isReadOnly) return;
        const held = holdings().flatMap(({ versions }) => versions.map(({ manifest }) => manifest));
        await store.setNeededByOthers(needed, new Set(held));
      },
    },
    load,
    follows: (channel) => follower?.follows(channel),
    fetch: (channel, manifest) => follower?.fetch(channel, manifest),
    onInfo,
    onWarning,
  });
  member.start();
  return member;
}
