/**
 * Names from the wire, and the relative paths that they may stand for. A name is bytes: one character per byte (latin1)
 * here and in every path made from it. No path leaves the folder that it is joined to. Text alone: knows no file
 * system, so symbolic links are the business of whoever opens the path.
 *
 * Firmware spells names in many ways and sends memory behind them, while files may be called anything. So a name has
 * several readings, which are looked up one after another: first the bytes as they are, then what the client meant.
 */
import { isUtf8 } from 'node:buffer';
import type { Denied, Missing, Source } from './types.ts';

/** A to Z alone are folded, in names of files as in what routes compare: a text keeps its length. */
export { asciiLowerCase as foldCase } from '../protocol/request.ts';

/** Why a name from the wire can't be a path. */
export type NameProblem = Missing | Denied;

/** No file system we know of has longer ones (NAME_MAX). */
const MAX_COMPONENT_BYTES = 255;

const MISSING: Missing = { kind: 'missing' };
const LEAVES: Denied = { kind: 'denied', reason: "the name leads out of the root by '..'" };

/** Names that are paths already, or would be without the slash in front: most are, and no part of them needs a look. */
const PLAIN = /^\/?(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*\/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*$/;
/** Where servers usually have their files: what a client was told for another server is to work here. */
const USUAL_FOLDERS = ['/tftpboot', '/srv/tftp', '/var/lib/tftpboot'];
const NONE: readonly string[] = [];

const DRIVE = /^[A-Za-z]:/;
const SLASH = /\//;
const ANY_SLASH = /[/\\]/;

/** Where the first control byte is, or -1. */
function controlAt(name: string): number {
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (code < 0x20 || code === 0x7f) return at;
  }
  return -1;
}

/** The UTF-8 of a text as one character per byte. */
export function asBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Bytes, one character each, as text to read: in UTF-8, or else in Latin-1. */
export function asText(bytes: string): string {
  const buffer = Buffer.from(bytes, 'latin1');
  return isUtf8(buffer) ? buffer.toString('utf8') : bytes;
}

/** Resolves `..`, and drops what is empty or `.`. Never throws. */
function pathOf(name: string, separator: RegExp): string | NameProblem {
  if (name.length <= MAX_COMPONENT_BYTES && PLAIN.test(name)) return name.startsWith('/') ? name.slice(1) : name;
  const parts: string[] = [];
  for (const part of name.split(separator)) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (parts.pop() === undefined) return LEAVES;
    } else {
      parts.push(part);
    }
  }
  return parts.length === 0 || parts.some(({ length }) => length > MAX_COMPONENT_BYTES) ? MISSING : parts.join('/');
}

/** How many of the bytes are UTF-8, from the first on. */
function utf8Length(name: string): number {
  const bytes = Buffer.from(name, 'latin1');
  if (isUtf8(bytes)) return bytes.length;
  let at = 0;
  for (const character of bytes.toString('utf8')) {
    // Bytes that are no UTF-8 are decoded as this character; the name may also contain the character itself.
    if (character === '\uFFFD' && name.slice(at, at + 3) !== '\xef\xbf\xbd') break;
    at += Buffer.byteLength(character);
  }
  return at;
}

/**
 * Where the memory begins that some ROMs send behind a name: at the first byte that is a control byte
 * or no UTF-8.
 */
function endOfName(name: string): number {
  const control = controlAt(name);
  return utf8Length(control < 0 ? name : name.slice(0, control));
}

/** Without a drive letter and what follows the name, and with `/` for `\`. */
function cleanPath(name: string): string | NameProblem {
  return pathOf(name.slice(0, endOfName(name)).replace(DRIVE, ''), ANY_SLASH);
}

/**
 * The path of one reading, its bytes as they are: `boot/./x/../y` gives `boot/y`.
 *
 * @returns a path: not empty, not absolute, without `.`, `..` and empty parts. Or why there is none: `denied` for what
 *   leads out of the root, `missing` for what no file can be called. Never throws.
 */
export function exactPath(filename: string): string | NameProblem {
  // No request has a NUL in its name, but other callers may.
  return filename.includes('\0') ? MISSING : pathOf(filename, SLASH);
}

/**
 * As exactPath, for a name that was put together from captures: a `..` in it, under either slash, is denied wherever it
 * leads.
 */
export function filledPath(filename: string): string | NameProblem {
  return filename.split(ANY_SLASH).includes('..') ? LEAVES : exactPath(filename);
}

/**
 * As exactPath, as text. A name that is not clean is `missing`: one that is no UTF-8, or has a drive letter, backslashes
 * or control bytes in it. For sources whose names are texts: what else the client may have meant is another reading.
 */
export function textPath(filename: string): string | NameProblem {
  const isClean = !DRIVE.test(filename) && !filename.includes('\\') && controlAt(filename) < 0;
  if (!isClean || !isUtf8(Buffer.from(filename, 'latin1'))) return MISSING;
  const path = exactPath(filename);
  return typeof path === 'string' ? asText(path) : path;
}

/**
 * What a name most likely means, as text: `\Boot//BCD` and `C:/Boot/./BCD` both give `Boot/BCD`, and what some ROMs send
 * behind a name is gone. Nothing is percent-decoded.
 *
 * @returns as exactPath.
 */
export function cleanName(filename: string): string | NameProblem {
  const path = cleanPath(filename);
  return typeof path === 'string' ? asText(path) : path;
}

/**
 * The readings of a name from the wire, in the order in which they are looked up; each is a path as exactPath gives it:
 *
 * 1. its bytes as they are: files may be called anything;
 * 2. what cleanName makes of it;
 * 3. the same without its last character, where a control byte follows. What some ROMs send behind a name is the next
 *    option of a DHCP reply: its code, which may be printable, and its length.
 *
 * @returns one to three readings that differ, or why there is none: see exactPath. Never throws.
 */
export function readingsOf(filename: string): readonly string[] | NameProblem {
  if (filename.length <= MAX_COMPONENT_BYTES && PLAIN.test(filename)) {
    return [filename.startsWith('/') ? filename.slice(1) : filename];
  }
  const exact = exactPath(filename);
  const clean = cleanPath(filename);
  // The bytes that follow the name must not lead out of the root either.
  for (const path of [exact, clean, pathOf(filename.replace(DRIVE, ''), ANY_SLASH)]) {
    if (typeof path === 'object' && path.kind === 'denied') return path;
  }
  const end = endOfName(filename);
  const isCut = end > 0 && end === controlAt(filename) && filename.charCodeAt(end - 1) < 0x80;
  const shorter = isCut ? cleanPath(filename.slice(0, end - 1)) : MISSING;
  const paths = [exact, clean, shorter].filter((path) => typeof path === 'string');
  return paths.length === 0 ? MISSING : [...new Set(paths)];
}

/** Cuts the path of a folder from a reading. @param folder an absolute path. @returns undefined when the reading does not begin with it. */
function restBehind(reading: string, folder: string): string | undefined {
  const length = folder.length - 1;
  // Most names end here, and nothing is allocated for them.
  if (length < 1 || reading[length] !== '/' || !folder.endsWith(reading.slice(0, length))) return undefined;
  return reading.slice(length + 1);
}

/**
 * More readings, for when none of these leads to anything: clients may name a file by its place on a server. What is
 * left behind the path of a folder that is served, or of one that servers usually have, is a name like any other.
 *
 * @param readings as readingsOf gives them.
 */
export function readingsBehind(
  readings: readonly string[],
  sources: readonly Pick<Source, 'paths'>[],
): readonly string[] {
  let more = NONE;
  for (const { paths } of sources) if (paths !== undefined) more = withRests(more, readings, paths);
  return withRests(more, readings, USUAL_FOLDERS);
}

/** Adds what is left of the readings behind the folders. Allocates nothing where nothing is. */
function withRests(
  before: readonly string[],
  readings: readonly string[],
  folders: readonly string[],
): readonly string[] {
  let rests = before;
  for (const folder of folders) {
    for (const reading of readings) {
      const rest = restBehind(reading, folder);
      if (rest !== undefined && !rests.includes(rest)) rests = [...rests, rest];
    }
  }
  return rests;
}
