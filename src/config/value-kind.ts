/**
 * Kinds of values in flags and config files: how each is read, written and described, and what to say when it is wrong.
 * Knows neither the settings nor where a value was written.
 */
import type { z } from 'zod';
import type { Address } from '../engine/types.ts';
import { readNetwork } from '../boot-set/node/network-list.ts';
import { EXPECTED_ADDRESS, parseRedisAddress } from '../redis/redis-url.ts';
import { formatAddress, parseAddress } from '../text/address-text.ts';
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

/** A JSON Schema of draft 7. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A value as one would write it in a config file. */
export type Written = boolean | number | string | readonly string[];

/** A kind of value that a setting may have: it can also be written, and described to people and editors. */
export interface SettingKind<T> extends ValueKind<T> {
  /** Stands for the value in help texts. undefined: the flag has no value; it means true. */
  readonly placeholder?: string;
  /** The words of which the value is one. */
  readonly words?: readonly string[];
  /** True when the flag may be repeated; its values then form one list. */
  readonly isList?: boolean;
  /** True for a path or a list of paths. */
  readonly isPath?: boolean;
  /** The kind of value that the flag accepts, where the config file accepts more. */
  readonly onFlag?: ValueKind<T>;
  /** Zod schema of a value with parts: it gives each mistake a place inside the value. */
  readonly parts?: z.ZodType<T>;
  /**
   * Accepts each value that read() accepts from YAML, and possibly more: it serves editors, not the server. undefined:
   * follows from `parts`.
   */
  readonly schema?: JsonSchema;
  /** The inverse of read(), for kinds whose values are not written as they are. */
  write?(value: T): Written;
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

/** Schema of one element or a list of them. */
export function oneOrMany(
  element: JsonSchema,
  bounds: { readonly minItems?: number; readonly maxItems?: number },
): JsonSchema {
  return { anyOf: [element, { type: 'array', items: element, ...bounds }] };
}

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
export const DAY_MS = 24 * 3_600_000;

const WHOLE_NUMBER = /^[0-9]{1,15}$/;
const SIZE = /^([0-9]{1,16}(?:\.[0-9]{1,9})?) ?(B|KiB|MiB|GiB)?$/;
const DURATION = /^([0-9]{1,12}(?:\.[0-9]{1,3})?) ?(ms|s|m|h)$/;
const PORTS = /^([0-9]{1,5})-([0-9]{1,5})$/;
const PREFIX = /^[A-Za-z0-9._:-]{1,64}$/;
const TOKEN = /^[\x21-\x7e]{16,256}$/;

/** Parses `512`, `64KiB` or `1.5 GiB`. @returns whole bytes; undefined when the text is not a size. */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text);
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
  const match = DURATION.exec(text);
  if (match === null) return undefined;
  const ms = Math.round(Number(match[1]) * DURATION_UNITS[match[2]!]!);
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** Writes a number in the largest unit that leaves it whole; 0 has none. */
function inUnits(value: number, units: Readonly<Record<string, number>>): string {
  const [unit, factor] = Object.entries(units).findLast(([, one]) => value % one === 0)!;
  return value === 0 ? '0' : `${value / factor}${unit}`;
}

export function formatDuration(ms: number): string {
  return inUnits(ms, DURATION_UNITS);
}

/** Returns a string as it is and a number in its usual notation; undefined for any other value. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined;
}

function bounded(number: number | undefined, least: number, most: number): number | undefined {
  return number !== undefined && number >= least && number <= most ? number : undefined;
}

export function wholeNumber(least: number, most: number): SettingKind<number> {
  return {
    expected: `a whole number from ${least} to ${most}`,
    placeholder: 'N',
    schema: { type: ['integer', 'string'], minimum: least, maximum: most, pattern: WHOLE_NUMBER.source },
    read(value) {
      const text = textOf(value);
      return text !== undefined && WHOLE_NUMBER.test(text) ? bounded(Number(text), least, most) : undefined;
    },
  };
}

/** @param least in bytes. */
export function size(expected: string, least = 0): SettingKind<number> {
  return {
    expected,
    placeholder: 'SIZE',
    schema: { type: ['integer', 'string'], minimum: least, pattern: SIZE.source },
    write: (bytes) => inUnits(bytes, SIZE_UNITS),
    read(value) {
      const text = textOf(value);
      return text === undefined ? undefined : bounded(parseSize(text), least, Number.MAX_SAFE_INTEGER);
    },
  };
}

/** @param example a duration within the bounds, with its unit. */
export function duration(leastMs: number, mostMs: number, example: string): SettingKind<number> {
  return {
    expected: `a duration from ${formatDuration(leastMs)} to ${formatDuration(mostMs)}, such as ${example}`,
    placeholder: 'TIME',
    schema:
      leastMs > 0
        ? { type: 'string', pattern: DURATION.source }
        : { anyOf: [{ type: 'string', pattern: `${DURATION.source}|^0$` }, { const: 0 }] },
    write: formatDuration,
    read(value) {
      const text = textOf(value);
      return text === undefined ? undefined : bounded(parseDuration(text), leastMs, mostMs);
    },
  };
}

export function oneOf<const T extends string>(words: readonly T[]): SettingKind<T> {
  return {
    expected: `one of ${words.join(', ')}`,
    placeholder: 'NAME',
    words,
    schema: { enum: words },
    read: (value) => words.find((word) => word === value),
  };
}

/** Reads `32768-60999`. */
export const portRange: SettingKind<{ readonly from: number; readonly to: number }> = {
  expected: 'ports such as 49152-65535, each 1 to 65535',
  placeholder: 'FROM-TO',
  schema: { type: 'string', pattern: PORTS.source },
  read(value) {
    const match = typeof value === 'string' ? PORTS.exec(value) : null;
    const [from, to] = [Number(match?.[1]), Number(match?.[2])];
    return from >= 1 && to >= from && to <= 65_535 ? { from, to } : undefined;
  },
};

export const yesOrNo: SettingKind<boolean> = {
  expected: 'true or false',
  schema: { type: 'boolean' },
  read: (value) => (typeof value === 'boolean' ? value : undefined),
};

const PATH: JsonSchema = { type: ['string', 'number'], minLength: 1 };

/** Reads a path without checking what it leads to. */
function path(expected: string, placeholder: string): SettingKind<string> {
  return {
    expected,
    placeholder,
    isPath: true,
    schema: PATH,
    read(value) {
      const text = textOf(value);
      return text === undefined || text === '' || text.includes('\0') ? undefined : text;
    },
  };
}

export const directory = path('a directory', 'DIR');
export const file = path('a file', 'FILE');

/** Reads a token; the minimum length keeps it from being guessed. */
export const token: SettingKind<string> = {
  expected: 'a token of 16 to 256 printable characters without spaces',
  placeholder: 'TOKEN',
  schema: { type: ['string', 'number'], pattern: TOKEN.source },
  read(value) {
    const text = textOf(value);
    return text !== undefined && TOKEN.test(text) ? text : undefined;
  },
};

interface WordList {
  readonly expected: string;
  readonly placeholder: string;
  /** True when the word may be in the list. */
  readonly passes: (word: string) => boolean;
  /** Schema of one word. */
  readonly word: JsonSchema;
  /** Cap on the number of words. */
  readonly most: number;
}

/** Reads one word or a list of words. */
function listOf({ expected, placeholder, passes, word: schema, most }: WordList): SettingKind<readonly string[]> {
  const isWord = (element: unknown): boolean => {
    const word = textOf(element);
    return word !== undefined && passes(word);
  };
  return {
    expected,
    placeholder,
    isList: true,
    schema: oneOrMany(schema, { maxItems: most }),
    read(value) {
      const list = elementsOf(value);
      return list.length <= most && list.every(isWord) ? list.map((element) => textOf(element)!) : undefined;
    },
    mistake: (value) =>
      wrongElement(value, (element) => (isWord(element) ? undefined : { expected, got: showValue(element) })),
  };
}

/** @param most cap on the number of directories. */
export function directories(most: number): SettingKind<readonly string[]> {
  const expected = `${directory.expected}, or a list of at most ${most}`;
  const passes = (word: string): boolean => directory.read(word) !== undefined;
  return { ...listOf({ expected, placeholder: 'DIR', passes, word: PATH, most }), isPath: true };
}

const PATTERN = /^[^\s/][^\0]{0,255}$/;

/** Patterns for names, with `*`. @param most cap on their number. */
export function patterns(most: number): SettingKind<readonly string[]> {
  return listOf({
    expected: `a pattern such as "*.efi", or a list of at most ${most}`,
    placeholder: 'PATTERN',
    passes: (word) => PATTERN.test(word),
    word: { type: ['string', 'number'], pattern: PATTERN.source },
    most,
  });
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
export function networks(most: number): SettingKind<readonly string[]> {
  const expected = `a network such as 192.0.2.0/24, or a list of at most ${most}`;
  const wrong = (element: unknown): Mistake | undefined =>
    textOf(element) === undefined ? { expected, got: showValue(element) } : networkMistake(textOf(element), expected);
  const passes = (word: string): boolean => networkMistake(word, expected) === undefined;
  const list = listOf({ expected, placeholder: 'CIDR', passes, word: { type: 'string' }, most });
  return { ...list, mistake: (value) => wrongElement(value, wrong) };
}

function address(value: unknown): Address | undefined {
  return typeof value === 'string' ? parseAddress(value) : undefined;
}

const ADDRESS: JsonSchema = { type: 'string', pattern: ':[0-9]{1,5}$' };

const oneAddress: ValueKind<Address> = {
  expected: 'ADDR:PORT such as 127.0.0.1:69 or [::1]:69',
  read: address,
};

function addressList(expected: string): ValueKind<readonly Address[]> {
  return {
    expected,
    read(value) {
      const list = elementsOf(value).map(address);
      return list.length > 0 && list.every((item) => item !== undefined) ? list : undefined;
    },
    mistake: (value) =>
      wrongElement(value, (element) =>
        address(element) === undefined ? { expected, got: showValue(element) } : undefined,
      ),
  };
}

/** Reads one address or a list of them. In YAML an IPv6 address needs quotes, because a bracket opens a list. */
export const addresses: SettingKind<readonly Address[]> = {
  ...addressList('ADDR:PORT such as "0.0.0.0:69" or "[::]:69", or a list of them'),
  placeholder: 'ADDR:PORT',
  isList: true,
  onFlag: addressList(oneAddress.expected),
  schema: oneOrMany(ADDRESS, { minItems: 1 }),
  write: (list) => list.map(formatAddress),
};

/** Says nothing of the value: it may hold a password. */
export const redisAddress: SettingKind<string> = {
  expected: EXPECTED_ADDRESS,
  placeholder: 'URL',
  schema: { type: 'string', pattern: '^rediss?(\\+sentinel)?://' },
  read: (value) => (typeof value === 'string' && parseRedisAddress(value) !== undefined ? value : undefined),
  mistake: () => ({ expected: EXPECTED_ADDRESS, got: 'something else' }),
};

/** Reads a word that keys begin with. */
export const keyPrefix: SettingKind<string> = {
  expected: 'a word of at most 64 letters, digits and . _ - :',
  placeholder: 'WORD',
  schema: { type: ['string', 'number'], pattern: PREFIX.source },
  read(value) {
    const text = textOf(value);
    return text !== undefined && PREFIX.test(text) ? text : undefined;
  },
};

export const addressOrOff: SettingKind<Address | false> = {
  expected: 'ADDR:PORT such as "127.0.0.1:6970", or false',
  placeholder: 'ADDR:PORT',
  onFlag: oneAddress,
  schema: { anyOf: [ADDRESS, { const: false }] },
  read: (value) => (value === false ? false : address(value)),
  write: (value) => (value === false ? false : formatAddress(value)),
};
