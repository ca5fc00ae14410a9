/** Named storms with fixed seeds, each a plausible machine hall. FILES has the files that they fetch. */

const MIB = 1024 ** 2;

/** Names and sizes in bytes of the files on the servers. */
export const FILES: Readonly<Record<string, number>> = {
  'grubx64.efi': 1_500_000,
  'boot/grub/grub.cfg': 300,
  linux: 2 * MIB,
  'initrd.img': 4 * MIB,
};

export interface Scenario {
  readonly name: string;
  /** One line for people. */
  readonly title: string;
  /** The command line of `reveille storm`, after the server's address. */
  readonly args: readonly string[];
  /** The boot plan, where `--file` flags are not enough. */
  readonly plan?: string;
}

const KERNEL_AND_INITRD = ['--file', 'linux', '--file', 'initrd.img'];

/** Loader, config, kernel, initrd: the files that a UEFI machine fetches. */
const UEFI_BOOT = `name: uefi boot
stages:
  - { name: loader, profile: edk2, file: grubx64.efi }
  - { name: config, profile: grub, search: ['boot/grub/grub.cfg-{mac}', boot/grub/grub.cfg] }
  - { name: kernel, profile: grub, file: linux }
  - { name: initrd, profile: grub, file: initrd.img }
`;

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'rack-40',
    title: 'one rack, switched on within 2 s, UEFI',
    args: ['--nodes', '40', '--arrival', 'burst:2s', '--seed', '40'],
    plan: UEFI_BOOT,
  },
  {
    name: 'hall-1000',
    title: '1,000 nodes at once, iPXE',
    args: ['--nodes', '1000', '--profile', 'ipxe', ...KERNEL_AND_INITRD, '--seed', '1000'],
  },
  {
    name: 'power-cut-5000',
    title: '5,000 nodes when the power is back, UEFI',
    args: ['--nodes', '5000', '--arrival', 'burst:5s', '--seed', '5000'],
    plan: UEFI_BOOT,
  },
  {
    name: 'lossy-1pct',
    title: '100 nodes, one packet in a hundred lost either way, iPXE',
    args: ['--nodes', '100', '--profile', 'ipxe', ...KERNEL_AND_INITRD, '--loss', '1%', '--seed', '1'],
  },
  {
    name: 'mixed-firmware',
    title: '200 nodes of five kinds',
    args: [
      '--nodes',
      '200',
      '--profile',
      'ipxe,pxelinux,grub,shim,bare',
      ...KERNEL_AND_INITRD,
      '--arrival',
      'poisson:100/s',
      '--seed',
      '5',
    ],
  },
  {
    name: 'flapping-nodes',
    title: '300 nodes, a tenth lose power in the middle, another tenth crawls, iPXE',
    args: [
      '--nodes',
      '300',
      '--profile',
      'ipxe',
      '--file',
      'linux',
      '--vanish',
      '10%',
      '--crawl',
      '10%:5ms',
      '--arrival',
      'waves:100@2s',
      '--seed',
      '300',
    ],
  },
];
