/**
 * Maps a file name to a stage of the boot: its beginning (loaders and configs), its later part (kernel, initrd), or
 * neither. Knows names alone; pins.ts has the rules that follow from a stage.
 */
import { nameGlobs } from '../../text/glob.ts';

/**
 * `zero`: files that a boot begins with. `neutral`: files that may come at any time and tell nothing. `later`: all
 * others.
 */
export type BootStage = 'zero' | 'neutral' | 'later';

/**
 * Files that firmware asks for first, and files that loaders read before they load anything else. A pattern too many
 * costs more than one too few: a file after the kernel that counts as a beginning splits the boot. `*.efi` is left out
 * because kernels use that name as well.
 */
export const DEFAULT_STAGE_ZERO: readonly string[] = [
  // Loaders.
  'shim*.efi',
  'grub*.efi',
  'boot*.efi',
  'ipxe*.efi',
  'snp*.efi',
  'syslinux*.efi',
  'systemd-boot*.efi',
  '*.0',
  '*.pxe',
  '*.kpxe',
  '*.kkpxe',
  'wdsnbp.com',
  'bootcode.bin',
  'start*.elf',
  // Configs.
  'grub.cfg*',
  'pxelinux.cfg/*',
  'extlinux.conf',
  'syslinux.cfg',
  '*.ipxe',
  'config.txt',
  'BCD',
];

/** Parts of loaders and decoration of their menus: requested before, between and after kernels. */
const NEUTRAL: readonly string[] = [
  '*.mod',
  '*.lst',
  '*.c32',
  '*.pf2',
  '*.png',
  '*.jpg',
  '*.tga',
  '*.mo',
  '*.sig',
  'theme.txt',
  'revocations*.efi',
  'shim_certificate*.efi',
  'mm*.efi',
  'fixup*.dat',
  'dt-blob.bin',
  'bootsig.bin',
  '*.dtb',
  '*.dtbo',
  '*.ttf',
  'boot.sdi',
];

/** Finds the stage of a name by patterns; `*` matches anything but a slash, and case is ignored. */
export class BootStages {
  readonly #isZero: (name: string) => boolean;
  readonly #isNeutral = nameGlobs(NEUTRAL);

  constructor(stageZero: readonly string[] = DEFAULT_STAGE_ZERO) {
    this.#isZero = nameGlobs(stageZero);
  }

  /** @param name cleaned path with `/` as its separator. */
  of(name: string): BootStage {
    // Neutral patterns come first: the names of shim's certificates match a loader's pattern as well.
    if (this.#isNeutral(name)) return 'neutral';
    return this.#isZero(name) ? 'zero' : 'later';
  }
}
