/** Archives that a kernel unpacks as its first file system. */

export const REGULAR = 0o100755;
export const FOLDER = 0o040755;
export const CHARACTER_DEVICE = 0o020600;

export interface Entry {
  readonly name: string;
  /** File type and permissions. */
  readonly mode: number;
  readonly content?: Buffer;
  /** Major and minor number of a device. */
  readonly device?: readonly [number, number];
}

/** A cpio archive in the format `newc` (Linux, Documentation/driver-api/early-userspace/buffer-format.rst). */
export function cpio(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = [];
  for (const [index, entry] of [...entries, { name: 'TRAILER!!!', mode: 0 } as Entry].entries()) {
    const { name, mode, content = Buffer.alloc(0), device = [0, 0] } = entry;
    const fields = [index + 1, mode, 0, 0, 1, 0, content.length, 0, 0, ...device, name.length + 1, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
    parts.push(padded(Buffer.from(header, 'latin1')), padded(content));
  }
  return Buffer.concat(parts);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
