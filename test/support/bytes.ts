/**
 * TFTP packets built byte by byte, for tests: slow and obvious. This file shares no code with src/protocol, so it can't
 * repeat a mistake made there. Text has one byte per character (0..255).
 */

/** Bytes as text, as numbers, or as they are. */
export type Part = string | readonly number[] | Uint8Array;
/** Options in packet order; a list of pairs allows duplicate names. */
export type Options = Readonly<Record<string, string>> | readonly (readonly [string, string])[];

export function bytes(...parts: readonly Part[]): Uint8Array {
  const chunks = parts.map((part) => (typeof part === 'string' ? codes(part) : part));
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    for (const number of chunk) {
      if (!Number.isInteger(number) || number < 0 || number > 255) throw new Error(`${number} is no byte`);
      all[at++] = number;
    }
  }
  return all;
}

function codes(some: string): number[] {
  const numbers: number[] = [];
  for (let at = 0; at < some.length; at++) numbers.push(some.charCodeAt(at));
  return numbers;
}

/** Bytes from hexadecimal digits; spaces are ignored. */
export function hex(digits: string): Uint8Array {
  const packed = digits.replaceAll(' ', '');
  const all: number[] = [];
  for (let at = 0; at < packed.length; at += 2) all.push(Number.parseInt(packed.slice(at, at + 2), 16));
  return bytes(all);
}

/** Bytes as hexadecimal digits. */
export function toHex(some: Uint8Array): string {
  return Array.from(some, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A string in wire format: terminated by a NUL. */
export function text(letters: string): Uint8Array {
  return bytes(letters, [0]);
}

/** A 16-bit number, high byte first. */
export function word(number: number): Uint8Array {
  return bytes([Math.floor(number / 256), number % 256]);
}

function optionList(options: Options): Uint8Array {
  const pairs: readonly (readonly [string, string])[] = Array.isArray(options) ? options : Object.entries(options);
  return bytes(...pairs.flatMap(([name, value]) => [text(name), text(value)]));
}

export function rrq(filename: string, mode = 'octet', options: Options = {}): Uint8Array {
  return bytes(word(1), text(filename), text(mode), optionList(options));
}

export function wrq(filename: string, mode = 'octet', options: Options = {}): Uint8Array {
  return bytes(word(2), text(filename), text(mode), optionList(options));
}

export function data(block: number, payload: Part = ''): Uint8Array {
  return bytes(word(3), word(block), payload);
}

export function ack(block: number): Uint8Array {
  return bytes(word(4), word(block));
}

export function error(code: number, message = ''): Uint8Array {
  return bytes(word(5), word(code), text(message));
}

export function oack(options: Options): Uint8Array {
  return bytes(word(6), optionList(options));
}
