/** `reveille publish`: puts files into a store as a version of a channel. Knows flags and output. */
import type { Command } from 'commander';
import type { Store } from '../../boot-set/store/store.ts';
import { escapeLine, showValue } from '../../text/escape.ts';
import { formatBytes, formatMany } from '../../text/figures.ts';
import { addPair, runVerb, type StoreFlags, storeCommand, type VerbContext, type VerbResult } from './store-verb.ts';
import { type ExitCode, UsageError } from '../../config/usage-error.ts';

interface PublishFlags extends StoreFlags {
  readonly label?: Readonly<Record<string, string>>;
  readonly keep?: boolean;
  readonly candidate?: boolean;
  readonly kernelArgs?: string;
  readonly os?: Readonly<Record<string, string>>;
}

const OS_KEYS = ['name', 'version', 'arch'];

async function runPublish(
  channel: string,
  paths: readonly string[],
  flags: PublishFlags,
  context: VerbContext,
): Promise<ExitCode> {
  const strange = Object.keys(flags.os ?? {}).find((key) => !OS_KEYS.includes(key));
  if (strange !== undefined) throw new UsageError(`--os: expected ${OS_KEYS.join(', ')}, got ${showValue(strange)}`);
  const { checkPublishable, publish } = await import('../../boot-set/store/publish.ts');
  const request = {
    channel,
    paths,
    ...(flags.label === undefined ? {} : { labels: flags.label }),
    ...(flags.keep === undefined ? {} : { keep: flags.keep }),
    ...(flags.candidate === undefined ? {} : { candidate: flags.candidate }),
    ...(flags.kernelArgs === undefined ? {} : { kernelArguments: flags.kernelArgs }),
    ...(flags.os === undefined ? {} : { os: flags.os }),
  };
  const work = async (store: Store, signal: AbortSignal): Promise<VerbResult> => {
    const { name, number, manifest, files, bytes, isNew, before } = await publish(store, { ...request, signal });
    if (context.stderr.isTTY === true && flags.json !== true) {
      const what = isNew ? 'new' : 'unchanged';
      const moved = flags.candidate === true || before === number ? '' : `, ${channel} was at ${before ?? 'nothing'}`;
      context.stderr.write(`${escapeLine(`${what}: ${formatMany(files, 'file')}, ${formatBytes(bytes)}${moved}`)}\n`);
    }
    return {
      json: {
        version: name,
        channel,
        number,
        digest: `sha256:${manifest}`,
        files,
        bytes,
        new: isNew,
        previous_current: before ?? null,
      },
      text: [name],
    };
  };
  // Checked first, so that no store is created for files that it cannot hold.
  return await runVerb(context, flags, 'create', work, () => checkPublishable(request));
}

/** Adds the command. @param done receives its exit code. */
export function addPublish(program: Command, context: VerbContext, done: (code: ExitCode) => void): void {
  storeCommand(program, 'publish')
    .summary('publish a boot set: new boots get this version')
    .description(
      'Copies files into a store as a new version of a channel, makes it current, and prints its name. Publishing the same content again makes no new version.',
    )
    .argument('<CHANNEL>', 'channel such as maas/amd64/precise/install')
    .argument('<PATH...>', 'files, or a folder whose content is published')
    .option('--label <K=V>', 'label of the version, repeatable', addPair('--label'))
    .option('--keep', 'never collect the version')
    .option('--candidate', 'do not make the version current: `reveille rollout` gives it to nodes')
    .option('--kernel-args <TEXT>', 'kernel arguments that belong to the version')
    .option('--os <K=V>', 'name, version or arch of the operating system, repeatable', addPair('--os'))
    .addHelpText(
      'after',
      `
Nothing is visible before all files are on the disk. A publication that is interrupted leaves the store as it was.
Exit codes: 0 published; 1 failed, for example because the disk is full; 2 wrong input, nothing was written.
`,
    )
    .action(async (channel: string, paths: string[], flags: PublishFlags) => {
      done(await runPublish(channel, paths, flags, context));
    });
}
