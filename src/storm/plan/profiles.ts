/**
 * Known facts of firmware and boot loaders that speak TFTP, as data: the options each sends, when it asks again, when it gives up, and
 * the names it looks for. docs/storm-profiles.md shows the same facts as tables. Where a fact is not known, that of the
 * nearest relative stands in and `source` says so.
 */
import type { ErrorCode } from '../../protocol/opcode.ts';
import type { Manners, Schedule } from '../../session/manners.ts';
import { HTTP_PROFILES } from './http-profiles.ts';
import type { Profile, RequestOption, TftpProfile } from './profile.ts';

function option(name: string, value: string | number): RequestOption {
  return { name, value: String(value) };
}

/** Makes a schedule of `sends` sends, one every `ms` milliseconds. */
function every(ms: number, sends: number): Schedule {
  return { firstMs: ms, factor: 1, addMs: 0, ceilingMs: ms, sends };
}

/** PXELINUX introduced this search: the address in hex, shortened by one digit at a time. */
function shortening(prefix: string): string[] {
  return ['{hexip}', '{hexip7}', '{hexip6}', '{hexip5}', '{hexip4}', '{hexip3}', '{hexip2}', '{hexip1}'].map(
    (name) => `${prefix}${name}`,
  );
}

/** Manners of UEFI's own download stack, which also reads the files of shim. */
const EDK2_MANNERS: Manners = {
  request: every(4000, 6),
  data: every(4000, 6),
  repeatsAck: true,
  unexpected: 'always',
  needsOack: false,
};
const EDK2_CLOSE: { readonly code: ErrorCode; readonly message: string } = {
  code: 8,
  message: 'User aborted the transfer',
};

const BARE: TftpProfile = {
  via: 'tftp',
  name: 'bare',
  title: 'RFC 1350 alone: no options, exponential back-off, stays to repeat its last ACK',
  source: 'RFC 1350, and the back-off of RFC 1123 §4.2.3.2. No real firmware behaves so well.',
  options: [],
  close: { code: 0, message: 'Closed' },
  manners: {
    request: { firstMs: 1000, factor: 2, addMs: 0, ceilingMs: 32_000, sends: 6 },
    data: { firstMs: 1000, factor: 2, addMs: 0, ceilingMs: 32_000, sends: 6 },
    repeatsAck: true,
    unexpected: 'once',
    needsOack: false,
  },
  ports: 'new',
  lingerMs: 250,
};

const PXE_ROM: TftpProfile = {
  via: 'tftp',
  name: 'pxe-rom',
  title: 'PXE ROM of a BIOS machine (Intel Boot Agent and its like)',
  source:
    'Capture in the ISPsystem knowledge base: tsize from one port, blksize from the next, several seconds until ' +
    'the first repetition, shorter waits later, then a fatal error. The exact waits, the reaction to unexpected ' +
    'blocks and the ERROR are those of EDK2, its successor.',
  options: [option('blksize', 1456)],
  probe: { options: [option('tsize', 0)], ...EDK2_CLOSE },
  close: EDK2_CLOSE,
  manners: EDK2_MANNERS,
  ports: 'new',
  lingerMs: 0,
};

const EDK2: TftpProfile = {
  via: 'tftp',
  name: 'edk2',
  title: 'UEFI PXE over IPv4 (EDK2, OVMF and most vendors)',
  source:
    'tianocore/edk2 NetworkPkg/UefiPxeBcDxe and Mtftp4Dxe; seen with OVMF. EDK2 discussion 95392361: an ACK for ' +
    'every unexpected block.',
  options: [option('blksize', 1468), option('windowsize', 4)],
  probe: { options: [option('tsize', 0), option('blksize', 1468), option('windowsize', 4)], ...EDK2_CLOSE },
  close: EDK2_CLOSE,
  // Its probe fails when DATA is the answer; the read that would accept DATA is then never sent.
  manners: { ...EDK2_MANNERS, needsOack: true },
  ports: 'new',
  lingerMs: 0,
};

const SHIM: TftpProfile = {
  via: 'tftp',
  name: 'shim',
  title: 'shim, reading the second stage through UEFI',
  source:
    'rhboot/shim netboot.c and issue 618: blocks of 512, no probe. The rest is that of EDK2, whose code reads the' +
    ' file.',
  options: [option('blksize', 512), option('windowsize', 4)],
  close: EDK2_CLOSE,
  manners: EDK2_MANNERS,
  ports: 'new',
  lingerMs: 0,
};

/** A table of 31 steps, each a fifth longer than the one before, from 2 to 255 ticks of 18.2 Hz; 2382 ticks in all. */
const PXELINUX_SCHEDULE: Schedule = { firstMs: 110, factor: 1.2, addMs: 0, ceilingMs: 14_006, sends: 31 };

const PXELINUX: TftpProfile = {
  via: 'tftp',
  name: 'pxelinux',
  title: 'PXELINUX (SYSLINUX over the network)',
  source:
    'geneC/syslinux core/fs/pxe/tftp.c and doc/pxelinux.txt; seen with PXELINUX in QEMU. PXELINUX also sends its ' +
    'closing ERROR after the last ACK of a whole file; this profile does not.',
  options: [option('tsize', 0), option('blksize', 1408)],
  close: { code: 0, message: 'No error, file close' },
  manners: {
    request: PXELINUX_SCHEDULE,
    data: PXELINUX_SCHEDULE,
    repeatsAck: true,
    unexpected: 'always',
    needsOack: false,
  },
  ports: 'new',
  lingerMs: 0,
  configSearch: [
    'pxelinux.cfg/{uuid}',
    'pxelinux.cfg/01-{mac}',
    ...shortening('pxelinux.cfg/'),
    'pxelinux.cfg/default',
  ],
};

const LPXELINUX: TftpProfile = {
  ...PXELINUX,
  name: 'lpxelinux',
  title: 'lpxelinux: PXELINUX that asks for all files from one port',
  source:
    'The same as pxelinux; geneC/syslinux core/fs/pxe/core.c and core/lwip: a socket for each file, at the lowest free ' +
    'port, which is that of the file before; what a socket has received is discarded when it is closed. Seen with ' +
    'lpxelinux in QEMU, which loads modules, config, kernel and initrd without a pause.',
  ports: 'same',
};

const GRUB: TftpProfile = {
  via: 'tftp',
  name: 'grub',
  title: 'GRUB 2',
  source:
    'rhboot/grub2 grub-core/net/tftp.c and net.c, normal/main.c; seen with GRUB in QEMU. GRUB acknowledges an old' +
    ' block by the number of that block; this profile repeats its last ACK.',
  options: [option('blksize', 1024), option('tsize', 0)],
  close: { code: 0, message: 'closed' },
  manners: {
    request: { firstMs: 400, factor: 1, addMs: 20, ceilingMs: 1180, sends: 40 },
    // It polls 40 times for the next block, the first time for 420 ms, and sends nothing meanwhile.
    data: { firstMs: 420, factor: 1, addMs: 20, ceilingMs: 1200, sends: 40 },
    repeatsAck: false,
    unexpected: 'old',
    needsOack: true,
  },
  ports: 'new',
  lingerMs: 0,
  configSearch: [
    '/grub/grub.cfg-{uuid}',
    '/grub/grub.cfg-01-{mac}',
    ...shortening('/grub/grub.cfg-'),
    '/grub/grub.cfg',
  ],
};

const IPXE: TftpProfile = {
  via: 'tftp',
  name: 'ipxe',
  title: 'iPXE',
  source:
    'ipxe/ipxe src/net/udp/tftp.c, src/net/retry.c and src/interface/efi/efi_autoexec.c. iPXE keeps blocks that ' +
    'arrive out of order, and acknowledges up to the first gap for every block; without a window, no block ' +
    'arrives out of order.',
  options: [option('blksize', 1432), option('tsize', 0)],
  close: { code: 0, message: 'TFTP Aborted' },
  manners: {
    request: { firstMs: 250, factor: 2, addMs: 0, ceilingMs: 10_000, sends: 6 },
    data: { firstMs: 250, factor: 2, addMs: 0, ceilingMs: 10_000, sends: 6 },
    repeatsAck: true,
    unexpected: 'always',
    needsOack: false,
  },
  ports: 'new',
  lingerMs: 0,
  configSearch: ['ipxe/autoexec.ipxe', 'autoexec.ipxe'],
};

const U_BOOT: TftpProfile = {
  via: 'tftp',
  name: 'u-boot',
  title: 'U-Boot with its own network stack',
  source:
    'u-boot/u-boot net/tftp.c and cmd/pxe.c, built without TSIZE and with a window of 1, the defaults. U-Boot ' +
    'starts over after 55 s, and counts timeouts over the whole file; this profile counts them for each wait. ' +
    'U-Boot sends no closing ERROR; the profile sends that of GRUB. The board in the last names is a Raspberry ' +
    'Pi.',
  options: [option('timeout', 5), option('blksize', 1468)],
  close: { code: 0, message: 'closed' },
  manners: {
    request: every(5000, 11),
    data: every(5000, 11),
    repeatsAck: true,
    unexpected: 'once',
    needsOack: false,
  },
  ports: 'new',
  lingerMs: 0,
  configSearch: [
    'pxelinux.cfg/{uuid}',
    'pxelinux.cfg/01-{mac}',
    ...shortening('pxelinux.cfg/'),
    'pxelinux.cfg/default-arm-bcm283x-rpi',
    'pxelinux.cfg/default-arm-bcm283x',
    'pxelinux.cfg/default-arm',
    'pxelinux.cfg/default',
  ],
};

const RASPBERRY_PI: TftpProfile = {
  via: 'tftp',
  name: 'raspberry-pi',
  title: 'Raspberry Pi 4 and 5 EEPROM',
  source:
    'Raspberry Pi documentation (TFTP_FILE_TIMEOUT 30 s); raspberrypi/firmware issues 1631 (hangs on a repeated ' +
    'block) and 1700; rpi-eeprom releases (blocks of 1468 since 2022-10, 1024 before). The interval is not ' +
    'documented; the profile uses that of U-Boot.',
  options: [option('tsize', 0), option('blksize', 1468)],
  close: { code: 0, message: 'Early terminate' },
  manners: {
    request: every(5000, 6),
    data: every(5000, 6),
    repeatsAck: true,
    unexpected: 'hang',
    needsOack: false,
    fileMs: 30_000,
  },
  ports: 'new',
  lingerMs: 0,
  configSearch: ['{serial}/config.txt', 'config.txt'],
};

const WINDOWS: TftpProfile = {
  via: 'tftp',
  name: 'windows',
  title: 'Windows boot manager (WDS)',
  source:
    "Wireshark's dissector for msftwindow, captures of WDS. Timers and ERROR are not documented; the profile uses" +
    ' those of EDK2. The reaction to unexpected blocks follows RFC 7440.',
  options: [option('tsize', 0), option('blksize', 1456), option('windowsize', 4), option('msftwindow', 31_416)],
  close: EDK2_CLOSE,
  manners: { ...EDK2_MANNERS, unexpected: 'once' },
  ports: 'new',
  lingerMs: 0,
  configSearch: ['\\Boot\\BCD'],
};

/** The profiles that speak TFTP, by name. */
export const TFTP_PROFILES: ReadonlyMap<string, TftpProfile> = new Map(
  [PXE_ROM, EDK2, SHIM, PXELINUX, LPXELINUX, GRUB, IPXE, U_BOOT, RASPBERRY_PI, WINDOWS, BARE].map((profile) => [
    profile.name,
    profile,
  ]),
);

/** All profiles by name, in the order of the help text. */
export const PROFILES: ReadonlyMap<string, Profile> = new Map<string, Profile>([
  ...TFTP_PROFILES,
  ...HTTP_PROFILES.map((profile) => [profile.name, profile] as const),
]);
