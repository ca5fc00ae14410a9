/**
 * Writes reproducible tar archives (POSIX pax format): sorted names, one time for all entries, root as owner, two modes.
 * Needs no rights on the system, also for entries with capabilities.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, lstatSync, openSync, readFileSync, readdirSync, readlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** One entry of an archive. Without `file`, `text` and `link` it is a folder. */
export interface TarEntry {
  /** Path in the archive: relative, without a slash at its end. */
  readonly path: string;
  /** Permission bits; without them 0755 for folders, 0777 for links, and 0644 for files. */
  readonly mode?: number | undefined;
  /** Path on disk of the file whose bytes the entry contains. */
  readonly file?: string | undefined;
  /** Content of a small file. */
  readonly text?: string | undefined;
  /** Target of a symbolic link. */
  readonly link?: string | undefined;
  /** User and group, as numbers; 0 without it. */
  readonly owner?: number | undefined;
  /** Value of the extended attribute `security.capability`. */
  readonly capability?: Buffer | undefined;
}

const BLOCK = 512;

/**
 * @param folder the folder on disk; files, folders and symbolic links below it are listed, and nothing else may be there.
 * @param prefix path in the archive that is put before each name; empty: none.
 */
export function entriesBelow(folder: string, prefix: string): TarEntry[] {
  return readdirSync(folder).flatMap((name): TarEntry[] => {
    const file = join(folder, name);
    const path = prefix === '' ? name : `${prefix}/${name}`;
    const stat = lstatSync(file);
    if (stat.isDirectory()) return [{ path }, ...entriesBelow(file, path)];
    if (stat.isSymbolicLink()) return [{ path, link: readlinkSync(file) }];
    if (!stat.isFile()) throw new Error(`${file}: expected a file, a folder or a symbolic link`);
    return [{ path, file, mode: (stat.mode & 0o111) === 0 ? 0o644 : 0o755 }];
  });
}

/**
 * Writes an archive, in the order of the entries' paths.
 * @param date time of all entries, seconds since 1970.
 */
export function writeTar(target: string, entries: readonly TarEntry[], date: number): void {
  const out = openSync(target, 'w');
  try {
    for (const entry of entries.toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))) {
      writeAll(out, encode(entry, date));
    }
    // The end of an archive is two empty blocks.
    writeAll(out, Buffer.alloc(2 * BLOCK));
  } finally {
    closeSync(out);
  }
}

/** Compresses a file to `FILE.gz`, without its name and time, and deletes it. @returns the new path. */
export function gzip(file: string): string {
  execFileSync('gzip', ['--no-name', '--best', '--force', file]);
  return `${file}.gz`;
}

function writeAll(out: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(out, bytes, done);
}

function encode(entry: TarEntry, date: number): Buffer {
  const isFile = entry.file !== undefined || entry.text !== undefined;
  const isFolder = !isFile && entry.link === undefined;
  const path = isFolder ? `${entry.path}/` : entry.path;
  const content = entry.file === undefined ? Buffer.from(entry.text ?? '') : readFileSync(entry.file);
  const { type, mode } = isFile
    ? { type: '0', mode: 0o644 }
    : isFolder
      ? { type: '5', mode: 0o755 }
      : { type: '2', mode: 0o777 };
  const records = [
    ...(Buffer.byteLength(path) > 100 ? [paxRecord('path', path)] : []),
    ...(Buffer.byteLength(entry.link ?? '') > 100 ? [paxRecord('linkpath', entry.link!)] : []),
    ...(entry.capability === undefined ? [] : [paxRecord('SCHILY.xattr.security.capability', entry.capability)]),
  ];
  const pax = Buffer.concat(records);
  const fields = { owner: entry.owner ?? 0, date };
  return Buffer.concat([
    ...(pax.length === 0
      ? []
      : [header({ ...fields, path: 'pax', type: 'x', mode: 0o644, bytes: pax.length, link: '' }), padded(pax)]),
    header({ ...fields, path, type, mode: entry.mode ?? mode, bytes: content.length, link: entry.link ?? '' }),
    padded(content),
  ]);
}

/** A record of a pax header: its own length in decimal digits, the key and the value. */
function paxRecord(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

interface HeaderFields {
  readonly path: string;
  readonly type: string;
  readonly mode: number;
  readonly bytes: number;
  readonly link: string;
  readonly owner: number;
  readonly date: number;
}

function header({ path, type, mode, bytes, link, owner, date }: HeaderFields): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number): void => {
    const digits = value.toString(8).padStart(length - 1, '0');
    if (digits.length >= length) throw new RangeError(`${path}: ${value} does not fit into a header of tar`);
    block.write(digits, at);
  };
  block.write(path, 0, 100);
  octal(mode, 100, 8);
  octal(owner, 108, 8);
  octal(owner, 116, 8);
  octal(bytes, 124, 12);
  octal(date, 136, 12);
  block.write('        ', 148);
  block.write(type, 156);
  block.write(link, 157, 100);
  block.write('ustar', 257);
  block.write('00', 263);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}
