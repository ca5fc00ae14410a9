/**
 * `reveille gc` and `verify`: remove what a store no longer needs, and check that it is intact. Knows flags and output.
 */
import type { Command } from 'commander';
import type { Collected } from '../../boot-set/store/collect.ts';
import { GRACE_MS } from '../../boot-set/store/records.ts';
import { formatBytes, formatMany } from '../../text/figures.ts';
import { flag } from '../../config/flag.ts';
import { runVerb, type StoreFlags, storeCommand, type VerbContext, type VerbResult } from './store-verb.ts';
import { isoTime } from '../../text/iso-time.ts';
import { textTable } from '../../text/text-table.ts';
import { EXIT, type ExitCode } from '../../config/usage-error.ts';
import { duration, formatDuration } from '../../config/value-kind.ts';

const MAX_GRACE_MS = 30 * 24 * 3_600_000;

interface CollectFlags extends StoreFlags {
  readonly dryRun?: boolean;
  readonly grace?: number;
}

function collected({ dryRun, versions, channels, waiting, blobs, leftovers, bytes }: Collected): VerbResult {
  const rows = [
    ...versions.map(({ name, bytes: size }) => [name, formatBytes(size), dryRun ? 'would be removed' : 'removed']),
    ...waiting.map(({ name, until }) => [name, '', `not before ${isoTime(until)}`]),
  ];
  const parts = [
    formatMany(versions.length, 'version'),
    formatMany(blobs, 'blob'),
    ...(leftovers > 0 ? [formatMany(leftovers, 'leftover folder')] : []),
  ];
  return {
    json: {
      dry_run: dryRun,
      versions,
      channels,
      waiting: waiting.map(({ name, until }) => ({ name, until: isoTime(until) })),
      blobs,
      leftovers,
      bytes,
    },
    text: [
      ...(rows.length === 0 ? [] : textTable(['VERSION', 'BYTES', 'WHAT'], rows, { right: [1] })),
      `${dryRun ? 'Would free' : 'Freed'} ${formatBytes(bytes)}: ${parts.join(', ')}`,
    ],
  };
}

async function runCollect(flags: CollectFlags, context: VerbContext): Promise<ExitCode> {
  const { collect } = await import('../../boot-set/store/collect.ts');
  return await runVerb(context, flags, flags.dryRun === true ? 'read' : 'change', async (store, signal) =>
    collected(
      await collect(store, {
        dryRun: flags.dryRun ?? false,
        signal,
        ...(flags.grace === undefined ? {} : { graceMs: flags.grace }),
      }),
    ),
  );
}

async function runVerify(flags: StoreFlags, context: VerbContext): Promise<ExitCode> {
  const { verify } = await import('../../boot-set/store/verify.ts');
  return await runVerb(context, flags, 'change', async (store, signal) => {
    const { versions, blobs, bytes, damage, leftovers } = await verify(store, signal);
    const rows = damage.map(({ what, problem, versions: names }) => [what, problem, names.join(' ') || '-']);
    const counted = [formatMany(versions, 'version'), formatMany(blobs, 'blob'), formatBytes(bytes)].join(', ');
    const left = leftovers === 0 ? '' : `; ${formatMany(leftovers, 'leftover folder')} for the next gc`;
    const result = damage.length === 0 ? 'whole' : `${formatMany(damage.length, 'damage')}: publish the files again`;
    return {
      json: { whole: damage.length === 0, versions, blobs, bytes, damage, leftovers },
      text: [
        ...(rows.length === 0 ? [] : textTable(['WHAT', 'PROBLEM', 'VERSIONS'], rows)),
        `${counted}: ${result}${left}`,
      ],
      code: damage.length === 0 ? EXIT.fine : EXIT.failed,
    };
  });
}

/** Adds the commands. @param done receives their exit code. */
export function addCollectionCommands(program: Command, context: VerbContext, done: (code: ExitCode) => void): void {
  const grace = duration(0, MAX_GRACE_MS, '10m');
  storeCommand(program, 'gc')
    .summary('remove versions and files that nothing needs')
    .description(
      'Removes versions that no channel, rollout, pin, running boot or rendered config needs, and the leftovers of interrupted commands.',
    )
    .option('--dry-run', 'only show what would be removed')
    .option(
      '--grace <D>',
      `how long a version stays after nothing needs it any more (default: ${formatDuration(GRACE_MS)})`,
      flag('--grace', grace),
    )
    .action(async (flags: CollectFlags) => {
      done(await runCollect(flags, context));
    });
  storeCommand(program, 'verify')
    .summary('read all files of a store and compare them with their digests')
    .addHelpText('after', '\nExit codes: 0 the store is whole; 1 it is damaged.\n')
    .action(async (flags: StoreFlags) => {
      done(await runVerify(flags, context));
    });
}
