/** Statements 51, 58 to 62, 67 to 69 and 75: blocks in lockstep, and ACKs that must not move them. */
import type { Check } from './check.ts';
import type { CheckContext } from './check-context.ts';
import type { Exchange } from './exchange.ts';
import { evenShape, MAX_BLKSIZE, type OfferedFile, PLAIN_BLKSIZE } from './files.ts';
import type { Options, Reply } from './packets.ts';
import { Transfer } from './transfer.ts';
import { fail, isVerdict, notOffered, notTried, pass, type Verdict, worst } from './verdict.ts';

/**
 * Equal ACKs sent in a row. A server that answers each sends as many blocks; one that resends by a timer sends a few.
 */
const REPEATS = 20;
const MAX_COPIES = REPEATS / 2;
/**
 * Limit on packets per block. If every block is sent twice the ratio is 2; timers on a busy machine resend some blocks.
 */
const MAX_RATIO = 1.5;
const DOUBLED_BLOCKS = 100;

/** Sends one ACK over and over. @returns the replies meanwhile and shortly after. */
export async function bombard(context: CheckContext, exchange: Exchange, block: number): Promise<Reply[]> {
  exchange.forget();
  for (let count = 0; count < REPEATS; count++) {
    await exchange.ack(block);
    await exchange.pause(context.waits.stepMs);
  }
  return await exchange.during(context.waits.quietMs / 4);
}

function copiesOf(replies: readonly Reply[], block: number): number {
  return replies.filter(({ kind, number }) => kind === 'DATA' && number === (block & 0xffff)).length;
}

function judgeCopies(replies: readonly Reply[], block: number, acked: number): Verdict | undefined {
  const copies = copiesOf(replies, block);
  if (copies <= MAX_COPIES) return undefined;
  return fail(`${REPEATS} repeats of ACK ${acked} drew DATA ${block} ${copies} times`);
}

/** Begins a transfer with `taken` blocks taken, the last one unacknowledged, and `more` still to come. */
async function midway(context: CheckContext, taken: number, more: number): Promise<Transfer | Verdict> {
  const shape = context.shape(taken + more);
  if (isVerdict(shape)) return shape;
  const transfer = await Transfer.begin(context, shape);
  if (isVerdict(transfer)) return transfer;
  return transfer.needs(taken + more) ?? (await transfer.take(taken - 1)) ?? transfer;
}

async function repeatedAckZero(context: CheckContext): Promise<Verdict> {
  const options = context.anyOption;
  if (options === undefined) return notOffered('the server grants no option');
  const transfer = await Transfer.begin(context, { file: context.file, options });
  if (isVerdict(transfer)) return transfer;
  const replies = await bombard(context, transfer.exchange, 0);
  return judgeCopies(replies, 1, 0) ?? (await transfer.take(1)) ?? pass();
}

async function repeatedAck(context: CheckContext): Promise<Verdict> {
  const transfer = await midway(context, 3, 2);
  if (isVerdict(transfer)) return transfer;
  const replies = await bombard(context, transfer.exchange, 2);
  return judgeCopies(replies, 3, 2) ?? (await transfer.take(2)) ?? pass();
}

async function earlyAck(context: CheckContext): Promise<Verdict> {
  const transfer = await midway(context, 2, 3);
  if (isVerdict(transfer)) return transfer;
  await transfer.exchange.ack(2 + 100);
  const other = await transfer.exchange.until((reply) => !transfer.isBlock(reply, 2), context.waits.quietMs / 2);
  if (other !== undefined) return fail(`an ACK of block 102 with block 2 out drew ${other.kind} ${other.number}`);
  return (await transfer.take(2)) ?? pass();
}

async function oldAck(context: CheckContext): Promise<Verdict> {
  const transfer = await midway(context, 4, 2);
  if (isVerdict(transfer)) return transfer;
  const replies = await bombard(context, transfer.exchange, 1);
  if (copiesOf(replies, 2) > 0) return fail('ACK 1 with block 4 out drew DATA 2');
  return judgeCopies(replies, 4, 1) ?? (await transfer.take(2)) ?? pass();
}

/** Sends every ACK twice, as some networks do. A second try rules out that the machine was merely busy. */
async function doubledAcks(context: CheckContext): Promise<Verdict> {
  const shape = context.shape(DOUBLED_BLOCKS);
  if (isVerdict(shape)) return shape;
  let ratio = 0;
  for (let attempt = 0; attempt < 2; attempt++) {
    const transfer = await Transfer.begin(context, { ...shape, ackCopies: 2 });
    if (isVerdict(transfer)) return transfer;
    const wrong = transfer.needs(DOUBLED_BLOCKS) ?? (await transfer.take(DOUBLED_BLOCKS - 1));
    if (wrong !== undefined) return wrong;
    ratio = transfer.seen / transfer.taken;
    if (ratio <= MAX_RATIO) return pass(`${ratio.toFixed(2)} packets per block`);
  }
  return fail(`with every ACK doubled, each block was sent ${ratio.toFixed(2)} times`);
}

/** Reads a file to its end, which must come after exactly `blocks` blocks. */
async function readAll(context: CheckContext, file: OfferedFile, options: Options, blocks: number): Promise<Verdict> {
  const transfer = await Transfer.begin(context, { file, options });
  if (isVerdict(transfer)) return transfer;
  if (transfer.blocks !== blocks) return notTried(`the server sends blocks of ${transfer.blksize} bytes`);
  return (await transfer.finish()) ?? pass();
}

async function emptyFile(context: CheckContext): Promise<Verdict> {
  const file = context.files.find(({ size }) => size === 0);
  if (file === undefined) return notTried('needs a file of 0 bytes');
  const plain = await readAll(context, file, [], 1);
  return context.offers.blksize ? worst([plain, await readAll(context, file, [['blksize', '1024']], 1)]) : plain;
}

async function evenFile(context: CheckContext): Promise<Verdict> {
  const shape = evenShape(context.files, context.offers.blksize, (blocks) => blocks <= 10_000);
  if (shape === undefined) return notTried(`needs a file of ${PLAIN_BLKSIZE} bytes or a multiple of it`);
  return await readAll(context, shape.file, shape.options, shape.blocks + 1);
}

async function shortFile(context: CheckContext): Promise<Verdict> {
  const small = context.files.find(({ size }) => size !== undefined && size > 0 && size < PLAIN_BLKSIZE);
  if (small !== undefined) return await readAll(context, small, [], 1);
  const file = context.offers.blksize ? context.wholeFile : undefined;
  if (file?.size === undefined || file.size >= MAX_BLKSIZE)
    return notTried(`needs a file of ${PLAIN_BLKSIZE - 1} bytes`);
  return await readAll(context, file, [['blksize', String(file.size + 1)]], 1);
}

async function windowedEnds(context: CheckContext): Promise<Verdict> {
  if (!context.offers.windowsize) return notOffered('the server does not grant windowsize');
  const windows = [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2];
  const windowOf = (blocks: number): number | undefined => windows.find((size) => blocks % size === 0);
  const even = evenShape(
    context.files,
    context.offers.blksize,
    (blocks) => blocks <= 10_000 && windowOf(blocks) !== undefined,
  );
  if (even === undefined) return notTried(`needs a file of ${2 * PLAIN_BLKSIZE} bytes or a multiple of it`);
  const asked = String(windowOf(even.blocks));
  const transfer = await Transfer.begin(context, {
    file: even.file,
    options: [...even.options, ['windowsize', asked]],
  });
  if (isVerdict(transfer)) return transfer;
  if (even.blocks % transfer.windowsize !== 0 || transfer.blocks !== even.blocks + 1) {
    return notTried(`the server grants windows of ${transfer.windowsize} blocks of ${transfer.blksize} bytes`);
  }
  const wrong = await transfer.finish();
  if (wrong !== undefined) return wrong;
  const shorter = context.files.filter(({ size }) => size !== undefined && size < PLAIN_BLKSIZE);
  return worst([
    pass(`${even.blocks} full blocks in windows of ${transfer.windowsize}`),
    ...(await Promise.all(shorter.map((file) => readAll(context, file, [['windowsize', '4']], 1)))),
  ]);
}

async function firstNumber(context: CheckContext): Promise<Verdict> {
  const plain = await Transfer.begin(context, { file: context.file });
  if (isVerdict(plain)) return plain;
  const options = context.anyOption;
  if (options === undefined) return pass();
  const negotiated = await Transfer.begin(context, { file: context.file, options });
  return isVerdict(negotiated) ? negotiated : pass();
}

export const BLOCK_CHECKS: readonly Check[] = [
  {
    number: 51,
    title: 'A repeated ACK 0 draws no second DATA 1',
    clause: 'RFC 1123 §4.2.3.1',
    run: repeatedAckZero,
  },
  {
    number: 58,
    title: 'An empty file is one empty block',
    clause: 'RFC 1350 §6',
    run: emptyFile,
  },
  {
    number: 59,
    title: 'A file that consists of full blocks ends with an empty block',
    clause: 'RFC 1350 §6',
    run: evenFile,
  },
  {
    number: 60,
    title: 'A file smaller than a block is one block',
    clause: 'RFC 1350 §6',
    run: shortFile,
  },
  {
    number: 61,
    title: 'The same three statements hold with windows, even if the empty block has a window of its own',
    clause: 'RFC 7440 §4',
    run: windowedEnds,
  },
  {
    number: 62,
    title: 'The first block is number 1',
    clause: 'RFC 1350 §5',
    run: firstNumber,
  },
  {
    number: 67,
    title: 'A repeated ACK of the previous block draws no packet',
    clause: 'RFC 1123 §4.2.3.1',
    run: repeatedAck,
  },
  {
    number: 68,
    title: 'An ACK of a block that was not sent yet is ignored',
    clause: 'RFC 1350 §2',
    run: earlyAck,
  },
  {
    number: 69,
    title: 'An ACK of a block acknowledged long ago is ignored',
    clause: 'RFC 1123 §4.2.3.1',
    run: oldAck,
  },
  {
    number: 75,
    title: 'Doubled ACKs do not double the blocks that are sent',
    clause: 'RFC 1123 §4.2.3.1',
    run: doubledAcks,
  },
];
