/** `reveille store rebuild`: rebuilds the database of a store. Knows flags and output. */
import type { Command } from 'commander';
import type { Rebuilt } from '../../boot-set/store/rebuild.ts';
import type { ExitCode } from '../../config/usage-error.ts';
import { formatMany } from '../../text/figures.ts';
import { textTable } from '../../text/text-table.ts';
import { runOnStore, type StoreFlags, storeCommand, type VerbContext, type VerbResult } from './store-verb.ts';

/** Losses that are certain without reading the damaged database. */
const ALSO_LOST =
  'Also lost: settings of channels, the order of previous versions (now ordered by number), and the numbers of removed versions, which may be assigned again.';
const WARNING =
  'Nodes in the middle of a boot may get the current version of a channel for their next file: restart those nodes. ' +
  'Versions that only a pin or a rollout kept are collected after the grace time: pin them or roll them out again before that.';

function rebuilt({ path, channels, versions, aside, lost }: Rebuilt): VerbResult {
  const rows = [
    ...(lost?.overrides ?? []).map(({ node, channel, version }) => ['pin by hand', node, `${channel}-${version}`]),
    ...(lost?.rollouts ?? []).map(({ channel, candidate }) => ['rollout', channel, `${channel}-${candidate}`]),
    ...(lost?.pins ?? []).map(({ node, channel, version }) => ['pin of a boot', node, `${channel}-${version}`]),
    ...(lost?.useNotes ?? []).map((name) => ['note of a version in use', '-', name]),
  ];
  const made = `${path}: ${formatMany(versions, 'version')} of ${formatMany(channels, 'channel')}, from index.json`;
  const told =
    lost !== undefined
      ? formatMany(rows.length, 'record')
      : aside === undefined
        ? 'all pins, rollouts and notes of versions in use, because there was no database'
        : 'all pins, rollouts and notes of versions in use, which cannot be listed because the damaged database cannot be read';
  return {
    json: {
      channels,
      versions,
      damaged: aside ?? null,
      lost: lost === undefined ? null : { ...lost },
      warnings: [ALSO_LOST, WARNING],
    },
    text: [
      made,
      ...(aside === undefined ? [] : [`The damaged database is kept as ${aside}`]),
      `Lost: ${told}`,
      ...(rows.length === 0 ? [] : textTable(['WHAT', 'OF', 'VERSION'], rows)),
      ALSO_LOST,
      WARNING,
    ],
  };
}

async function runRebuild(flags: StoreFlags, context: VerbContext): Promise<ExitCode> {
  return await runOnStore(context, flags, async (path) => {
    const { rebuild } = await import('../../boot-set/store/rebuild.ts');
    return rebuilt(await rebuild({ path }));
  });
}

/** Adds the command. @param done receives its exit code. */
export function addStoreCommand(program: Command, context: VerbContext, done: (code: ExitCode) => void): void {
  const store = program.command('store').summary('repair a damaged store').helpCommand(false);
  storeCommand(store, 'rebuild')
    .summary('rebuild the database from index.json')
    .description(
      'Rebuilds the database of a store where it is damaged or lost. Reads every blob first, refuses to run while a server or another command has the store open, keeps the damaged database beside the new one, and lists what is lost.',
    )
    .action(async (flags: StoreFlags) => {
      done(await runRebuild(flags, context));
    });
}
