/** Statements 1 to 20: datagrams that are requests, almost requests, or not requests. */
import type { Check } from './check.ts';
import { type CheckContext, isServed } from './check-context.ts';
import {
  ack,
  data,
  describe,
  error,
  granted,
  oack,
  type Options,
  type Reply,
  readOack,
  request,
  strings,
} from './packets.ts';
import { fail, notOffered, pass, type Verdict, worst } from './verdict.ts';

const opcode = (number: number): Buffer => Buffer.from([number >> 8, number & 0xff]);

/** Sends each datagram from a port of its own. No reply must come. */
async function silence(
  context: CheckContext,
  datagrams: readonly (readonly [what: string, bytes: Buffer])[],
): Promise<Verdict> {
  const answers = await Promise.all(
    datagrams.map(async ([what, bytes]) => {
      const exchange = await context.exchange();
      await exchange.send(bytes);
      const reply = await exchange.next(context.waits.quietMs);
      return reply === undefined ? pass() : fail(`expected silence after ${what}, got ${describe(reply)}`);
    }),
  );
  return worst(answers);
}

/** Sends a truncated request: an ERROR or silence passes. */
async function refusedOrDropped(context: CheckContext, what: string, bytes: Buffer): Promise<Verdict> {
  const exchange = await context.exchange();
  await exchange.send(bytes);
  const reply = await exchange.next(context.waits.quietMs);
  if (reply === undefined || reply.kind === 'ERROR') return pass(`answered with ${describe(reply)}`);
  return fail(`expected silence or ERROR after ${what}, got ${describe(reply)}`);
}

function servedOr(reply: Reply | undefined, what: string): Verdict {
  return isServed(reply) ? pass() : fail(`expected the file after ${what}, got ${describe(reply)}`);
}

/** Judges the reply to a request without options that can be granted: the file must come without an OACK (RFC 2347). */
function servedPlain(reply: Reply | undefined, what: string): Verdict {
  if (reply?.kind === 'DATA' && reply.number === 1) return pass();
  return fail(`expected DATA 1 after ${what}, got ${describe(reply)}`);
}

function namesIn(reply: Reply): string[] {
  return readOack(reply).pairs.map(([name]) => name.toLowerCase());
}

async function refusesMode(context: CheckContext, mode: string): Promise<Verdict> {
  const reply = await context.read([], context.file.name, mode);
  if (reply?.kind === 'ERROR' && (reply.number === 4 || reply.number === 0)) return pass();
  return fail(`expected ERROR 4 or 0 for mode "${mode}", got ${describe(reply)}`);
}

/**
 * Returns a request as PA-RISC firmware sends it: in a fixed record filled up with stray memory, here without a NUL.
 */
function padded(context: CheckContext, toBytes: number): Buffer {
  const head = request(context.file.name);
  return Buffer.concat([head, Buffer.alloc(Math.max(8, toBytes - head.length), 0xa5)]);
}

async function longRequest(context: CheckContext, least: number): Promise<Verdict> {
  const options: Options = Array.from({ length: Math.ceil(least / 16) }, (_, at) => [`x-filler-${at}`, 'value']);
  const reply = await context.read(options);
  if (isServed(reply) || reply?.kind === 'ERROR') return pass(`${least} bytes: ${describe(reply)}`);
  return fail(`expected the file or ERROR after a request of over ${least} bytes, got ${describe(reply)}`);
}

async function emptyValue(context: CheckContext): Promise<Verdict> {
  const { blksize, tsize } = context.offers;
  if (!tsize && !blksize) return notOffered('the server grants neither tsize nor blksize');
  const [empty, later]: readonly [string, readonly [string, string]] = tsize
    ? ['blksize', ['tsize', '0']]
    : ['tsize', ['blksize', '512']];
  const reply = await context.read([[empty, ''], later]);
  if (reply === undefined || granted(reply, later[0]) === undefined) {
    return fail(`expected ${later[0]} in the OACK after an empty ${empty}, got ${describe(reply)}`);
  }
  const value = granted(reply, empty);
  return value === undefined ? pass() : fail(`expected an empty ${empty} to be left out, got ${describe(reply)}`);
}

async function repeatedOption(context: CheckContext): Promise<Verdict> {
  if (!context.offers.blksize) return notOffered('the server does not grant blksize');
  const alone = await context.grant('blksize', '1024');
  const reply = await context.read([
    ['blksize', '1024'],
    ['blksize', '768'],
  ]);
  if (reply?.kind !== 'OACK') return fail(`expected an OACK, got ${describe(reply)}`);
  const times = namesIn(reply).filter((name) => name === 'blksize').length;
  if (times !== 1) return fail(`expected blksize once in the OACK, got ${describe(reply)}`);
  const value = granted(reply, 'blksize');
  return value === alone ? pass() : fail(`expected the first value, ${alone}, to count, got ${describe(reply)}`);
}

async function optionCase(context: CheckContext): Promise<Verdict> {
  const [name, value] = context.anyOption?.[0] ?? [];
  if (name === undefined || value === undefined) return notOffered('the server grants no option');
  for (const spelling of [name.toUpperCase(), name.replace(/^./, (letter) => letter.toUpperCase())]) {
    const reply = await context.read([[spelling, value]]);
    if (reply === undefined || granted(reply, name) === undefined) {
      return fail(`expected ${spelling} to be granted like ${name}, got ${describe(reply)}`);
    }
  }
  // U+212A, the Kelvin sign, becomes a k in Unicode's lower case.
  return servedPlain(await context.read([['bl\u212asize', '512']]), 'an option whose name has a Kelvin sign for its k');
}

async function unknownAmongKnown(context: CheckContext): Promise<Verdict> {
  const known = context.anyOption;
  if (known === undefined) return notOffered('the server grants no option');
  const reply = await context.read([['x-unknown', '1'], ...known, ['x-other', 'text']]);
  if (reply?.kind !== 'OACK') return fail(`expected an OACK for ${known[0]![0]}, got ${describe(reply)}`);
  return namesIn(reply).some((name) => name.startsWith('x-'))
    ? fail(`expected no unknown option in the OACK, got ${describe(reply)}`)
    : pass();
}

async function onlyWhatWasAsked(context: CheckContext): Promise<Verdict> {
  const wishes: readonly Options[] = [
    [],
    [['tsize', '0']],
    [['blksize', '1024']],
    [['windowsize', '4']],
    [
      ['blksize', '1024'],
      ['windowsize', '4'],
    ],
  ];
  const verdicts = await Promise.all(
    wishes.map(async (options) => {
      const reply = await context.read(options);
      if (!isServed(reply)) return fail(`expected the file, got ${describe(reply)}`);
      if (reply?.kind !== 'OACK') return pass();
      const asked = options.map(([name]) => name);
      const extra = namesIn(reply).filter((name) => !asked.includes(name));
      if (asked.length === 0) return fail(`expected DATA 1 after a request without options, got ${describe(reply)}`);
      return extra.length === 0 ? pass() : fail(`expected only ${asked.join(', ')}, got ${describe(reply)}`);
    }),
  );
  return worst(verdicts);
}

async function oddNumbers(context: CheckContext): Promise<Verdict> {
  if (!context.offers.blksize) return notOffered('the server does not grant blksize');
  const values = ['-512', '+512', ' 512', '512 ', '0x200', '5e2', '512abc', '5.12', 'many'];
  const verdicts = await Promise.all(
    values.map(async (value) => {
      const reply = await context.read([['blksize', value]]);
      // RFC 2347 allows the server an ERROR 8 where a value is invalid.
      if (reply?.kind === 'ERROR' && reply.number === 8) return pass();
      return servedPlain(reply, `blksize "${value}", which is not a decimal number`);
    }),
  );
  return worst(verdicts);
}

async function ownNames(context: CheckContext): Promise<Verdict> {
  const names = ['__proto__', 'constructor', 'toString', 'retries', '%s%n'];
  const reply = await context.read(names.map((name) => [name, '1']));
  return servedPlain(reply, 'options with names such as __proto__');
}

export const REQUEST_CHECKS: readonly Check[] = [
  {
    number: 1,
    title: 'A datagram of less than two bytes gets no answer',
    clause: 'RFC 1350 §5',
    alone: true,
    run: (context) =>
      silence(context, [
        ['an empty datagram', Buffer.alloc(0)],
        ['one byte', Buffer.from([0])],
      ]),
  },
  {
    number: 2,
    title: 'Opcodes 0 and 7 to 65535 get no answer',
    clause: 'RFC 1350 §5',
    alone: true,
    run: (context) =>
      silence(
        context,
        [0, 7, 255, 256, 257, 65_535].map((number) => [
          `opcode ${number}`,
          Buffer.concat([opcode(number), strings(context.file.name, 'octet')]),
        ]),
      ),
  },
  {
    number: 3,
    title: 'DATA, ACK, ERROR and OACK at the port for requests get no answer',
    clause: 'answers to answers keep two servers busy forever (CVE-2024-2169)',
    alone: true,
    run: (context) =>
      silence(context, [
        ['DATA', data(1, Buffer.from('stray'))],
        ['ACK', ack(1)],
        ['ERROR', error(0, 'Stray')],
        ['an ERROR of three bytes', error(0, '').subarray(0, 3)],
        ['OACK', oack([['blksize', '512']])],
      ]),
  },
  {
    number: 4,
    title: 'A request whose file name has no NUL is dropped or refused',
    clause: 'RFC 1350 §5',
    alone: true,
    run: (context) =>
      refusedOrDropped(
        context,
        'a name without its NUL',
        Buffer.concat([opcode(1), Buffer.from(context.file.name, 'utf8')]),
      ),
  },
  {
    number: 5,
    title: 'A request whose mode has no NUL is dropped or refused',
    clause: 'RFC 1350 §5',
    alone: true,
    run: (context) => refusedOrDropped(context, 'a mode without its NUL', request(context.file.name).subarray(0, -1)),
  },
  {
    number: 6,
    title: 'An empty file name gets an ERROR',
    clause: 'no file has an empty name',
    alone: true,
    run: async (context) => {
      const reply = await context.read([], '');
      return reply?.kind === 'ERROR' ? pass() : fail(`expected ERROR, got ${describe(reply)}`);
    },
  },
  {
    number: 7,
    title: 'The case of the mode does not matter: `OcTeT` is octet',
    clause: 'RFC 1350 §5',
    alone: true,
    run: async (context) => servedOr(await context.read([], context.file.name, 'OcTeT'), 'mode OcTeT'),
  },
  {
    number: 8,
    title: 'The mode `mail` is refused with ERROR 4 or 0',
    clause: 'RFC 1123 §4.2.2.1',
    alone: true,
    run: (context) => refusesMode(context, 'mail'),
  },
  {
    number: 9,
    title: 'An unknown mode is refused with ERROR 4 or 0',
    clause: 'RFC 1350 §5',
    alone: true,
    run: async (context) => worst([await refusesMode(context, 'octets'), await refusesMode(context, 'x'.repeat(300))]),
  },
  {
    number: 10,
    title: 'Bytes after the mode without a NUL among them are ignored',
    clause: 'PA-RISC firmware pads its requests to 516 bytes',
    alone: true,
    run: async (context) => servedPlain(await context.reply(padded(context, 516)), 'a request padded with memory'),
  },
  {
    number: 11,
    title: 'A request of more than 512 bytes is served or refused',
    clause: 'RFC 2347 allows 512; some firmware sends more',
    alone: true,
    run: async (context) => worst([await longRequest(context, 516), await longRequest(context, 1000)]),
  },
  {
    number: 12,
    title: 'An option name without a value is ignored',
    clause: 'RFC 2347',
    alone: true,
    run: async (context) => {
      const bytes = Buffer.concat([request(context.file.name), strings('blksize')]);
      return servedPlain(await context.reply(bytes), 'blksize without a value');
    },
  },
  {
    number: 13,
    title: 'An option with an empty value is ignored, and the options after it count',
    clause: 'RFC 2347; some telephones send empty values',
    alone: true,
    run: emptyValue,
  },
  {
    number: 14,
    title: 'If an option is repeated, the first value counts, and the OACK has it once',
    clause: 'RFC 2347',
    alone: true,
    run: repeatedOption,
  },
  {
    number: 15,
    title: 'The case of option names does not matter, for ASCII letters only',
    clause: 'RFC 2347',
    alone: true,
    run: optionCase,
  },
  {
    number: 16,
    title: 'Unknown options are left out of the OACK and draw no ERROR',
    clause: 'RFC 2347',
    alone: true,
    run: unknownAmongKnown,
  },
  {
    number: 17,
    title: 'If all options are unknown, the transfer starts with DATA 1',
    clause: 'RFC 2347',
    alone: true,
    run: async (context) => {
      const options: Options = [
        ['x-unknown', '1'],
        ['x-other', 'text'],
      ];
      return servedPlain(await context.read(options), 'unknown options alone');
    },
  },
  {
    number: 18,
    title: 'The OACK names no option that was not asked for',
    clause: 'RFC 2347',
    run: onlyWhatWasAsked,
  },
  {
    number: 19,
    title: 'A value that is not a decimal number is not granted',
    clause: 'RFC 2347',
    alone: true,
    run: oddNumbers,
  },
  {
    number: 20,
    title: 'Option names such as `__proto__` and `constructor` do no harm',
    clause: 'they have meanings in the languages that servers are written in',
    alone: true,
    run: ownNames,
  },
];
