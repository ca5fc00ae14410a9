/** Reads from an ELF file which versions of the symbols of shared libraries it needs. */

/** Type of the section with the needed versions (`.gnu.version_r`). */
const SHT_GNU_VERNEED = 0x6ffffffe;

/**
 * @param file a 64-bit, little-endian ELF file.
 * @returns the names of versions by library, such as `libc.so.6` → `GLIBC_2.34`.
 * @throws {RangeError} if the file is cut off.
 */
export function neededVersions(file: Buffer): Map<string, Set<string>> {
  if (file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1)
    throw new Error('expected a 64-bit, little-endian ELF file');
  const at = (offset: bigint | number): number => Number(offset);
  const sectionsAt = at(file.readBigUInt64LE(40));
  const [sectionBytes, sectionCount] = [file.readUInt16LE(58), file.readUInt16LE(60)];
  const section = (index: number) => {
    const start = sectionsAt + index * sectionBytes;
    return {
      type: file.readUInt32LE(start + 4),
      offset: at(file.readBigUInt64LE(start + 24)),
      link: file.readUInt32LE(start + 40),
      count: file.readUInt32LE(start + 44),
    };
  };
  const needed = new Map<string, Set<string>>();
  for (let index = 0; index < sectionCount; index++) {
    const { type, offset, link, count } = section(index);
    if (type !== SHT_GNU_VERNEED) continue;
    const strings = section(link).offset;
    const text = (name: number): string => file.toString('latin1', strings + name, file.indexOf(0, strings + name));
    // Each library has an entry, which leads to the entries of its versions. Offsets are relative to the entry.
    for (let library = 0, entry = offset; library < count; library++) {
      const versions = new Set<string>();
      const versionCount = file.readUInt16LE(entry + 2);
      for (let version = 0, part = entry + file.readUInt32LE(entry + 8); version < versionCount; version++) {
        versions.add(text(file.readUInt32LE(part + 8)));
        part += file.readUInt32LE(part + 12);
      }
      const name = text(file.readUInt32LE(entry + 4));
      needed.set(name, new Set([...(needed.get(name) ?? []), ...versions]));
      entry += file.readUInt32LE(entry + 12);
    }
  }
  return needed;
}
