/**
 * Kernel and initrd of one version. The kernel is Debian's, with a mark in its setup header that the running system can
 * read; the initrd belongs to that mark alone, prints both on the serial console and switches the machine off.
 */
import { gzipSync } from 'node:zlib';
import { CHARACTER_DEVICE, cpio, FOLDER, REGULAR } from '../support/cpio.ts';

/**
 * Offset of `hardware_subarch_data` in the setup header of an x86 kernel, in bytes (Linux, Documentation/arch/x86/boot.rst).
 * Loaders copy the header to the boot parameters, and a PC's kernel does not use this field of eight bytes.
 */
const MARK_OFFSET = 0x240;
const MARK_LENGTH = 8;

/** @param mark one to eight letters and digits. @returns a copy of the kernel that carries the mark. */
export function markedKernel(kernel: Buffer, mark: string): Buffer {
  if (kernel.toString('latin1', 0x202, 0x206) !== 'HdrS') throw new Error('Expected an x86 kernel with a setup header');
  if (!/^[a-z0-9]{1,8}$/.test(mark)) throw new Error(`Expected a mark of 1 to 8 letters and digits, not ${mark}`);
  const copy = Buffer.from(kernel);
  copy.fill(0, MARK_OFFSET, MARK_OFFSET + MARK_LENGTH);
  copy.write(mark, MARK_OFFSET, 'latin1');
  return copy;
}

/**
 * An initrd that prints one line, `REVEILLE kernel=MARK initrd=MARK match=yes|no`, and switches the machine off. The mark
 * of the kernel is read from the boot parameters of the running system.
 *
 * @param busybox a statically linked busybox. @param mark mark of the kernel that it is made for.
 */
export function initrdFor(busybox: Buffer, mark: string): Buffer {
  const init = `#!/busybox sh
/busybox mount -t proc proc /proc
/busybox mount -t sysfs sysfs /sys
running=$(/busybox dd if=/sys/kernel/boot_params/data bs=1 skip=${MARK_OFFSET} count=${MARK_LENGTH} 2>/dev/null | /busybox tr -cd a-z0-9)
match=no
if [ "$running" = ${mark} ]; then match=yes; fi
echo "REVEILLE kernel=$running initrd=${mark} match=$match"
/busybox poweroff -f
`;
  const archive = cpio([
    { name: 'dev', mode: FOLDER },
    { name: 'dev/console', mode: CHARACTER_DEVICE, device: [5, 1] },
    { name: 'proc', mode: FOLDER },
    { name: 'sys', mode: FOLDER },
    { name: 'busybox', mode: REGULAR, content: busybox },
    { name: 'init', mode: REGULAR, content: Buffer.from(init) },
  ]);
  return gzipSync(archive, { level: 1 });
}
