/** `reveille pins`, `pin` and `rollout`: which node gets which version. Knows flags and output. */
import type { Command } from 'commander';
import { formatMany, formatMs } from '../../text/figures.ts';
import { flag } from '../../config/flag.ts';
import { parseNode } from '../../config/node-argument.ts';
import { addPair, runVerb, type StoreFlags, storeCommand, type VerbContext } from './store-verb.ts';
import { isoTime } from '../../text/iso-time.ts';
import { textTable } from '../../text/text-table.ts';
import { type ExitCode, UsageError } from '../../config/usage-error.ts';
import { wholeNumber } from '../../config/value-kind.ts';

async function listPins(flags: StoreFlags, context: VerbContext): Promise<ExitCode> {
  const { isPinLive } = await import('../../boot-set/store/roots.ts');
  return await runVerb(context, flags, 'read', async (store) => {
    const now = store.now();
    const settings = new Map(
      store.channels().map(({ name, settings: own }) => [name, { ...store.defaults(), ...own }]),
    );
    const pins = store.pins().map((pin) => ({
      ...pin,
      live: isPinLive(pin, settings.get(pin.channel) ?? store.defaults(), now),
    }));
    const overrides = store.overrides();
    return {
      json: {
        pins: pins.map(({ node, channel, version, createdAt, usedAt, stage, address, live }) => ({
          node,
          channel,
          version,
          live,
          stage,
          address,
          created_at: isoTime(createdAt),
          used_at: isoTime(usedAt),
        })),
        by_hand: overrides,
      },
      text: textTable(
        ['NODE', 'VERSION', 'WHY', 'AGE', 'IDLE', 'ADDRESS'],
        [
          ...overrides.map(({ node, channel, version }) => [node, `${channel}-${version}`, 'by hand', '-', '-', '-']),
          ...pins.map(({ node, channel, version, createdAt, usedAt, address, live }) => [
            node,
            `${channel}-${version}`,
            live ? 'boots' : 'ended',
            formatMs(Math.max(0, now - createdAt)),
            formatMs(Math.max(0, now - usedAt)),
            address,
          ]),
        ],
        { right: [3, 4] },
      ),
    };
  });
}

async function runDropPins(text: string, flags: StoreFlags, context: VerbContext): Promise<ExitCode> {
  const node = parseNode(text);
  const { dropPins } = await import('../../boot-set/store/channel-changes.ts');
  return await runVerb(context, flags, 'change', async (store) => {
    // A full change, not just a note: a server reads its pins again only when the store's generation has changed.
    const dropped = await store.change((tables) => dropPins(tables, node));
    await store.flushed();
    return { json: { node, dropped }, text: [`${node}: ${formatMany(dropped, 'pin')} dropped`] };
  });
}

async function runPin(
  text: string,
  name: string,
  drop: boolean,
  flags: StoreFlags,
  context: VerbContext,
): Promise<ExitCode> {
  const node = parseNode(text);
  const { pinNode, unpinNode } = await import('../../boot-set/store/channel-changes.ts');
  return await runVerb(context, flags, 'change', async (store) => {
    if (drop) await store.change((tables) => unpinNode(tables, node, name));
    else await store.change((tables) => pinNode(tables, node, name));
    await store.flushed();
    return drop
      ? { json: { node, channel: name, version: null }, text: [`${node}: the version of channel ${name}`] }
      : { json: { node, version: name }, text: [`${node}: ${name}`] };
  });
}

interface RolloutFlags extends StoreFlags {
  readonly percent?: number;
  readonly select?: Readonly<Record<string, string>>;
  readonly pause?: boolean;
  readonly resume?: boolean;
  readonly promote?: boolean;
  readonly abort?: boolean;
}

const STEERING = ['pause', 'resume', 'promote', 'abort'] as const;

async function runRollout(
  name: string,
  to: string | undefined,
  flags: RolloutFlags,
  context: VerbContext,
): Promise<ExitCode> {
  const steering = STEERING.filter((one) => flags[one] === true);
  const begins = to !== undefined || flags.percent !== undefined || flags.select !== undefined;
  if (steering.length + (begins ? 1 : 0) !== 1) {
    throw new UsageError(
      'rollout: expected a version with --percent or --select, or one of --pause, --resume, --promote, --abort',
    );
  }
  if (to !== undefined && flags.percent === undefined && flags.select === undefined) {
    throw new UsageError('rollout: expected --percent N or --select K=V, to say which nodes get the version');
  }
  const { abortRollout, pauseRollout, promoteRollout, setRollout } = await import(
    '../../boot-set/store/channel-changes.ts'
  );
  return await runVerb(context, flags, 'change', async (store) => {
    const { candidate, current, rollout } = await store.change((tables) => {
      const [steer] = steering;
      const before = tables.channels.get(name)?.rollout?.candidate;
      if (steer === 'promote') promoteRollout(tables, name);
      else if (steer === 'abort') abortRollout(tables, name);
      else if (steer !== undefined) pauseRollout(tables, name, steer === 'pause');
      else {
        const { percent, select } = flags;
        setRollout(tables, name, {
          ...(to === undefined ? {} : { to }),
          ...(percent === undefined ? {} : { percent }),
          ...(select === undefined ? {} : { select }),
        });
      }
      const channel = tables.channels.get(name)!;
      return { candidate: channel.rollout?.candidate ?? before!, current: channel.current, rollout: channel.rollout };
    });
    await store.flushed();
    const version = `${name}-${candidate}`;
    const text =
      rollout === undefined
        ? current === candidate
          ? 'current'
          : 'aborted'
        : [
            ...(rollout.percent === undefined ? [] : [`for ${rollout.percent} % of the nodes`]),
            ...Object.entries(rollout.select ?? {}).map(([key, value]) => `where ${key} is ${value}`),
            ...(rollout.paused ? ['paused'] : []),
          ].join(', ');
    return {
      json: { channel: name, version, current: current ?? null, rollout: rollout ?? null },
      text: [`${version}: ${text}`],
    };
  });
}

/** Adds the commands. @param done receives their exit code. */
export function addPinCommands(program: Command, context: VerbContext, done: (code: ExitCode) => void): void {
  storeCommand(program, 'pins')
    .summary('list the nodes and the versions that they boot')
    .option('--drop <NODE>', 'drop the pins of a node: its next request begins a new boot')
    .action(async (flags: StoreFlags & { drop?: string }) => {
      done(await (flags.drop === undefined ? listPins(flags, context) : runDropPins(flags.drop, flags, context)));
    });
  storeCommand(program, 'pin')
    .summary('pin a node to one version, whatever the current one is')
    .argument('<NODE>', 'MAC, UUID, serial number or IP address of the node')
    .argument('<VERSION>', 'version such as maas/amd64/precise/install-3; with --drop, the channel')
    .option('--drop', 'remove the pin: the node boots the version of the channel again')
    .action(async (node: string, name: string, flags: StoreFlags & { drop?: boolean }) => {
      done(await runPin(node, name, flags.drop === true, flags, context));
    });
  storeCommand(program, 'rollout')
    .summary('give a candidate to some of the nodes')
    .argument('<CHANNEL>', 'name of the channel')
    .argument('[VERSION]', 'candidate (default: the one being rolled out)')
    .option('--percent <N>', 'share of the nodes, 0 to 100', flag('--percent', wholeNumber(0, 100)))
    .option('--select <K=V>', 'nodes whose mac, uuid, serial, ip or label K is V; repeatable', addPair('--select'))
    .option('--pause', 'give the candidate to no further node')
    .option('--resume', 'continue a paused rollout')
    .option('--promote', 'make the candidate current')
    .option('--abort', 'give the candidate up')
    .action(async (name: string, to: string | undefined, flags: RolloutFlags) => {
      done(await runRollout(name, to, flags, context));
    });
}
