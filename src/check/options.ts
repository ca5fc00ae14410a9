/** Statements 30 to 48: the values granted for blksize, tsize, timeout, windowsize and others. */
import type { Check } from './check.ts';
import { type CheckContext, isServed } from './check-context.ts';
import { toNetascii } from './files.ts';
import { describe, granted, type Options, readOack, request } from './packets.ts';
import { Transfer } from './transfer.ts';
import { fail, isVerdict, notOffered, notTried, pass, type Verdict, worst } from './verdict.ts';

const NO_BLKSIZE = 'the server does not grant blksize';
const NO_TSIZE = 'the server does not grant tsize';
const NO_TIMEOUT = 'the server does not grant timeout';
const NO_WINDOWSIZE = 'the server does not grant windowsize';
const MAX_OACK_BYTES = 512;
/** Valid values (RFC 2348, RFC 7440). */
const BLKSIZES = { least: 8, most: 65464 };
const WINDOWSIZES = { least: 1, most: 65535 };

/** Passes if the option is not granted, or as a number from `least` to the valid part of what was asked. */
async function judgeGrant(
  context: CheckContext,
  name: string,
  asked: number,
  range: { readonly least: number; readonly most: number },
): Promise<Verdict> {
  const reply = await context.read([[name, String(asked)]]);
  // RFC 2347: an invalid value may be left out or refused.
  if (reply?.kind === 'ERROR' && reply.number === 8 && (asked < range.least || asked > range.most)) return pass();
  if (!isServed(reply)) return fail(`expected the file with ${name} ${asked}, got ${describe(reply)}`);
  const value = granted(reply!, name);
  if (value === undefined) return pass();
  const number = /^[0-9]+$/.test(value) ? Number(value) : Number.NaN;
  const most = Math.min(asked, range.most);
  return number >= range.least && number <= most
    ? pass()
    : fail(`expected ${name} ${asked} to be granted up to ${most} or not at all, got ${describe(reply)}`);
}

async function sweep(
  context: CheckContext,
  name: string,
  values: readonly number[],
  range: { readonly least: number; readonly most: number },
): Promise<Verdict> {
  return worst(await Promise.all(values.map((value) => judgeGrant(context, name, value, range))));
}

async function largeBlksize(context: CheckContext): Promise<Verdict> {
  if (!context.offers.blksize) return notOffered(NO_BLKSIZE);
  const reply = await context.read([['blksize', String(BLKSIZES.most)]]);
  return reply !== undefined && granted(reply, 'blksize') !== undefined
    ? pass(`granted ${granted(reply, 'blksize')}`)
    : fail(`expected an OACK with a lower blksize, got ${describe(reply)}`);
}

/** Asks for many options at once, so that the OACK is longer than blocks of 8 bytes. */
async function longOack(context: CheckContext): Promise<Verdict> {
  if (!context.offers.blksize) return notOffered(NO_BLKSIZE);
  const options: Options = [
    ['blksize', '8'],
    ['tsize', '0'],
    ['windowsize', '4'],
    ['timeout', '3'],
  ];
  const reply = await context.read(options);
  if (reply?.kind !== 'OACK') return fail(`expected an OACK, got ${describe(reply)}`);
  const { pairs, whole } = readOack(reply);
  if (!whole) return fail(`the OACK is cut short: ${describe(reply)}`);
  const alone = await Promise.all(options.map(([name, value]) => context.grant(name, value)));
  const lost = options.filter(([name], at) => alone[at] !== undefined && granted(reply, name) === undefined);
  return lost.length === 0
    ? pass(`${pairs.length} options, ${reply.bytes.length} bytes`)
    : fail(`expected ${lost.map(([name]) => name).join(', ')} in the OACK as well, got ${describe(reply)}`);
}

async function shortOack(context: CheckContext): Promise<Verdict> {
  const distinct: Options = [
    ['blksize', '1024'],
    ['windowsize', '4'],
    ['timeout', '3'],
    ['tsize', '0'],
  ];
  // tsize is the option whose value grows in the OACK.
  const repeated: Options = Array.from({ length: 36 }, () => ['tsize', '0']);
  const bytes = request(context.file.name, [...distinct, ...repeated]);
  const reply = await context.reply(bytes);
  if (!isServed(reply)) return fail(`expected the file, got ${describe(reply)}`);
  if (reply?.kind !== 'OACK') return pass('no option was granted');
  return reply.bytes.length <= MAX_OACK_BYTES ? pass() : fail(`the OACK has ${reply.bytes.length} bytes`);
}

async function exactTsize(context: CheckContext): Promise<Verdict> {
  if (!context.offers.tsize) return notOffered(NO_TSIZE);
  const known = context.files.filter(({ size }) => size !== undefined);
  if (known.length === 0) return notTried('needs a file whose size is known: --against');
  for (const { name, size } of known) {
    for (const asked of ['0', '1', '4294967295']) {
      const reply = await context.read([['tsize', asked]], name);
      const value = reply === undefined ? undefined : granted(reply, 'tsize');
      if (value !== String(size)) return fail(`expected tsize ${size} for tsize ${asked}, got ${describe(reply)}`);
    }
  }
  return pass();
}

async function netasciiTsize(context: CheckContext): Promise<Verdict> {
  if (!context.offers.netascii) return notOffered('the server does not send netascii');
  if (!context.offers.tsize) return notOffered(NO_TSIZE);
  const file = context.wholeFile;
  if (file === undefined) return notTried('needs a file small enough to be read');
  const reply = await context.read([['tsize', '0']], file.name, 'netascii');
  if (!isServed(reply)) return fail(`expected the file, got ${describe(reply)}`);
  const value = granted(reply!, 'tsize');
  const { length } = toNetascii(file.bytes);
  return value === undefined || value === String(length)
    ? pass(value === undefined ? '' : `granted ${value}`)
    : fail(`expected no tsize, or ${length}, the bytes that are sent, got ${value}`);
}

async function sentAsAnnounced(context: CheckContext): Promise<Verdict> {
  if (!context.offers.tsize) return notOffered(NO_TSIZE);
  const file = context.wholeFile;
  if (file === undefined) return notTried('needs a file small enough to be read');
  const transfer = await Transfer.open(context, { file, options: [['tsize', '0']] });
  if (isVerdict(transfer)) return transfer;
  const announced = granted(transfer.first, 'tsize');
  const wrong = (await transfer.takeFirst()) ?? (await transfer.finish());
  if (wrong !== undefined) return wrong;
  return announced === String(transfer.bytes)
    ? pass()
    : fail(`announced ${announced ?? 'nothing'}, sent ${transfer.bytes} bytes`);
}

async function timeoutAsAsked(context: CheckContext): Promise<Verdict> {
  if (!context.offers.timeout) return notOffered(NO_TIMEOUT);
  const verdicts = await Promise.all(
    ['1', '5', '255'].map(async (seconds) => {
      const value = await context.grant('timeout', seconds);
      return value === undefined || value === seconds ? pass() : fail(`timeout ${seconds} was answered with ${value}`);
    }),
  );
  return worst(verdicts);
}

async function badTimeouts(context: CheckContext): Promise<Verdict> {
  if (!context.offers.timeout) return notOffered(NO_TIMEOUT);
  const verdicts = await Promise.all(
    ['0', '256', '-1'].map(async (seconds) => {
      const value = await context.grant('timeout', seconds);
      return value === undefined ? pass() : fail(`timeout ${seconds} was granted as ${value}`);
    }),
  );
  return worst(verdicts);
}

async function windowOfOne(context: CheckContext): Promise<Verdict> {
  if (!context.offers.windowsize) return notOffered(NO_WINDOWSIZE);
  const shape = context.shape(5);
  if (isVerdict(shape)) return shape;
  const options: Options = [...shape.options, ['windowsize', '1']];
  const transfer = await Transfer.begin(context, { file: shape.file, options });
  if (isVerdict(transfer)) return transfer;
  for (let block = 2; block <= 4; block++) {
    const early = await transfer.exchange.until((reply) => transfer.isBlock(reply, block), context.waits.quietMs / 4);
    if (early !== undefined) return fail(`DATA ${block} came before ACK ${block - 1}`);
    const wrong = await transfer.take(1);
    if (wrong !== undefined) return wrong;
  }
  return pass();
}

async function windowedNetascii(context: CheckContext): Promise<Verdict> {
  if (!context.offers.netascii) return notOffered('the server does not send netascii');
  if (!context.offers.windowsize) return notOffered(NO_WINDOWSIZE);
  const file = context.wholeFile;
  if (file === undefined) return notTried('needs a file small enough to be read');
  const transfer = await Transfer.begin(context, { file, mode: 'netascii', options: [['windowsize', '4']] });
  if (isVerdict(transfer)) return transfer;
  return (await transfer.finish()) ?? pass(`windowsize ${transfer.windowsize}`);
}

/** RFC 2090 §3: the value is empty in the request, and `address,port,master` in the reply. */
async function multicast(context: CheckContext): Promise<Verdict> {
  const reply = await context.read([['multicast', '']]);
  if (!isServed(reply)) return fail(`expected the file, got ${describe(reply)}`);
  const value = granted(reply!, 'multicast');
  if (value === undefined) return notOffered('multicast is ignored');
  return /^[0-9a-fA-F.:]*,[0-9]*,[01]$/.test(value) ? pass() : fail(`multicast was answered with ${describe(reply)}`);
}

/** The name is in a folder that does not exist, so that no server has a place to store it. */
async function writing(context: CheckContext): Promise<Verdict> {
  const options: Options = [
    ['blksize', '512'],
    ['tsize', '5'],
  ];
  const exchange = await context.exchange();
  const reply = await exchange.ask(request('reveille-check-no-such-folder/file', options, 'octet', 2));
  if (reply?.kind === 'OACK' || reply?.kind === 'ACK') return notOffered('the server accepts uploads');
  if (reply?.kind !== 'ERROR') return fail(`expected ERROR for a write request, got ${describe(reply)}`);
  const more = await exchange.next(context.waits.quietMs);
  return more === undefined ? pass() : fail(`expected one ERROR and no more, got ${describe(more)} as well`);
}

export const OPTION_CHECKS: readonly Check[] = [
  {
    number: 30,
    title: 'A blksize below 8 is not granted, and one above 65464 is not granted unchanged',
    clause: 'RFC 2348',
    run: (context) =>
      context.offers.blksize
        ? sweep(context, 'blksize', [0, 1, 7, 65_465, 65_536, 4_294_967_808], BLKSIZES)
        : Promise.resolve(notOffered(NO_BLKSIZE)),
  },
  {
    number: 31,
    title: "A blksize above the server's limit is granted as a lower one",
    clause: 'RFC 2348',
    run: largeBlksize,
  },
  {
    number: 32,
    title: 'The granted blksize is never larger than the one asked for',
    clause: 'RFC 2348',
    run: (context) =>
      context.offers.blksize
        ? sweep(context, 'blksize', [8, 9, 100, 511, 512, 513, 1428, 1468, 8192, 65_464], BLKSIZES)
        : Promise.resolve(notOffered(NO_BLKSIZE)),
  },
  {
    number: 35,
    title: 'An OACK larger than the blksize it grants is sent whole',
    clause: 'CVE-2021-41054',
    run: longOack,
  },
  {
    number: 36,
    title: 'An OACK has at most 512 bytes',
    clause: 'RFC 2347',
    run: shortOack,
  },
  {
    number: 37,
    title: 'tsize is answered with the exact size, whatever value was sent',
    clause: 'RFC 2349',
    run: exactTsize,
  },
  {
    number: 39,
    title: 'With netascii tsize is left out, or counts the bytes as they are sent',
    clause: 'RFC 2349; the converted file has another size',
    run: netasciiTsize,
  },
  {
    number: 40,
    title: 'As many bytes are sent as tsize announced',
    clause: 'RFC 2349',
    run: sentAsAnnounced,
  },
  {
    number: 41,
    title: 'A timeout that is granted is granted unchanged',
    clause: 'RFC 2349',
    run: timeoutAsAsked,
  },
  {
    number: 42,
    title: 'Timeouts of 0, 256 and −1 are not granted',
    clause: 'RFC 2349',
    run: badTimeouts,
  },
  {
    number: 44,
    title: 'A windowsize is granted from 1 up to what was asked, and 0 not at all',
    clause: 'RFC 7440 §3',
    run: (context) =>
      context.offers.windowsize
        ? sweep(context, 'windowsize', [0, 1, 2, 7, 64, 65_535, 65_536], WINDOWSIZES)
        : Promise.resolve(notOffered(NO_WINDOWSIZE)),
  },
  {
    number: 45,
    title: 'A windowsize of 1 is lockstep: no block leaves before the one ahead of it is acknowledged',
    clause: 'RFC 7440 §4',
    run: windowOfOne,
  },
  {
    number: 46,
    title: 'Netascii is sent in windows as well',
    clause: 'RFC 7440',
    run: windowedNetascii,
  },
  {
    number: 47,
    title: '`multicast` is ignored, or answered as RFC 2090 specifies',
    clause: 'RFC 2347, RFC 2090 §3',
    run: multicast,
  },
  {
    number: 48,
    title: 'A write request that is refused gets one ERROR, and no OACK whatever its options',
    clause: 'RFC 1350 §2, RFC 2347',
    run: writing,
  },
];
