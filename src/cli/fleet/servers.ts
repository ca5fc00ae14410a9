/** `reveille servers`: the live servers of a fleet. Knows flags and output. */
import type { Command } from 'commander';
import type { ExitCode } from '../../config/usage-error.ts';
import { type ChannelRecordOfServer, isBehind, type ServerRecord } from '../../fleet/announcement.ts';
import type { SharedPromotion } from '../../fleet/fleet-board.ts';
import { listed } from '../../fleet/promotion-plan.ts';
import { formatCount } from '../../text/figures.ts';
import { isoTime } from '../../text/iso-time.ts';
import { textTable } from '../../text/text-table.ts';
import { skewText } from '../../live/words.ts';
import type { VerbContext, VerbResult } from '../store/store-verb.ts';
import { type Fleet, type FleetFlags, fleetCommand, runFleetVerb } from './fleet-verb.ts';

type Channels = ReadonlyMap<string, ChannelRecordOfServer>;
type Promotions = ReadonlyMap<string, SharedPromotion>;

function digestText(manifest: string | undefined): string | null {
  return manifest === undefined ? null : `sha256:${manifest}`;
}

function channelJson(name: string, record: ChannelRecordOfServer, shared: Promotions): unknown {
  const { current, promoted, follow, versions } = record;
  return {
    name,
    current: digestText(current),
    generation: promoted?.generation ?? null,
    behind: isBehind(record, shared.get(name)?.promotion),
    follow:
      follow === undefined
        ? null
        : { from: follow.from, named: digestText(follow.wanted), promoted: follow.isPromoted },
    staged: versions.map(({ number, manifest, isNeeded }) => ({
      number,
      digest: digestText(manifest),
      needed: isNeeded,
    })),
  };
}

function serverJson(server: ServerRecord, channels: Channels, shared: Promotions): unknown {
  return {
    name: server.name,
    version: server.version,
    started_at: isoTime(server.startedAt),
    behind: server.behind,
    staged: server.staged,
    pins: server.pins,
    transfers: server.transfers,
    sessions: server.sessions,
    clock_skew_ms: server.skewMs,
    name_taken: server.isNameTaken,
    channels: [...channels].map(([name, record]) => channelJson(name, record, shared)),
  };
}

async function listServers({ board }: Fleet): Promise<VerbResult> {
  const servers = await board.servers(await board.time());
  const channels: Channels[] = [];
  for (const { name } of servers) {
    // oxlint-disable-next-line no-await-in-loop -- one server after the other keeps the load on Redis low.
    channels.push(await board.channelsOf(name));
  }
  const names = [...new Set(channels.flatMap((one) => [...one.keys()]))].toSorted();
  const shared = await board.promotions(names);
  return {
    json: {
      promotions: names.flatMap((name) => {
        const promotion = shared.get(name)?.promotion;
        if (promotion === undefined) return [];
        const { generation, manifest, at } = promotion;
        return [{ channel: name, generation, digest: digestText(manifest), promoted_at: isoTime(at) }];
      }),
      servers: servers.map((server, at) => serverJson(server, channels[at]!, shared)),
    },
    text: textTable(
      ['SERVER', 'VERSION', 'CHANNELS', 'BEHIND', 'STAGED', 'PINS', 'TRANSFERS', 'CLOCK'],
      servers.map(
        ({ name, version, channels: count, behind, behindNames, staged, pins, transfers, sessions, skewMs }) => [
          name,
          version,
          formatCount(count),
          behind === 0 ? '-' : `${formatCount(behind)} (${listed(behindNames)})`,
          formatCount(staged),
          formatCount(pins),
          `${formatCount(transfers)} of ${formatCount(sessions)}`,
          skewText(skewMs),
        ],
      ),
      { right: [2, 4, 5, 6, 7] },
    ),
  };
}

/** Adds the command. @param done receives its exit code. */
export function addServers(program: Command, context: VerbContext, done: (code: ExitCode) => void): void {
  fleetCommand(program, 'servers')
    .summary('list the live servers of a fleet')
    .description(
      'Lists the servers that have announced themselves in the last 15 s: their version, channels, versions staged, nodes in the middle of a boot, transfers, and how far their clock is from that of Redis.',
    )
    .action(async (flags: FleetFlags) => done(await runFleetVerb(context, flags, listServers)));
}
