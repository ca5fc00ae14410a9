/** `reveille push` and `pull`: copy boot sets between a store and a registry. Knows flags and output. */
import type { Command } from 'commander';
import type { Store } from '../../boot-set/store/store.ts';
import { UsageError } from '../../config/usage-error.ts';
import type { ExitCode } from '../../config/usage-error.ts';
import { formatBytes, formatMany } from '../../text/figures.ts';
import { ProgressBar } from '../views/progress.ts';
import { runVerb, type StoreFlags, storeCommand, type VerbContext, type VerbResult } from './store-verb.ts';

interface RegistryFlags extends StoreFlags {
  readonly registryAuthFile?: string;
  readonly registryCaFile?: string;
  readonly dryRun?: boolean;
}

interface PushFlags extends RegistryFlags {
  readonly mountFrom?: string;
}

interface PullFlags extends RegistryFlags {
  readonly candidate?: boolean;
  readonly stage?: boolean;
  readonly follow?: boolean;
}

/** Shows progress if stderr is a terminal. */
class Progress {
  readonly #bar: ProgressBar | undefined;
  #last: readonly [number, number] | undefined;

  /** @param label short enough for a line of 80 columns with all figures. */
  constructor({ stderr }: VerbContext, label: 'push' | 'pull', { json, dryRun }: RegistryFlags) {
    const isShown = stderr.isTTY === true && json !== true && dryRun !== true;
    this.#bar = isShown ? new ProgressBar(stderr, label, performance.now()) : undefined;
  }

  readonly update = (done: number, total: number): void => {
    this.#last = [done, total];
    this.#bar?.update(done, total, performance.now());
  };

  /** Ends the line when the work ends, however it ends: a message comes on a line of its own. */
  async over<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } finally {
      if (this.#last !== undefined) this.#bar?.finish(...this.#last, performance.now());
    }
  }
}

function options({ registryAuthFile: authFile, registryCaFile: caFile, dryRun = false }: RegistryFlags): {
  authFile: string | undefined;
  caFile: string | undefined;
  dryRun: boolean;
} {
  return { authFile, caFile, dryRun };
}

async function runPush(name: string, to: string, flags: PushFlags, context: VerbContext): Promise<ExitCode> {
  const { push } = await import('../../registry/push.ts');
  const { isRepository, parseReference } = await import('../../registry/reference.ts');
  const { versionOf } = await import('../../boot-set/store/channel-changes.ts');
  const { mountFrom } = flags;
  const work = async (store: Store, signal: AbortSignal): Promise<VerbResult> => {
    const reference = parseReference(to);
    if (mountFrom !== undefined && !isRepository(mountFrom)) {
      throw new UsageError('--mount-from: expected the name of a repository, such as boot/install');
    }
    const current = store.tables.channels.get(name)?.current;
    const version = versionOf(store.tables, current === undefined ? name : `${name}-${current}`);
    const progress = new Progress(context, 'push', flags);
    const { manifest, blobs, uploaded, mounted } = await progress.over(
      push(store, { ...options(flags), version, reference, mountFrom, onProgress: progress.update, signal }),
    );
    const what = `${formatMany(blobs, 'blob')}, ${formatBytes(uploaded)}`;
    return {
      json: {
        version: `${version.channel}-${version.number}`,
        reference: reference.text,
        digest: `sha256:${manifest}`,
        blobs,
        mounted,
        bytes: uploaded,
        dry_run: flags.dryRun === true,
      },
      text: [flags.dryRun === true ? `would upload ${what}` : `${reference.text}@sha256:${manifest}`],
    };
  };
  return await runVerb(context, flags, 'read', work);
}

async function runPull(
  from: string,
  into: string | undefined,
  flags: PullFlags,
  context: VerbContext,
): Promise<ExitCode> {
  const { pull } = await import('../../registry/pull.ts');
  const { parseReference } = await import('../../registry/reference.ts');
  const { checkChannelName } = await import('../../boot-set/store/channel-name.ts');
  const { candidate = false, stage = false, follow = false } = flags;
  if (candidate && (stage || follow)) throw new UsageError('expected --candidate, or --stage and --follow');
  const work = async (store: Store, signal: AbortSignal): Promise<VerbResult> => {
    const reference = parseReference(from);
    const channel = into ?? reference.repository;
    const progress = new Progress(context, 'pull', flags);
    const standing = candidate ? 'candidate' : stage ? 'waiting' : 'current';
    const request = { ...options(flags), reference, channel, standing, isFollowed: follow, signal } as const;
    const { manifest, files, bytes, blobs, downloaded, version } = await progress.over(
      pull(store, { ...request, onProgress: progress.update }),
    );
    const what = `${formatMany(blobs, 'blob')}, ${formatBytes(downloaded)}`;
    return {
      json: {
        version: version?.name ?? null,
        channel,
        number: version?.number ?? null,
        digest: `sha256:${manifest}`,
        files,
        bytes,
        new: version?.isNew ?? null,
        previous_current: version?.before ?? null,
        blobs,
        downloaded,
        dry_run: flags.dryRun === true,
      },
      text: [version === undefined ? `would download ${what}` : version.name],
    };
  };
  // Checked first, so that no store is created for a name that is not one.
  return await runVerb(context, flags, flags.dryRun === true ? 'change' : 'create', work, async () => {
    checkChannelName(into ?? parseReference(from).repository);
    parseReference(from);
  });
}

function registryCommand(program: Command, nameAndArguments: string): Command {
  return storeCommand(program, nameAndArguments)
    .option('--registry-auth-file <FILE>', 'credentials (default: ~/.docker/config.json, if it exists)')
    .option('--registry-ca-file <FILE>', "certificate authorities of the registry, in PEM (default: the system's)")
    .option('--dry-run', 'print what would be transferred, and change nothing');
}

const REFERENCE_HELP = `
NAME is oci://HOST[:PORT]/REPOSITORY[:TAG], by default with the tag latest; oci+http:// reaches a registry without TLS.
`;

/** Adds the commands. @param done receives their exit code. */
export function addRegistryCommands(program: Command, context: VerbContext, done: (code: ExitCode) => void): void {
  registryCommand(program, 'push')
    .summary('copy a version to a registry')
    .description(
      'Uploads the files of a version that the repository lacks, then its manifest under a tag, and prints the name with the digest.',
    )
    .argument('<VERSION>', 'version such as maas/amd64/precise/install-3, or a channel, for its current version')
    .argument('<NAME>', 'where to, such as oci://registry.example/boot/install:stable')
    .option('--mount-from <REPOSITORY>', 'repository of the same registry that may have some of the files already')
    .addHelpText(
      'after',
      `${REFERENCE_HELP}
Exit codes: 0 pushed; 1 failed: the tag names what it named before; 2 wrong input, nothing was sent.
`,
    )
    .action(async (name: string, to: string, flags: PushFlags) => {
      done(await runPush(name, to, flags, context));
    });
  registryCommand(program, 'pull')
    .summary('copy a boot set from a registry: new boots get this version')
    .description(
      'Downloads the files that the store lacks, compares each with its digest, makes the version current, and prints its name. A version with the same digest is not made again.',
    )
    .argument('<NAME>', 'where from, such as oci://registry.example/boot/install:stable, or with @sha256:DIGEST')
    .argument('[CHANNEL]', 'channel (default: the name of the repository)')
    .option('--candidate', 'do not make the version current: `reveille rollout` gives it to nodes')
    .option('--stage', 'do not make the version current: nodes get it by its number or digest only')
    .option(
      '--follow',
      'record that the channel follows NAME, as a server with the setting follow does; with --stage, the channel waits for its promotion',
    )
    .addHelpText(
      'after',
      `${REFERENCE_HELP}
Nothing is visible before all files are on the disk. A cut download continues where it stopped, also in the next pull.
Exit codes: 0 pulled; 1 failed, 2 wrong input: versions and channels are as they were.
`,
    )
    .action(async (from: string, into: string | undefined, flags: PullFlags) => {
      done(await runPull(from, into, flags, context));
    });
}
