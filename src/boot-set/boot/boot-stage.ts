/**
 * Which part of a boot a file name belongs to: its beginning (loaders and configs), its later part (kernel, initrd), or
 * neither. Names alone; what follows from it are the rules in pins.ts.
 */
import { nameGlobs } from '../../text/glob.ts';

/** `zero`: what a boot begins with. `neutral`: what may come at any time, and says nothing. */
export type BootStage = 'zero' | 'neutral' | 'later';

/**
 * What firmware asks for first, and what loaders read before they load anything. A name too many here costs more than
 * one too few: a file that comes after a kernel and is taken for a beginning splits the boot. So no `*.efi`: kernels are
 * called that as well.
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

/** Parts of loaders, and what decorates their menus: asked for before the kernel, between, and after. */
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

/** Tells stages by patterns with `*`, which stands for anything but a slash; capitals do not matter. */
export class BootStages {
  readonly #isZero: (name: string) => boolean;
  readonly #isNeutral = nameGlobs(NEUTRAL);

  constructor(stageZero: readonly string[] = DEFAULT_STAGE_ZERO) {
    this.#isZero = nameGlobs(stageZero);
  }

  /** @param name cleaned: a path with `/` between its parts. */
  of(name: string): BootStage {
    // Neutral first: the certificates of shim look like shim, but what is named as a beginning by hand is one.
    if (this.#isNeutral(name)) return 'neutral';
    return this.#isZero(name) ? 'zero' : 'later';
  }
}
