/**
 * Kinds of values in flags and config files: how each is read, and what to say when it is wrong. Knows neither the
 * settings nor where a value was written.
 */
import type { Address } from '../engine/types.ts';
import { readNetwork } from '../boot-set/node/network-list.ts';
import { parseAddress } from '../text/address-text.ts';
import { showValue } from '../text/escape.ts';

/** The error: `expected …, got …`. */
export interface Mistake {
  readonly expected: string;
  readonly got: string;
}

export interface ValueKind<T> {
  /** Completes the sentence "expected …". */
  readonly expected: string;
  /** @param value string from the command line, or a value from YAML. @returns undefined when the value is wrong. */
  read(value: unknown): T | undefined;
  /** @returns what is wrong in a value that read() turned down, where there is more to say than `expected`. */
  mistake?(value: unknown): Mistake | undefined;
}

/** @param value one that its kind has turned down. */
export function mistakeIn<T>(kind: ValueKind<T>, value: unknown): Mistake {
  return kind.mistake?.(value) ?? { expected: kind.expected, got: showValue(value) };
}

/** The elements of a value that may be one or a list of them. */
export function elementsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

/** The first wrong element of a list. @param wrong what is wrong with an element; undefined: nothing. */
function wrongElement(value: unknown, wrong: (element: unknown) => Mistake | undefined): Mistake | undefined {
  for (const element of elementsOf(value)) {
    const mistake = wrong(element);
    if (mistake !== undefined) return mistake;
  }
  return undefined;
}

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Parses `512`, `64KiB` or `1.5 GiB`. @returns whole bytes; undefined when the text is not a size. */
export function parseSize(text: string): number | undefined {
  const match = /^([0-9]{1,16}(?:\.[0-9]{1,9})?) ?(B|KiB|MiB|GiB)?$/.exec(text);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * SIZE_UNITS[match[2] ?? '']!;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/**
 * Parses `500ms`, `30s`, `1.5m`, `4h` or a bare 0.
 *
 * @returns whole milliseconds; undefined when the text is not a duration.
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const match = /^([0-9]{1,12}(?:\.[0-9]{1,3})?) ?(ms|s|m|h)$/.exec(text);
  if (match === null) return undefined;
  const ms = Math.round(Number(match[1]) * DURATION_UNITS[match[2]!]!);
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** Returns a string as it is and a number in its usual notation; undefined for any other value. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined;
}

function bounded(number: number | undefined, least: number, most: number): number | undefined {
  return number !== undefined && number >= least && number <= most ? number : undefined;
}

export function wholeNumber(least: number, most: number): ValueKind<number> {
  return {
    expected: `a whole number from ${least} to ${most}`,
    read(value) {
      const text = textOf(value);
      return text !== undefined && /^[0-9]{1,15}$/.test(text) ? bounded(Number(text), least, most) : undefined;
    },
  };
}

/** @param least in bytes. */
export function size(expected: string, least = 0): ValueKind<number> {
  return {
    expected,
    read(value) {
      const text = textOf(value);
      return text === undefined ? undefined : bounded(parseSize(text), least, Number.MAX_SAFE_INTEGER);
    },
  };
}

export function duration(leastMs: number, mostMs: number, expected: string): ValueKind<number> {
  return {
    expected,
    read(value) {
      const text = textOf(value);
      return text === undefined ? undefined : bounded(parseDuration(text), leastMs, mostMs);
    },
  };
}

export function oneOf<const T extends string>(words: readonly T[]): ValueKind<T> {
  return {
    expected: `one of ${words.join(', ')}`,
    read: (value) => words.find((word) => word === value),
  };
}

/** Reads `32768-60999`. */
export const portRange: ValueKind<{ readonly from: number; readonly to: number }> = {
  expected: 'ports such as 49152-65535, each 1 to 65535',
  read(value) {
    const match = typeof value === 'string' ? /^([0-9]{1,5})-([0-9]{1,5})$/.exec(value) : null;
    const [from, to] = [Number(match?.[1]), Number(match?.[2])];
    return from >= 1 && to >= from && to <= 65_535 ? { from, to } : undefined;
  },
};

export const yesOrNo: ValueKind<boolean> = {
  expected: 'true or false',
  read: (value) => (typeof value === 'boolean' ? value : undefined),
};

export const directory: ValueKind<string> = {
  expected: 'a directory',
  read(value) {
    const text = textOf(value);
    return text === undefined || text === '' || text.includes('\0') ? undefined : text;
  },
};

/** Reads a path without checking what it leads to. */
export function path(expected: string): ValueKind<string> {
  return { expected, read: (value) => directory.read(value) };
}

/** Reads a token; the minimum length keeps it from being guessed. */
export const token: ValueKind<string> = {
  expected: 'a token of 16 to 256 printable characters without spaces',
  read(value) {
    const text = textOf(value);
    return text !== undefined && /^[\x21-\x7e]{16,256}$/.test(text) ? text : undefined;
  },
};

/** Reads one word or a list of words, each accepted by `passes`. @param most cap on the number of words. */
export function listOf(
  expected: string,
  passes: (word: string) => boolean,
  most: number,
): ValueKind<readonly string[]> {
  const isWord = (element: unknown): boolean => {
    const word = textOf(element);
    return word !== undefined && passes(word);
  };
  return {
    expected,
    read(value) {
      const list = elementsOf(value);
      return list.length <= most && list.every(isWord) ? list.map((element) => textOf(element)!) : undefined;
    },
    mistake: (value) =>
      wrongElement(value, (element) => (isWord(element) ? undefined : { expected, got: showValue(element) })),
  };
}

/** Returns the fault of a network; undefined: it has none. An address in it, with its length, may be meant as either. */
export function networkMistake(text: string | undefined, expected: string): Mistake | undefined {
  const read = text === undefined ? undefined : readNetwork(text);
  if (read?.hasHostBits === false) return undefined;
  const alone = text?.split('/', 1)[0];
  return {
    expected: read === undefined ? expected : `the network ${read.network} or the address ${alone}`,
    got: showValue(text),
  };
}

/** Networks and addresses, one or a list of them. @param most how many there may be. */
export function networks(most: number): ValueKind<readonly string[]> {
  const expected = `a network such as 192.0.2.0/24, or a list of at most ${most}`;
  const wrong = (element: unknown): Mistake | undefined =>
    textOf(element) === undefined ? { expected, got: showValue(element) } : networkMistake(textOf(element), expected);
  const list = listOf(expected, (word) => networkMistake(word, expected) === undefined, most);
  return { ...list, mistake: (value) => wrongElement(value, wrong) };
}

function address(value: unknown): Address | undefined {
  return typeof value === 'string' ? parseAddress(value) : undefined;
}

export const oneAddress: ValueKind<Address> = {
  expected: 'ADDR:PORT such as 127.0.0.1:69 or [::1]:69',
  read: address,
};

/** Reads one address or a list of them. In YAML an IPv6 address needs quotes, because a bracket opens a list. */
export const addresses: ValueKind<readonly Address[]> = {
  expected: 'ADDR:PORT such as "0.0.0.0:69" or "[::]:69", or a list of them',
  read(value) {
    const list = elementsOf(value).map(address);
    return list.length > 0 && list.every((item) => item !== undefined) ? list : undefined;
  },
  mistake: (value) =>
    wrongElement(value, (element) =>
      address(element) === undefined ? { expected: addresses.expected, got: showValue(element) } : undefined,
    ),
};

export const addressOrOff: ValueKind<Address | false> = {
  expected: 'ADDR:PORT such as "127.0.0.1:6970", or false',
  read: (value) => (value === false ? false : address(value)),
};
