/** `reveille promote`: moves a channel on all servers of a fleet. Knows flags and output. */
import type { Command } from 'commander';
import { checkChannelName } from '../../boot-set/store/channel-name.ts';
import { EXIT, type ExitCode, UsageError } from '../../config/usage-error.ts';
import type { FleetBoard } from '../../fleet/fleet-board.ts';
import { FleetError, listed, planPromotion, type ServerChannel } from '../../fleet/promotion-plan.ts';
import { RedisError } from '../../redis/redis-error.ts';
import { errorLine } from '../../text/error-text.ts';
import { counted } from '../../text/figures.ts';
import { isoTime } from '../../text/iso-time.ts';
import type { VerbContext, VerbResult } from '../store/store-verb.ts';
import { type Fleet, type FleetFlags, fleetCommand, runFleetVerb } from './fleet-verb.ts';

/** Longest wait for the servers to follow: two of their questions. */
const FOLLOW_MS = 11_000;
/** Interval between two looks at what they serve. */
const LOOK_MS = 50;

interface PromoteFlags extends FleetFlags {
  readonly force?: boolean;
}

async function serversWith(board: FleetBoard, channel: string, now: number): Promise<ServerChannel[]> {
  const servers = await board.servers(now);
  const channels = await board.channelOn(
    servers.map(({ name }) => name),
    channel,
  );
  return servers.map((server, at) => ({ server, channel: channels[at] }));
}

/** Waits until every live server follows, besides those that lack the version. @returns who follows and who does not. */
async function awaitServers(
  { board, signal }: Fleet,
  channel: string,
  generation: number,
  lacking: readonly string[],
): Promise<{ followed: string[]; waiting: string[] }> {
  const until = performance.now() + FOLLOW_MS;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- one look after the other.
    const servers = await serversWith(board, channel, await board.time());
    const hasFollowed = ({ channel: one }: ServerChannel): boolean => (one?.promoted?.generation ?? 0) >= generation;
    const namesOf = (some: ServerChannel[]): string[] => some.map(({ server }) => server.name);
    const followed = namesOf(servers.filter(hasFollowed));
    const waiting = namesOf(servers.filter((one) => !hasFollowed(one)));
    const isDone = waiting.every((name) => lacking.includes(name));
    if (isDone || performance.now() >= until || signal.aborted) return { followed, waiting };
    // oxlint-disable-next-line no-await-in-loop -- see above.
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function promote(
  channel: string,
  version: string | undefined,
  isForced: boolean,
  fleet: Fleet,
): Promise<VerbResult> {
  const { board, prefix } = fleet;
  const shared = (await board.promotions([channel])).get(channel)!;
  const now = await board.time();
  const servers = await serversWith(board, channel, now);
  const { promotion, lacking } = planPromotion({ channel, version, isForced, prefix }, servers, shared.promotion, now);
  const { generation, manifest, at } = promotion;
  const what = `sha256:${manifest.slice(0, 12)} as generation ${generation}`;
  const isWritten = await board.promote(channel, shared, promotion).catch((error: unknown) => {
    // A refusal has changed nothing. Without an answer the command may have been carried out.
    if (error instanceof RedisError && error.failure === 'refused') throw error;
    const problem = `it is not known whether it was promoted to ${what} (${errorLine(error)})`;
    throw new FleetError(`channel "${channel}": ${problem}: see reveille servers`, false);
  });
  if (!isWritten) {
    throw new FleetError(
      `channel "${channel}": has been promoted by somebody else meanwhile: nothing was changed`,
      false,
    );
  }
  const follow = async (): ReturnType<typeof awaitServers> => {
    await board.notify(channel);
    return await awaitServers(fleet, channel, generation, lacking);
  };
  const { followed, waiting } = await follow().catch((error: unknown) => {
    const problem = `promoted to ${what}, but who follows is not known (${errorLine(error)})`;
    throw new FleetError(`channel "${channel}": ${problem}: see reveille servers`, false);
  });
  const late = waiting.filter((name) => !lacking.includes(name));
  return {
    json: {
      channel,
      generation,
      digest: `sha256:${manifest}`,
      promoted_at: isoTime(at),
      lacking,
      followed,
      waiting,
    },
    text: [
      `${channel}: generation ${generation}, sha256:${manifest}`,
      `followed by ${followed.length} of ${counted(followed.length + waiting.length, 'server')}`,
      ...(lacking.length === 0 ? [] : [`not staged on ${listed(lacking)}: they follow once they have the version`]),
      ...(late.length === 0 ? [] : [`not followed yet by ${listed(late)}: see reveille servers`]),
    ],
    code: late.length === 0 ? EXIT.fine : EXIT.failed,
  };
}

/** Adds the command. @param done receives its exit code. */
export function addPromote(program: Command, context: VerbContext, done: (code: ExitCode) => void): void {
  fleetCommand(program, 'promote')
    .summary('move a channel on all servers of a fleet')
    .description(
      'Makes a version current on every server of a fleet, once all live servers have staged it. New boots get it within a second; boots under way finish with their version.',
    )
    .argument('<CHANNEL>', 'name of the channel')
    .argument(
      '[VERSION]',
      'digest, first digits of it, or number of the version (default: the one that the followed tag names)',
    )
    .option('--force', 'promote although live servers lack the version; prints which')
    .addHelpText(
      'after',
      `
Exit codes: 0 promoted; 1 a server lacks the version, Redis gave no answer, or not all servers followed within 11 s; 2 wrong input, nothing was changed.
`,
    )
    .action(async (channel: string, version: string | undefined, flags: PromoteFlags) => {
      try {
        checkChannelName(channel);
      } catch (error) {
        throw new UsageError(errorLine(error));
      }
      const isForced = flags.force === true;
      done(await runFleetVerb(context, flags, (fleet) => promote(channel, version, isForced, fleet)));
    });
}
