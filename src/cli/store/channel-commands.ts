/**
 * `reveille channels`, `versions`, `rollback`, `remove`, `keep` and `channel`: list a store's channels and versions,
 * and decide which version boots get.
 */
import type { Command } from 'commander';
import type { ChannelRecord, ChannelSettings, VersionRecord } from '../../boot-set/store/records.ts';
import type { Store } from '../../boot-set/store/store.ts';
import { formatBytes, formatCount, formatMany, formatMs } from '../../text/figures.ts';
import { flag } from '../../config/flag.ts';
import { runVerb, type StoreFlags, storeCommand, type VerbContext, type VerbResult } from './store-verb.ts';
import { isoTime } from '../../text/iso-time.ts';
import { textTable } from '../../text/text-table.ts';
import { type ExitCode, UsageError } from '../../config/usage-error.ts';
import { duration, wholeNumber } from '../../config/value-kind.ts';

const MAX_MS = 30 * 24 * 3_600_000;
/** Digits of a digest in a table: enough to identify it. */
const SHOWN_DIGITS = 12;

function nameOf({ channel, number }: VersionRecord): string {
  return `${channel}-${number}`;
}

function bytesOf({ files }: VersionRecord): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

function rolloutText({ rollout }: ChannelRecord): string {
  if (rollout === undefined) return '-';
  const share = rollout.percent === undefined ? [] : [`${rollout.percent} %`];
  const select = Object.entries(rollout.select ?? {}).map(([key, value]) => `${key}=${value}`);
  return [`-> ${rollout.candidate}`, ...share, ...select, ...(rollout.paused ? ['paused'] : [])].join(' ');
}

/** Says whether the current version is the one that a followed registry named last. */
function followedText({ followed }: ChannelRecord, current: VersionRecord | undefined): string {
  if (followed === undefined) return '-';
  return followed === current?.manifest ? 'followed' : `named ${followed.slice(0, SHOWN_DIGITS)}`;
}

function listChannels(store: Store): VerbResult {
  const versions = store.versions();
  const channels = store.channels().map((channel) => {
    const own = versions.filter(({ channel: name }) => name === channel.name);
    const current = own.find(({ number }) => number === channel.current);
    return { channel, current, count: own.length, bytes: own.reduce((sum, version) => sum + bytesOf(version), 0) };
  });
  return {
    json: channels.map(({ channel, count, bytes }) => ({
      name: channel.name,
      current: channel.current ?? null,
      previous: channel.previous,
      rollout: channel.rollout ?? null,
      settings: channel.settings,
      followed: channel.followed === undefined ? null : `sha256:${channel.followed}`,
      versions: count,
      bytes,
    })),
    text: textTable(
      ['CHANNEL', 'CURRENT', 'PREVIOUS', 'ROLLOUT', 'REGISTRY', 'VERSIONS', 'BYTES'],
      channels.map(({ channel, current, count, bytes }) => [
        channel.name,
        String(channel.current ?? '-'),
        channel.previous.slice(0, 5).join(' ') || '-',
        rolloutText(channel),
        followedText(channel, current),
        formatCount(count),
        formatBytes(bytes),
      ]),
      { right: [5, 6] },
    ),
  };
}

/** @returns the reasons why a version is kept. */
function standing(version: VersionRecord, channel: ChannelRecord | undefined): string {
  const words = [
    channel?.current === version.number ? 'current' : '',
    channel?.rollout?.candidate === version.number ? 'candidate' : '',
    channel?.previous.includes(version.number) === true ? 'previous' : '',
    version.keep ? 'kept' : '',
    version.unrootedAt === undefined ? '' : 'will be collected',
  ];
  return words.filter((word) => word !== '').join(', ') || '-';
}

function listVersions(store: Store, name: string): VerbResult {
  const channel = store.channels().find((one) => one.name === name);
  if (channel === undefined)
    throw new UsageError(`channel "${name}": expected an existing channel, found none of that name`);
  // Newest first.
  const versions = store.versions(name).toReversed();
  return {
    json: versions.map((version) => ({
      version: nameOf(version),
      number: version.number,
      digest: `sha256:${version.manifest}`,
      current: channel.current === version.number,
      candidate: channel.rollout?.candidate === version.number,
      keep: version.keep,
      published_at: isoTime(version.publishedAt),
      unneeded_since: version.unrootedAt === undefined ? null : isoTime(version.unrootedAt),
      labels: version.labels,
      kernel_arguments: version.kernelArguments ?? null,
      bytes: bytesOf(version),
      files: version.files.map(({ name: file, digest, size }) => ({ name: file, digest: `sha256:${digest}`, size })),
    })),
    text: textTable(
      ['VERSION', 'STANDING', 'PUBLISHED', 'FILES', 'BYTES', 'DIGEST', 'LABELS'],
      versions.map((version) => [
        nameOf(version),
        standing(version, channel),
        isoTime(version.publishedAt),
        formatCount(version.files.length),
        formatBytes(bytesOf(version)),
        version.manifest.slice(0, SHOWN_DIGITS),
        Object.entries(version.labels)
          .map(([key, value]) => `${key}=${value}`)
          .join(' ') || '-',
      ]),
      { right: [3, 4] },
    ),
  };
}

async function runRollback(
  name: string,
  to: string | undefined,
  flags: StoreFlags,
  context: VerbContext,
): Promise<ExitCode> {
  const { rollback } = await import('../../boot-set/store/channel-changes.ts');
  return await runVerb(context, flags, 'change', async (store) => {
    const { from, to: number } = await store.change((tables) => rollback(tables, name, to));
    await store.flushed();
    return {
      json: { channel: name, from: from ?? null, to: number, version: `${name}-${number}` },
      text: [`${name}-${number}`],
    };
  });
}

async function runRemove(name: string, flags: StoreFlags, context: VerbContext): Promise<ExitCode> {
  const { removeChannel, removeVersion } = await import('../../boot-set/store/channel-changes.ts');
  return await runVerb(context, flags, 'change', async (store) => {
    const removed = await store.change((tables) =>
      /-[0-9]+$/.test(name) ? [removeVersion(tables, name)] : removeChannel(tables, name),
    );
    await store.flushed();
    const names = removed.map(nameOf);
    return {
      json: { removed: names },
      text: [
        `${formatMany(names.length, 'version')} no longer wanted: collected once no boot needs ${names.length === 1 ? 'it' : 'them'}`,
      ],
    };
  });
}

async function runKeep(name: string, keep: boolean, flags: StoreFlags, context: VerbContext): Promise<ExitCode> {
  const { setKeep } = await import('../../boot-set/store/channel-changes.ts');
  return await runVerb(context, flags, 'change', async (store) => {
    await store.change((tables) => setKeep(tables, name, keep));
    await store.flushed();
    return { json: { version: name, keep }, text: [`${name}: ${keep ? 'kept' : 'no longer kept'}`] };
  });
}

interface ChannelFlags extends StoreFlags {
  readonly pinIdle?: number | 'default';
  readonly pinCap?: number | 'default';
  readonly keepVersions?: number | 'default';
}

async function runChannel(name: string, flags: ChannelFlags, context: VerbContext): Promise<ExitCode> {
  const { changeSettings, channelOf } = await import('../../boot-set/store/channel-changes.ts');
  const { pinIdle, pinCap, keepVersions } = flags;
  const asked = {
    ...(pinIdle === undefined ? {} : { pinIdleMs: orNull(pinIdle) }),
    ...(pinCap === undefined ? {} : { pinCapMs: orNull(pinCap) }),
    ...(keepVersions === undefined ? {} : { keepVersions: orNull(keepVersions) }),
  };
  const changes = Object.keys(asked).length > 0;
  return await runVerb(context, flags, changes ? 'change' : 'read', async (store) => {
    const { settings } = changes
      ? await store.change((tables) => changeSettings(tables, name, asked))
      : channelOf(store.tables, name);
    if (changes) await store.flushed();
    const holds: Required<ChannelSettings> = { ...store.defaults(), ...settings };
    const row = (key: keyof ChannelSettings, text: string): string[] => [
      text,
      key === 'keepVersions' ? String(holds[key]) : formatMs(holds[key]),
      key in settings ? 'set for the channel' : 'setting of the server',
    ];
    return {
      json: { name, settings, effective: holds },
      text: textTable(
        ['SETTING', 'VALUE', 'FROM'],
        [row('pinIdleMs', 'pin-idle'), row('pinCapMs', 'pin-cap'), row('keepVersions', 'keep-versions')],
      ),
    };
  });
}

/** Accepts a setting, or `default` for the server's. Not null, which Commander takes for no value. */
function orDefault(read: (text: string) => number): (text: string) => number | 'default' {
  return (text) => (text === 'default' ? text : read(text));
}

function orNull(value: number | 'default'): number | null {
  return value === 'default' ? null : value;
}

/** Adds the commands. @param done receives their exit code. */
export function addChannelCommands(program: Command, context: VerbContext, done: (code: ExitCode) => void): void {
  storeCommand(program, 'channels')
    .summary('list the channels of a store')
    .action(async (flags: StoreFlags) => {
      done(await runVerb(context, flags, 'read', async (store) => listChannels(store)));
    });
  storeCommand(program, 'versions')
    .summary('list the versions of a channel, newest first')
    .argument('<CHANNEL>', 'name of the channel')
    .action(async (name: string, flags: StoreFlags) => {
      done(await runVerb(context, flags, 'read', async (store) => listVersions(store, name)));
    });
  storeCommand(program, 'rollback')
    .summary('make a previous version current again')
    .description(
      'Makes the previous version of a channel current, or the version named, and prints its name. Boots under way finish with their version. Two rollbacks without a name cancel out.',
    )
    .argument('<CHANNEL>', 'name of the channel')
    .argument('[VERSION]', 'version to make current, such as install-3 or 3')
    .action(async (name: string, to: string | undefined, flags: StoreFlags) => {
      done(await runRollback(name, to, flags, context));
    });
  storeCommand(program, 'remove')
    .summary('give up a channel or a version, so that it is collected')
    .description(
      'Removes every reason to keep a version, or all versions of a channel, except boots under way. The next collections remove them.',
    )
    .argument('<NAME>', 'channel, or version such as maas/amd64/precise/install-3')
    .action(async (name: string, flags: StoreFlags) => {
      done(await runRemove(name, flags, context));
    });
  storeCommand(program, 'keep')
    .summary('never collect a version')
    .argument('<VERSION>', 'version such as maas/amd64/precise/install-3')
    .option('--drop', 'undo keep: collect the version once nothing needs it')
    .action(async (name: string, flags: StoreFlags & { drop?: boolean }) => {
      done(await runKeep(name, flags.drop !== true, flags, context));
    });
  const idle = duration(1000, MAX_MS, '15m, or default');
  const keep = wholeNumber(0, 100);
  storeCommand(program, 'channel')
    .summary('show or change the settings of one channel')
    .argument('<CHANNEL>', 'name of the channel')
    .option(
      '--pin-idle <D>',
      'silence after which a pin ends, or the word default',
      orDefault(flag('--pin-idle', idle)),
    )
    .option('--pin-cap <D>', 'age after which a pin ends, or the word default', orDefault(flag('--pin-cap', idle)))
    .option(
      '--keep-versions <N>',
      'previous versions kept for a rollback, or the word default',
      orDefault(flag('--keep-versions', keep)),
    )
    .action(async (name: string, flags: ChannelFlags) => {
      done(await runChannel(name, flags, context));
    });
}
