/**
 * Names from requests, and the relative paths that they may stand for. A name is bytes: one character per byte
 * (latin1), here and in every path made from it. No path leaves the folder that it is joined to. Works on text alone
 * and knows no file system: symbolic links are checked by the code that opens the path.
 *
 * Firmware spells names in many ways and sends memory contents after them, while file names may be any bytes. So a name
 * has several readings, which are looked up one after another: first the bytes as they are, then what the client
 * probably meant.
 */
import { isUtf8 } from 'node:buffer';
import { type Denied, type Missing, MISSING, type Source } from './types.ts';

/** Folds A to Z alone, in file names and in what routes compare, so that a text keeps its length. */
export { asciiLowerCase as foldCase } from '../protocol/request.ts';

/** Why a name from a request can't be a path. */
export type NameProblem = Missing | Denied;

/** Longest path component of all known file systems (NAME_MAX). */
const MAX_COMPONENT_BYTES = 255;

const LEAVES: Denied = { kind: 'denied', reason: "the name leads out of the root with '..'" };

/** Names that are paths already, apart from a leading slash: most names are, and need no parsing. */
const PLAIN = /^\/?(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*\/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*$/;
/** Usual folders of TFTP servers: a path configured for another server should work here. */
const USUAL_FOLDERS = ['/tftpboot', '/srv/tftp', '/var/lib/tftpboot'];
const NONE: readonly string[] = [];

const DRIVE = /^[A-Za-z]:/;
const SLASH = /\//;
const ANY_SLASH = /[/\\]/;

/** Returns the position of the first control byte, or -1. */
function controlAt(name: string): number {
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (code < 0x20 || code === 0x7f) return at;
  }
  return -1;
}

/** Encodes a text as UTF-8, one character per byte. */
export function asBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Decodes bytes, one character each, for people: as UTF-8, otherwise as Latin-1. */
export function asText(bytes: string): string {
  const buffer = Buffer.from(bytes, 'latin1');
  return isUtf8(buffer) ? buffer.toString('utf8') : bytes;
}

/** Resolves `..` and drops empty parts and `.`. Never throws. */
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

/** Returns how many of the leading bytes are valid UTF-8. */
function utf8Length(name: string): number {
  const bytes = Buffer.from(name, 'latin1');
  if (isUtf8(bytes)) return bytes.length;
  let at = 0;
  for (const character of bytes.toString('utf8')) {
    // Invalid bytes are decoded as this character, but the name may also contain the character itself.
    if (character === '\uFFFD' && name.slice(at, at + 3) !== '\xef\xbf\xbd') break;
    at += Buffer.byteLength(character);
  }
  return at;
}

/**
 * Returns where the memory contents begin that some ROMs send after a name: at the first control byte or invalid UTF-8.
 */
function endOfName(name: string): number {
  const control = controlAt(name);
  return utf8Length(control < 0 ? name : name.slice(0, control));
}

/** Cleans a name: removes a drive letter and what follows the name, and replaces `\` by `/`. */
function cleanPath(name: string): string | NameProblem {
  return pathOf(name.slice(0, endOfName(name)).replace(DRIVE, ''), ANY_SLASH);
}

/**
 * Returns the path of one reading, with its bytes as they are: `boot/./x/../y` gives `boot/y`.
 *
 * @returns a relative path, not empty, without `.`, `..` and empty parts; or why there is none: `denied` when it leads
 *   out of the root, `missing` when no file can have the name. Never throws.
 */
export function exactPath(filename: string): string | NameProblem {
  // Requests have no NUL in a name, but other callers may.
  return filename.includes('\0') ? MISSING : pathOf(filename, SLASH);
}

/**
 * Like exactPath(), for a name assembled from captures: a `..` part, with either slash, is denied wherever it leads.
 */
export function filledPath(filename: string): string | NameProblem {
  return filename.split(ANY_SLASH).includes('..') ? LEAVES : exactPath(filename);
}

/**
 * Like exactPath(), but returns text; for sources whose names are text. A name that is not UTF-8, or has a drive
 * letter, backslashes or control bytes, is `missing`: its other interpretations are separate readings.
 */
export function textPath(filename: string): string | NameProblem {
  const isClean = !DRIVE.test(filename) && !filename.includes('\\') && controlAt(filename) < 0;
  if (!isClean || !isUtf8(Buffer.from(filename, 'latin1'))) return MISSING;
  const path = exactPath(filename);
  return typeof path === 'string' ? asText(path) : path;
}

/**
 * Returns as text what a name most likely means: `\Boot//BCD` and `C:/Boot/./BCD` both give `Boot/BCD`, and memory
 * contents that some ROMs send after a name are removed. Nothing is percent-decoded.
 *
 * @returns see exactPath().
 */
export function cleanName(filename: string): string | NameProblem {
  const path = cleanPath(filename);
  return typeof path === 'string' ? asText(path) : path;
}

/**
 * Returns the readings of a name from a request in lookup order, each a path as from exactPath():
 *
 * 1. the bytes as they are, because file names may be any bytes;
 * 2. the result of cleanName();
 * 3. the same without its last character, when a control byte follows. Some ROMs send the next option of a DHCP reply
 *    after a name: its code, which may be printable, and its length.
 *
 * @returns one to three distinct readings, or why there is none: see exactPath(). Never throws.
 */
export function readingsOf(filename: string): readonly string[] | NameProblem {
  if (filename.length <= MAX_COMPONENT_BYTES && PLAIN.test(filename)) {
    return [filename.startsWith('/') ? filename.slice(1) : filename];
  }
  const exact = exactPath(filename);
  const clean = cleanPath(filename);
  // The bytes after the name must not lead out of the root either.
  for (const path of [exact, clean, pathOf(filename.replace(DRIVE, ''), ANY_SLASH)]) {
    if (typeof path === 'object' && path.kind === 'denied') return path;
  }
  const end = endOfName(filename);
  const isCut = end > 0 && end === controlAt(filename) && filename.charCodeAt(end - 1) < 0x80;
  const shorter = isCut ? cleanPath(filename.slice(0, end - 1)) : MISSING;
  const paths = [exact, clean, shorter].filter((path) => typeof path === 'string');
  return paths.length === 0 ? MISSING : [...new Set(paths)];
}

/**
 * Removes a folder's path from the start of a reading.
 *
 * @param folder absolute path.
 * @returns undefined when the reading does not begin with it.
 */
function restBehind(reading: string, folder: string): string | undefined {
  const length = folder.length - 1;
  // Most names fail here, without an allocation.
  if (length < 1 || reading[length] !== '/' || !folder.endsWith(reading.slice(0, length))) return undefined;
  return reading.slice(length + 1);
}

/**
 * Returns further readings, for when none of the given ones leads to anything: clients may name a file by its path on a
 * server. The rest after the path of a served folder, or of a usual TFTP folder, is a name like any other.
 *
 * @param readings result of readingsOf().
 */
export function readingsBehind(
  readings: readonly string[],
  sources: readonly Pick<Source, 'paths'>[],
): readonly string[] {
  let more = NONE;
  for (const { paths } of sources) if (paths !== undefined) more = withRests(more, readings, paths);
  return withRests(more, readings, USUAL_FOLDERS);
}

/** Adds the rests of the readings after the folders. Allocates nothing when there are none. */
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
