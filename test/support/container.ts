/**
 * Runs the unpacked container image as an engine does: in namespaces of its own, with a read-only root and the user,
 * the environment and the command of the image's config, and with no more capabilities than the test allows. Needs root.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Namespace } from './namespaces.ts';
import { folder, Reveille } from './reveille.ts';

/** The folder that .ci/check-image has built: `image`, an OCI layout, and `root`, its files. Unset: the tests are skipped. */
export const BUILT = process.env['REVEILLE_IMAGE'];

export interface ImageConfig {
  readonly User: string;
  readonly ExposedPorts: Readonly<Record<string, object>>;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly Volumes: Readonly<Record<string, object>>;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Healthcheck: { readonly Test: readonly string[] };
}

interface Descriptor {
  readonly digest: string;
}

interface Manifest {
  readonly config: Descriptor;
  readonly annotations: Readonly<Record<string, string>>;
}

function layoutJson(path: string): unknown {
  return JSON.parse(readFileSync(join(BUILT!, 'image', path), 'utf8'));
}

function blob({ digest }: Descriptor): unknown {
  return layoutJson(`blobs/${digest.replace(':', '/')}`);
}

export function imageManifest(): Manifest {
  const { manifests } = layoutJson('index.json') as { manifests: readonly [Descriptor] };
  return blob(manifests[0]) as Manifest;
}

export function imageConfig(): ImageConfig {
  return (blob(imageManifest().config) as { config: ImageConfig }).config;
}

export interface ContainerOptions {
  /** Command in place of the entrypoint. */
  readonly entrypoint?: readonly string[];
  /** Arguments in place of the image's own. */
  readonly args?: readonly string[];
  /** Folder that is mounted on /srv/tftp. */
  readonly files: string;
  /** Folder that is mounted on the volume, owned by the user. */
  readonly store: string;
  /** Capabilities that stay in the bounding set. Default: CAP_NET_BIND_SERVICE. */
  readonly capabilities?: readonly string[];
  readonly noNewPrivileges?: boolean;
  /**
   * The process has the capabilities before it becomes the program, as under containerd, CRI-O and Docker from 24.
   * Older engines give a user other than root only the bounding set.
   */
  readonly hasCapabilities?: boolean;
}

/** Arguments: root, files, store. The remaining ones are a command. */
const MOUNT = `
root=$1 files=$2 store=$3
shift 3
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero random urandom; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mount --bind "$files" srv/tftp
mount -o remount,bind,ro srv/tftp
mount --bind "$store" var/lib/reveille
mount -o remount,bind,ro .
exec "$@"
`;

function allCapabilities(): string[] {
  const last = Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'));
  const mask = (2n ** BigInt(last + 1) - 1n).toString(16);
  return execFileSync('capsh', [`--decode=${mask}`], { encoding: 'utf8' })
    .trim()
    .split('=')[1]!
    .split(',');
}

/** A folder for the volume that the image's user owns, as an engine makes it. */
export function volume(): string {
  const path = join(folder(), 'store');
  mkdirSync(path);
  const { User } = imageConfig();
  execFileSync('chown', [User, path]);
  return path;
}

/** Starts a container in a network namespace. */
export function startContainer(namespace: Namespace, options: ContainerOptions): Reveille {
  const { User, Env, Entrypoint, Cmd } = imageConfig();
  const [user, group] = User.split(':');
  const [program, ...fixed] = options.entrypoint ?? Entrypoint;
  const path = Env.find((line) => line.startsWith('PATH='))!.slice('PATH='.length);
  const kept = options.capabilities ?? ['cap_net_bind_service'];
  const dropped = allCapabilities().filter((name) => !kept.includes(name));
  const capsh = execFileSync('which', ['capsh'], { encoding: 'utf8' }).trim();
  const isolated = ['unshare', '--mount', '--pid', '--ipc', '--uts', '--fork'];
  const executable = program!.startsWith('/') ? program! : join(path, program!);
  const identity = ['--groups=', `--gid=${group}`, `--drop=${dropped.join()}`, `--uid=${user}`];
  if (options.hasCapabilities === true) identity.splice(-1, 0, '--keep=1');
  if (options.hasCapabilities === true) identity.push(`--caps=${kept.join()}=p`);
  if (options.noNewPrivileges === true) identity.push('--no-new-privs');
  const environment = ['env', '--ignore-environment', ...Env];
  const become = [...environment, capsh, `--shell=${executable}`, '--chroot=.', '--inh=', ...identity, '--'];
  const mounted = ['sh', '-ec', MOUNT, 'sh', join(BUILT!, 'root'), options.files, options.store];
  const container = new Reveille([...fixed, ...(options.args ?? Cmd)], {
    prefix: namespace.prefix,
    program: [...isolated, ...mounted, ...become],
  });
  // The end of `unshare` does not end the process: the kernel forgets --kill-child when it gets its capability.
  onTestFinished(() => {
    const first = firstProcess(container);
    if (first !== undefined) process.kill(first, 'SIGKILL');
  });
  return container;
}

/** @returns the id, outside the container, of the process that is number 1 inside it; undefined: it has ended. */
export function firstProcess({ process: { pid, exitCode, signalCode } }: Reveille): number | undefined {
  if (exitCode !== null || signalCode !== null) return undefined;
  try {
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim()) || undefined;
  } catch {
    return undefined;
  }
}
