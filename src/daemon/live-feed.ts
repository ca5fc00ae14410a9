/**
 * Builds the live state of a server run from the server's events, its store, cache and inventory. Knows the parts by
 * their interfaces; no HTTP.
 */
import type { NodeId } from '../boot-set/node/node-identity.ts';
import type { BufferCache } from '../content/buffer-cache.ts';
import { LiveState, type LiveStateParts } from '../observe/live-state.ts';
import type { KnownNode } from '../observe/row-list.ts';
import type { CacheRow, ChannelRow, FleetRow } from '../live/wire.ts';
import type { Server } from '../server/types.ts';
import { escapeText } from '../text/escape.ts';
import type { LiveApiOptions } from '../admin/live-api.ts';
import { parseNode } from '../config/node-argument.ts';
import type { FollowedStat } from '../telemetry/fleet-metrics.ts';
import type { ServedContent } from './served-content.ts';
import { UsageError } from '../config/usage-error.ts';

/** Cap on channels shown. */
const MAX_CHANNELS = 100;
/** Cap on servers of the fleet shown. */
const MAX_SERVERS = 100;
/** Characters shown of the reason why a registry can't be followed. */
const MAX_FAILURE_CHARACTERS = 300;

export interface LiveFeedParts {
  readonly server: () => Server | undefined;
  readonly content: ServedContent;
  readonly cache: BufferCache;
  readonly version: string;
  readonly workers: number;
  readonly singlePort: boolean;
  readonly history: LiveStateParts['history'];
}

function knownNode(content: ServedContent, ids: readonly NodeId[]): KnownNode | undefined {
  const { inventory } = content.routes;
  if (inventory === undefined) return undefined;
  for (const id of ids) {
    const node = inventory.find(id);
    if (node !== undefined) return node;
  }
  return undefined;
}

function channelRows(content: ServedContent): ChannelRow[] {
  const { channels = [], fleet } = content.store?.stats() ?? {};
  const followed = new Map((fleet?.channels ?? []).map((one) => [one.channel, one]));
  return channels.slice(0, MAX_CHANNELS).map(({ name, current, byVersion }) => {
    const follows = followed.get(name);
    return {
      name: escapeText(name),
      current: current ?? null,
      pins: byVersion.map(({ version, pins }) => ({ version, boots: pins })),
      ...(follows === undefined ? {} : { registry: registryRow(follows) }),
    };
  });
}

function registryRow({ isBehind, failure }: FollowedStat): NonNullable<ChannelRow['registry']> {
  return { isBehind, failure: failure === undefined ? null : escapeText(failure, MAX_FAILURE_CHARACTERS) };
}

function fleetRows(content: ServedContent): FleetRow[] {
  const { member } = content.store?.stats() ?? {};
  if (member === undefined) return [];
  return member.servers.slice(0, MAX_SERVERS).map((server) => ({
    name: escapeText(server.name),
    isThis: server.run === member.run,
    version: escapeText(server.version),
    channels: server.channels,
    behind: server.behind,
    behindNames: server.behindNames.map((name) => escapeText(name)),
    staged: server.staged,
    pins: server.pins,
    transfers: server.transfers,
    sessions: server.sessions,
    skewMs: server.skewMs,
  }));
}

function cacheRow(cache: BufferCache): CacheRow {
  const { heldBytes, idleBytes, shelvedBytes, entries, hits, misses, evictions } = cache.stats();
  return { heldBytes, idleBytes, shelvedBytes, entries, hits, misses, evictions };
}

export function liveStateOf(parts: LiveFeedParts): LiveState {
  const { server, content, cache, version, workers, singlePort, history } = parts;
  return new LiveState({
    server,
    channels: () => channelRows(content),
    fleet: () => fleetRows(content),
    cache: () => cacheRow(cache),
    known: (ids) => knownNode(content, ids),
    show: escapeText,
    version,
    workers,
    singlePort,
    history,
  });
}

/** @returns the part of the admin API that the live page uses. */
export function liveApiOf(state: LiveState, content: ServedContent): LiveApiOptions {
  return {
    state,
    idsOf(text) {
      const node = content.routes.inventory?.named(text);
      if (node === undefined) {
        try {
          return [parseNode(text)];
        } catch (error) {
          const isName = /^[\x21-\x7e]{1,100}$/.test(text);
          throw isName && error instanceof UsageError
            ? new UsageError(`${error.message}, and the inventory has no node of that name`)
            : error;
        }
      }
      const { mac, uuid, serial, address } = node;
      return [
        ...mac.map((one) => `mac:${one}`),
        ...(uuid === undefined ? [] : [`uuid:${uuid}`]),
        ...(serial === undefined ? [] : [`serial:${serial}`]),
        ...address.map((one) => `ip:${one}`),
      ];
    },
  };
}
