/** Statements 84 to 87: netascii, where it is offered. */
import type { Check } from './check.ts';
import type { CheckContext } from './check-context.ts';
import {
  bySize,
  CR,
  isWhole,
  LF,
  MAX_BLKSIZE,
  MIN_BLKSIZE,
  type OfferedFile,
  PLAIN_BLKSIZE,
  toNetascii,
} from './files.ts';
import { describe, type Options, type Reply, request } from './packets.ts';
import { Transfer } from './transfer.ts';
import { fail, isVerdict, notOffered, notTried, pass, type Verdict, worst } from './verdict.ts';

const NUL = 0x00;
/** Limit on the size of a file to convert, because it is converted in memory; a larger one would prove nothing more. */
const MAX_CONVERTED_BYTES = 4 * 1024 * 1024;

interface Text {
  readonly file: OfferedFile;
  /** The file as it is sent. */
  readonly wire: Buffer;
}

/** Returns the files whose bytes are fully known, converted to netascii, the smallest first. */
function texts(context: CheckContext): Text[] {
  return bySize(context.files)
    .filter((file) => isWhole(file) && file.bytes.length > 0 && file.bytes.length <= MAX_CONVERTED_BYTES)
    .map((file) => ({ file, wire: toNetascii(file.bytes) }));
}

function unavailable(context: CheckContext): Verdict | undefined {
  return context.offers.netascii ? undefined : notOffered('the server does not send netascii');
}

function blksizeOption(blksize: number): Options {
  return blksize === PLAIN_BLKSIZE ? [] : [['blksize', String(blksize)]];
}

async function readText(context: CheckContext, { file }: Text, blksize: number): Promise<Verdict> {
  const transfer = await Transfer.begin(context, { file, mode: 'netascii', options: blksizeOption(blksize) });
  if (isVerdict(transfer)) return transfer;
  if (transfer.blksize !== blksize) return notTried(`the server sends blocks of ${transfer.blksize} bytes`);
  return (await transfer.finish()) ?? pass();
}

/** Reads the smallest file with line feeds, and the smallest with carriage returns. */
async function converts(context: CheckContext): Promise<Verdict> {
  const none = unavailable(context);
  if (none !== undefined) return none;
  const found = [LF, CR].map((byte) => texts(context).find(({ file }) => file.bytes.includes(byte)));
  const wanted = [...new Set(found)].filter((text) => text !== undefined);
  if (wanted.length === 0) return notTried('needs a file with line feeds or carriage returns');
  return worst(await Promise.all(wanted.map((text) => readText(context, text, PLAIN_BLKSIZE))));
}

/** Returns a block size that splits a pair beginning with CR between two blocks. */
function splittingBlksize(wire: Buffer, second: number, blksizes: boolean): number | undefined {
  for (let at = wire.indexOf(CR); at >= 0 && at + 1 < wire.length; at = wire.indexOf(CR, at + 2)) {
    if (wire[at + 1] !== second) continue;
    if ((at + 1) % PLAIN_BLKSIZE === 0) return PLAIN_BLKSIZE;
    if (blksizes && at + 1 >= MIN_BLKSIZE && at + 1 <= MAX_BLKSIZE) return at + 1;
  }
  return undefined;
}

/**
 * Reads a file whose blocks split a pair. For a pair made from LF, prefers files without CR, because a server may
 * mishandle only one of the two.
 */
async function splits(context: CheckContext, second: number, what: string): Promise<Verdict> {
  const all = texts(context);
  const plain = second === LF ? all.filter(({ file }) => !file.bytes.includes(CR)) : [];
  for (const text of [...plain, ...all]) {
    const blksize = splittingBlksize(text.wire, second, context.offers.blksize);
    if (blksize !== undefined) return await readText(context, text, blksize);
  }
  return notTried(`needs a file with a ${what}`);
}

/** The last block is the first that is short after conversion, not before. */
async function evenOnTheWire(context: CheckContext): Promise<Verdict> {
  for (const text of texts(context)) {
    const { length } = text.wire;
    if (length % PLAIN_BLKSIZE === 0) return await readText(context, text, PLAIN_BLKSIZE);
    if (!context.offers.blksize) continue;
    for (let blksize = Math.min(length, MAX_BLKSIZE); blksize >= MIN_BLKSIZE; blksize--) {
      if (length % blksize === 0 && length / blksize <= 10_000) return await readText(context, text, blksize);
    }
  }
  return notTried('needs a file that consists of full blocks after conversion');
}

async function splitsLines(context: CheckContext): Promise<Verdict> {
  const none = unavailable(context);
  return none ?? worst([await splits(context, LF, 'line feed'), await evenOnTheWire(context)]);
}

async function splitsReturns(context: CheckContext): Promise<Verdict> {
  return unavailable(context) ?? (await splits(context, NUL, 'carriage return'));
}

/** Compares the two copies only with each other: other statements check their bytes. */
async function resendsTheSame(context: CheckContext): Promise<Verdict> {
  const none = unavailable(context);
  if (none !== undefined) return none;
  const shape = context.shape(3);
  if (isVerdict(shape)) return shape;
  const exchange = await context.exchange();
  const isSecond = ({ kind, number }: Reply): boolean => kind === 'DATA' && number === 2;
  const reply = await exchange.ask(request(shape.file.name, shape.options, 'netascii'));
  if (reply?.kind === 'OACK') {
    await exchange.ack(0);
    await exchange.until(({ kind, number }) => kind === 'DATA' && number === 1, context.waits.resendMs);
  }
  await exchange.ack(1);
  const block = await exchange.until(isSecond, context.waits.resendMs);
  if (block === undefined) return fail(`expected DATA 2, got silence after ${describe(reply)}`);
  const copy = await exchange.until(isSecond, context.waits.resendMs);
  if (copy === undefined) return fail(`block 2 was not sent again within ${context.waits.resendMs / 1000} s`);
  return copy.bytes.equals(block.bytes) ? pass() : fail('block 2 was sent again with other bytes');
}

export const NETASCII_CHECKS: readonly Check[] = [
  {
    number: 84,
    title: 'In netascii LF travels as CR LF, and CR as CR NUL',
    clause: 'RFC 764 by way of RFC 1350 §1',
    run: converts,
  },
  {
    number: 85,
    title: 'A CR at the end of a block has its NUL at the beginning of the next',
    clause: 'RFC 1350 §1; some servers have lost the NUL',
    run: splitsReturns,
  },
  {
    number: 86,
    title: 'CR LF may be split between blocks, and the last block is the first short one after conversion',
    clause: 'RFC 1350 §1, §6',
    run: splitsLines,
  },
  {
    number: 87,
    title: 'A retransmitted netascii block has the same bytes',
    clause: 'RFC 1350 §2',
    run: resendsTheSame,
  },
];
