/** Debian's programs and files that the test bed needs. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

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

/** @returns why the test bed cannot run here; undefined if it can. */
export function obstacle(): string | undefined {
  const missing = NEEDED.filter(([file]) => !existsSync(file)).map(([, name]) => name);
  if (missing.length > 0) return `not installed. As root: apt-get install --no-install-recommends ${missing.join(' ')}`;
  const tap = 'unshare --net --mount --pid --fork --kill-child --mount-proc ip tuntap add tap0 mode tap';
  const { status, stderr } = spawnSync('sh', ['-c', tap], { encoding: 'utf8' });
  return status === 0 ? undefined : `no network namespace with a tap device (needs root): ${stderr.trim()}`;
}
