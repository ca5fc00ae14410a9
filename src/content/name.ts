/**
 * Names from the wire to relative paths that can't leave the folder they are joined to. Text alone: knows no file
 * system, so symbolic links are the business of whoever opens the path.
 */
import type { Denied, Missing } from './types.ts';

/** Why a name from the wire can't be a path. */
export type NameProblem = Missing | Denied;

/** No file system we know of has longer ones (NAME_MAX). */
const MAX_COMPONENT_BYTES = 255;

const MISSING: Missing = { kind: 'missing' };

// ignoreBOM keeps U+FEFF in the text: dropping it would turn what is no `..` into one.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Names that are paths already, or would be without the slash in front: most are, and no part of them needs a look. */
const PLAIN = /^\/?(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*\/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*$/;

function isControl(code: number): boolean {
  return code < 0x20 || code === 0x7f;
}

/** Where the name ends once the memory that some ROMs send after it (clients.md 1.2: 0xFF, controls) is left off. */
function endOfName(filename: string): number {
  let end = filename.length;
  while (end > 0) {
    const code = filename.charCodeAt(end - 1);
    if (code !== 0xff && !isControl(code)) break;
    end--;
  }
  return end;
}

function hasControl(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (isControl(text.charCodeAt(at))) return true;
  return false;
}

/**
 * Turns a file name from the wire into a relative path with `/` between its parts: `\Boot//BCD` and `C:/Boot/./BCD`
 * both give `Boot/BCD`. Nothing is percent-decoded.
 *
 * @param filename one character per byte (latin1); the bytes are read as UTF-8.
 * @returns the path: not empty, not absolute, without `.`, `..`, empty parts, backslashes and control bytes. Or why
 *   there is none: `denied` for `..` and control bytes, `missing` for what no file can be called. Never throws.
 */
export function cleanName(filename: string): string | NameProblem {
  if (filename.length <= MAX_COMPONENT_BYTES && PLAIN.test(filename)) {
    return filename.startsWith('/') ? filename.slice(1) : filename;
  }
  const bytes = Buffer.from(filename.slice(0, endOfName(filename)), 'latin1');
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return MISSING;
  }
  if (hasControl(text)) return { kind: 'denied', reason: 'the name has control bytes in it' };
  const parts: string[] = [];
  for (const part of text.replace(/^[A-Za-z]:/, '').split(/[/\\]/)) {
    if (part === '' || part === '.') continue;
    if (part === '..') return { kind: 'denied', reason: "the name has a '..' in it" };
    if (Buffer.byteLength(part) > MAX_COMPONENT_BYTES) return MISSING;
    parts.push(part);
  }
  return parts.length === 0 ? MISSING : parts.join('/');
}
