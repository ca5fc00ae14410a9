/**
 * The variables in file names, which make the requests of one node differ from another's. Each is made from the node's
 * number and address. Knows nothing of plans or profiles.
 */
import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { scramble } from './random.ts';

/** Three bytes of a MAC hold the node's number. */
export const MAX_NODES = 2 ** 24;

interface Variable {
  /** One line for people. */
  readonly about: string;
  readonly of: (number: number, address: string) => string;
}

/** The namespace of RFC 9562 for host names; a node's UUID is made from a host name. */
const UUID_NAMESPACE = Buffer.from('6ba7b8109dad11d180b400c04fd430c8', 'hex');

/** Makes a UUID of version 5 (RFC 9562 §5.5): the same number has the same UUID in every storm. */
function uuidOf(number: number): string {
  const bytes = createHash('sha1').update(UUID_NAMESPACE).update(`node-${number}.invalid`).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x50;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** QEMU gives its guests MACs that begin with 52:54:00. */
function macOf(number: number, separator: string): string {
  const tail = number.toString(16).padStart(6, '0');
  return ['52', '54', '00', tail.slice(0, 2), tail.slice(2, 4), tail.slice(4)].join(separator);
}

function ipv6Groups(part: string | undefined): string[] {
  return part === undefined || part === '' ? [] : part.split(':').map((group) => group.padStart(4, '0'));
}

/** PXELINUX defines this for IPv4 alone; here an IPv6 address gets its 32 digits. */
function hexipOf(address: string): string {
  if (isIPv4(address)) {
    return address
      .split('.')
      .map((byte) => Number(byte).toString(16).padStart(2, '0'))
      .join('')
      .toUpperCase();
  }
  const [head, tail] = address.split('%')[0]!.split('::');
  const before = ipv6Groups(head);
  const after = ipv6Groups(tail);
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0000');
  return [...before, ...zeros, ...after].join('').toUpperCase();
}

const SHORTENED = [7, 6, 5, 4, 3, 2, 1].map((digits): readonly [string, Variable] => [
  `hexip${digits}`,
  { about: `the first ${digits} digits of the address in hex`, of: (_, address) => hexipOf(address).slice(0, digits) },
]);

export const VARIABLES: ReadonlyMap<string, Variable> = new Map<string, Variable>([
  ['n', { about: "the node's number", of: (number) => String(number) }],
  ['ip', { about: 'its address', of: (_, address) => address }],
  ['hexip', { about: 'its address in hex, in capitals', of: (_, address) => hexipOf(address) }],
  ...SHORTENED,
  ['mac', { about: 'a MAC made from its number', of: (number) => macOf(number, '-') }],
  ['mac:', { about: 'the same with colons', of: (number) => macOf(number, ':') }],
  ['machex', { about: 'the same, digits alone', of: (number) => macOf(number, '') }],
  ['MAC', { about: 'the same in capitals', of: (number) => macOf(number, '-').toUpperCase() }],
  ['MAC:', { about: 'in capitals with colons', of: (number) => macOf(number, ':').toUpperCase() }],
  ['MACHEX', { about: 'in capitals, digits alone', of: (number) => macOf(number, '').toUpperCase() }],
  ['uuid', { about: 'a UUID made from its number', of: (number) => uuidOf(number) }],
  [
    'serial',
    {
      about: 'eight hex digits made from its number, as a Raspberry Pi has them',
      // A bijection: no two nodes share a serial number.
      of: (number) => scramble(number).toString(16).padStart(8, '0'),
    },
  ],
]);

/** The variables of one node; each value is made on demand. */
export interface Variables {
  get(name: string): string | undefined;
}

/**
 * @param number the node's number, 0 <= number < MAX_NODES.
 * @param address the node's IPv4 or IPv6 address as text.
 */
export function nodeVariables(number: number, address: string): Variables {
  if (!Number.isInteger(number) || number < 0 || number >= MAX_NODES) {
    throw new RangeError(`Expected a node number 0 to ${MAX_NODES - 1}, got ${number}`);
  }
  return { get: (name) => VARIABLES.get(name)?.of(number, address) };
}

const PLACEHOLDER = /\{([^{}]*)\}/g;

export function hasVariables(template: string): boolean {
  return template.includes('{');
}

/** @returns what is wrong with a template, as the end of a sentence that begins with "expected"; undefined: nothing. */
export function checkTemplate(template: string): string | undefined {
  if (template === '' || template.includes('\0')) return 'a file name';
  for (const [placeholder, name] of template.matchAll(PLACEHOLDER)) {
    if (VARIABLES.has(name!)) continue;
    const known = [...VARIABLES.keys()].map((word) => `{${word}}`).join(', ');
    return `a variable of ${known} for ${placeholder}`;
  }
  return /[{}]/.test(template.replaceAll(PLACEHOLDER, '')) ? 'each { with its }' : undefined;
}

/**
 * Fills in a template for one node.
 *
 * @throws RangeError for a template that checkTemplate rejects.
 */
export function expand(template: string, variables: Variables): string {
  if (!hasVariables(template)) return template;
  return template.replaceAll(PLACEHOLDER, (placeholder, word: string) => {
    const value = variables.get(word);
    if (value === undefined) throw new RangeError(`Expected a known variable, got ${placeholder}`);
    return value;
  });
}
