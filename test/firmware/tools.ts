/** Debian's programs and files that the test bed needs, and the download of a kernel that is not installed. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const OVMF_CODE = '/usr/share/OVMF/OVMF_CODE_4M.fd';
export const OVMF_VARIABLES = '/usr/share/OVMF/OVMF_VARS_4M.fd';
/** GRUB as Debian builds it for network boot, with its modules inside; it looks for its config below `/grub`. */
export const GRUB_NET = '/usr/lib/grub/x86_64-efi/monolithic/grubnetx64.efi';

/** Files, and the packages in .ci/apt-packages that bring them. */
const NEEDED: readonly (readonly [string, string])[] = [
  ['/usr/bin/qemu-system-x86_64', 'qemu-system-x86'],
  [OVMF_CODE, 'ovmf'],
  ['/usr/lib/ipxe/qemu/pxe-virtio.rom', 'ipxe-qemu'],
  [GRUB_NET, 'grub-efi-amd64-bin'],
  ['/usr/bin/grub-mkimage', 'grub-common'],
  ['/usr/sbin/dnsmasq', 'dnsmasq-base'],
];

/** The kernel must not be installed: its package's scripts would make an initramfs and change the boot loader. */
const KERNEL_PACKAGE = 'linux-image-cloud-amd64';
const BUSYBOX_PACKAGE = 'busybox-static';
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/reveille-firmware/', import.meta.url));

/** @returns why the test bed cannot run here; undefined if it can. */
export function obstacle(): string | undefined {
  const missing = NEEDED.filter(([file]) => !existsSync(file)).map(([, name]) => name);
  if (missing.length > 0) return `not installed. As root: apt-get install --no-install-recommends ${missing.join(' ')}`;
  const tap = 'unshare --net --mount --pid --fork --kill-child --mount-proc ip tuntap add tap0 mode tap';
  const { status, stderr } = spawnSync('sh', ['-c', tap], { encoding: 'utf8' });
  return status === 0 ? undefined : `no network namespace with a tap device (needs root): ${stderr.trim()}`;
}

export interface Distribution {
  /** Debian's kernel for virtual machines, an x86 bzImage. */
  readonly kernel: Buffer;
  /** A statically linked busybox. */
  readonly busybox: Buffer;
}

const cached = (name: string): string => join(CACHE, name);

/** Downloads the kernel and busybox, unless a former run has. Must run outside the test's namespace, which has no route. */
export function provideDistribution(): void {
  if (!existsSync(cached('busybox')) || !existsSync(cached('vmlinuz'))) download();
}

/** Reads the files that {@link provideDistribution} has provided. */
export function distribution(): Distribution {
  return { kernel: readFileSync(cached('vmlinuz')), busybox: readFileSync(cached('busybox')) };
}

function download(): void {
  const folder = mkdtempSync(join(tmpdir(), 'reveille-packages-'));
  try {
    // Archives keep the latest kernel only, so an old list of packages names one that is gone.
    execFileSync('apt-get', ['update', '--quiet=2'], { stdio: 'pipe', encoding: 'utf8' });
    const depends = execFileSync('apt-cache', ['depends', '--important', KERNEL_PACKAGE], { encoding: 'utf8' });
    const kernelPackage = /^ *Depends: (linux-image-\S+)$/m.exec(depends)?.[1];
    if (kernelPackage === undefined) throw new Error(`Expected ${KERNEL_PACKAGE} to depend on a kernel:\n${depends}`);
    const packages = [kernelPackage, BUSYBOX_PACKAGE];
    execFileSync('apt-get', ['download', '--quiet=2', ...packages], { cwd: folder, stdio: 'pipe', encoding: 'utf8' });
    mkdirSync(CACHE, { recursive: true });
    keep(folder, kernelPackage, /^\.\/boot\/vmlinuz-/, 'vmlinuz');
    keep(folder, BUSYBOX_PACKAGE, /^\.\/bin\/busybox$/, 'busybox');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Copies the one file whose path matches from a downloaded package to the cache. */
function keep(folder: string, packageName: string, pattern: RegExp, name: string): void {
  const archive = join(folder, readdirSync(folder).find((file) => file.startsWith(`${packageName}_`))!);
  const maxBuffer = 2 ** 30;
  const tar = execFileSync('dpkg-deb', ['--fsys-tarfile', archive], { maxBuffer });
  const paths = execFileSync('tar', ['--list'], { input: tar, encoding: 'utf8', maxBuffer }).split('\n');
  const path = paths.find((candidate) => pattern.test(candidate));
  if (path === undefined) throw new Error(`Expected a file ${pattern} in ${packageName}`);
  const content = execFileSync('tar', ['--extract', '--to-stdout', path], { input: tar, maxBuffer });
  writeFileSync(cached(`${name}.new`), content);
  renameSync(cached(`${name}.new`), cached(name));
}
