/**
 * Datagrams that a hostile or broken peer may send, from a seed: real requests mutated in one or more places, endless
 * lists of options, truncated packets, and noise. Shares no code with src/protocol.
 */
import { type Part, ack, bytes, data, error, oack, rrq, text, word, wrq } from '../support/bytes.ts';

export interface Hostile {
  readonly kind: string;
  readonly datagram: Uint8Array;
}

/** A linear congruential generator: simple, and identical on every machine. */
class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Returns an integer n with 0 <= n < sides. */
  roll(sides: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * sides);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.roll(from.length)]!;
  }
}

const NAMES = ['blksize', 'BLKSIZE', 'blksize2', 'tsize', 'timeout', 'utimeout', 'windowsize', 'rollover', 'multicast'];
const ODD_NAMES = ['__proto__', 'constructor', 'toString', '', 'bl\xe2\x84\xaasize', 'blksize ', 'x'.repeat(300)];
const VALUES = ['0', '1', '4', '8', '512', '1468', '65464', '65535', '65536', '4294967296', '18446744073709551616'];
const ODD_VALUES = ['', '-1', '+8', ' 8', '0x10', '1e3', '8.5', '00000000000000008', '\xff', 'NaN', '9'.repeat(400)];
const MODES = ['octet', 'OCTET', 'netascii', 'mail', '', 'binary', 'octet\xff', 'o'.repeat(200)];
const FILES = ['vmlinuz', '/boot/x', '..\\..\\x', '', 'a b', '\xff\xff', '%s%s%n', '\x1b[2J', 'd/'.repeat(200)];

function someOptions(dice: Dice, most: number): [string, string][] {
  return Array.from({ length: dice.roll(most + 1) }, () => [
    dice.roll(4) === 0 ? dice.pick(ODD_NAMES) : dice.pick(NAMES),
    dice.roll(4) === 0 ? dice.pick(ODD_VALUES) : dice.pick(VALUES),
  ]);
}

function request(dice: Dice): Uint8Array {
  const make = dice.roll(5) === 0 ? wrq : rrq;
  return make(dice.pick(FILES), dice.pick(MODES), someOptions(dice, 8));
}

function packet(dice: Dice): Uint8Array {
  const block = dice.roll(65_536);
  const some = [
    () => data(block, 'x'.repeat(dice.roll(600))),
    () => ack(block),
    () => error(dice.roll(12), '\x07message\n'),
    () => oack(someOptions(dice, 8)),
  ];
  return dice.pick(some)();
}

/** Changes, removes, duplicates or inserts bytes in a few places. */
function bend(dice: Dice, original: Uint8Array): Uint8Array {
  let bent = original;
  for (let turn = dice.roll(4); turn >= 0; turn--) {
    const at = dice.roll(bent.length + 1);
    const to = Math.min(bent.length, at + dice.roll(12));
    const middle = dice.pick<Part>([[dice.roll(256)], [0], [0, 0], [0xff], bent.slice(at, to), dice.pick(NAMES), []]);
    bent = bytes(bent.slice(0, at), middle, bent.slice(to));
  }
  return bent;
}

/** A short list of strings repeated up to 64 KiB. */
function bomb(dice: Dice): Uint8Array {
  const pair = bytes(text(dice.pick([...NAMES, ...ODD_NAMES])), text(dice.pick([...VALUES, ...ODD_VALUES])));
  const unit = dice.pick([pair, bytes([0]), bytes('a', [0]), bytes([0, 0xff])]);
  const head = rrq('f');
  const length = head.length + dice.roll(dice.roll(20) === 0 ? 65_000 : 1000);
  const all = new Uint8Array(length);
  all.set(head);
  for (let at = head.length; at < length; at++) all[at] = unit[(at - head.length) % unit.length]!;
  return all;
}

function noise(dice: Dice, length: number): Uint8Array {
  return new Uint8Array(length).map(() => dice.roll(256));
}

/** One letter repeated up to 64 KiB in a name, a mode, a value or a message, with or without the NUL. */
function endless(dice: Dice): Uint8Array {
  const letters = new Uint8Array(dice.roll(dice.roll(20) === 0 ? 65_000 : 2000)).fill(dice.pick([0x41, 0x30, 0xff]));
  const before = dice.pick<Part>([
    word(1),
    word(5),
    rrq('f'),
    bytes(word(1), text('f')),
    bytes(rrq('f'), text('blksize')),
  ]);
  const all = new Uint8Array(before.length + letters.length + 8);
  all.set(before as Uint8Array);
  all.set(letters, before.length);
  return all.subarray(0, all.length - dice.pick([0, 7, 8]));
}

export function* hostileDatagrams(seed: number, count: number): Generator<Hostile> {
  const dice = new Dice(seed);
  const kinds: readonly (readonly [kind: string, make: () => Uint8Array])[] = [
    ['request', () => request(dice)],
    ['bent request', () => bend(dice, request(dice))],
    ['bent request', () => bend(dice, request(dice))],
    ['cut request', () => cut(dice, request(dice))],
    ['bent packet', () => bend(dice, packet(dice))],
    ['cut packet', () => cut(dice, packet(dice))],
    ['option bomb', () => bomb(dice)],
    ['endless string', () => endless(dice)],
    ['padded request', () => bytes(request(dice), noise(dice, dice.roll(200)))],
    ['noise', () => noise(dice, dice.roll(64))],
  ];
  for (let made = 0; made < count; made++) {
    const [kind, make] = dice.pick(kinds);
    yield { kind, datagram: make() };
  }
}

function cut(dice: Dice, whole: Uint8Array): Uint8Array {
  return whole.slice(0, dice.roll(whole.length + 1));
}
