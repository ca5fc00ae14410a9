/** Statements 70 to 73: a server's reaction to losses, in windows and without. */
import type { Check } from './check.ts';
import type { CheckContext } from './check-context.ts';
import { isWhole } from './files.ts';
import { describe, type Options, type Reply } from './packets.ts';
import { Transfer } from './transfer.ts';
import { fail, isVerdict, notOffered, notTried, pass, type Verdict } from './verdict.ts';

const WINDOW = 8;
/** The last block taken before a simulated loss, in the second window. */
const LOSS_AT = WINDOW + 3;
/**
 * Limit on the blocks sent in reply to repeated early ACKs, in windows: the rest of the current one, the next one, and
 * one from the timer.
 */
const MAX_WINDOWS = 3;

/** Begins a transfer in windows, up to a simulated loss in mid-window: the blocks before it have been taken. */
async function untilLoss(context: CheckContext): Promise<Transfer | Verdict> {
  if (!context.offers.windowsize) return notOffered('the server does not grant windowsize');
  const shape = context.shape(4 * WINDOW);
  if (isVerdict(shape)) return shape;
  const options: Options = [...shape.options, ['windowsize', String(WINDOW)]];
  const transfer = await Transfer.begin(context, { file: shape.file, options, nudges: false });
  if (isVerdict(transfer)) return transfer;
  if (transfer.windowsize < 3) return notTried(`the server grants windows of ${transfer.windowsize}`);
  return transfer.needs(4 * WINDOW) ?? (await transfer.take(LOSS_AT - 1)) ?? transfer;
}

async function fullWindowAfterLoss(context: CheckContext): Promise<Verdict> {
  const transfer = await untilLoss(context);
  if (isVerdict(transfer)) return transfer;
  await transfer.acknowledge();
  // The server sends a whole window for this one ACK.
  const wrong = await transfer.take(transfer.windowsize);
  return wrong === undefined ? pass() : fail(`after ACK ${LOSS_AT} in mid-window: ${wrong.detail}`);
}

async function repeatedEarlyAck(context: CheckContext): Promise<Verdict> {
  const transfer = await untilLoss(context);
  if (isVerdict(transfer)) return transfer;
  const { exchange, windowsize } = transfer;
  exchange.forget();
  for (let count = 0; count < windowsize; count++) {
    await exchange.ack(LOSS_AT);
    await exchange.pause(context.waits.stepMs);
  }
  transfer.acked = LOSS_AT;
  const replies = await exchange.during(context.waits.quietMs / 4);
  const blocks = replies.filter(({ kind }) => kind === 'DATA').length;
  if (blocks > MAX_WINDOWS * windowsize) {
    return fail(`${windowsize} equal ACKs in mid-window drew ${blocks} blocks, with windows of ${windowsize}`);
  }
  // One more ACK, so that the transfer can go on.
  await exchange.ack(LOSS_AT);
  return blocks > 0 ? pass(`${blocks} blocks`) : fail('an ACK in mid-window drew nothing');
}

async function lastBlockLost(context: CheckContext): Promise<Verdict> {
  const file = context.wholeFile;
  if (file === undefined || !isWhole(file)) return notTried('needs a file small enough to be read');
  // Opens with an OACK where possible: a server may send DATA 1 to an unproven address only once for each request.
  const options: Options = context.offers.blksize ? [['blksize', '512']] : [];
  const transfer = await Transfer.begin(context, { file, options });
  if (isVerdict(transfer)) return transfer;
  const wrong = await transfer.take(Number.POSITIVE_INFINITY);
  if (wrong !== undefined) return wrong;
  const { exchange, taken } = transfer;
  exchange.forget();
  let instead: Reply | undefined;
  const copy = await exchange.until((reply) => {
    instead ??= reply;
    return transfer.isBlock(reply, taken);
  }, context.waits.resendMs);
  if (copy === undefined) return fail(`expected the last block again, got ${describe(instead)}`);
  const other = transfer.judge(taken, copy);
  if (other !== undefined) return other;
  await transfer.acknowledge();
  return context.offers.windowsize ? await lastWindowLost(context) : pass();
}

/** Loses the last block; the ACK of the one before it shows the loss. */
async function lastWindowLost(context: CheckContext): Promise<Verdict> {
  const shape = context.shape(2);
  if (isVerdict(shape)) return pass('in lockstep; no file has two blocks');
  const options: Options = [...shape.options, ['windowsize', '4']];
  const transfer = await Transfer.begin(context, { file: shape.file, options });
  if (isVerdict(transfer)) return transfer;
  const { blocks } = transfer;
  if (blocks === undefined || blocks < 2 || blocks > 20_000) return pass('in lockstep; no file has only a few windows');
  const wrong = await transfer.take(blocks - 2);
  if (wrong !== undefined) return wrong;
  const { exchange } = transfer;
  await exchange.pause(context.waits.quietMs / 4);
  exchange.forget();
  await transfer.acknowledge();
  const last = await exchange.until((reply) => transfer.isBlock(reply, blocks), context.waits.resendMs);
  return last === undefined ? fail('the last block of the last window was not sent again') : pass();
}

/** Loses a whole window: only the server's timer can help. */
async function windowLost(context: CheckContext): Promise<Verdict> {
  const windowsize = context.offers.windowsize ? 4 : 1;
  const shape = context.shape(3 * windowsize);
  if (isVerdict(shape)) return shape;
  const options: Options =
    windowsize === 1 ? shape.options : [...shape.options, ['windowsize', String(windowsize)] as const];
  const transfer = await Transfer.begin(context, { file: shape.file, options });
  if (isVerdict(transfer)) return transfer;
  const wrong = transfer.needs(2 * transfer.windowsize + 1) ?? (await transfer.take(transfer.windowsize - 1));
  if (wrong !== undefined) return wrong;
  const { exchange, taken } = transfer;
  await transfer.acknowledge();
  for (const what of ['sent', 'sent again']) {
    const block = await exchange.until((reply) => transfer.isBlock(reply, taken + 1), context.waits.resendMs);
    if (block === undefined)
      return fail(`block ${taken + 1} was not ${what} within ${context.waits.resendMs / 1000} s`);
  }
  return (await transfer.take(transfer.windowsize + 1)) ?? pass();
}

export const WINDOW_CHECKS: readonly Check[] = [
  {
    number: 70,
    title: 'After an ACK in mid-window, a full window follows, starting with the next block',
    clause: 'RFC 7440 §4',
    run: fullWindowAfterLoss,
  },
  {
    number: 71,
    title: 'Equal ACKs in mid-window restart the window once, not once each',
    clause: 'RFC 1123 §4.2.3.1; UEFI firmware sends them',
    run: repeatedEarlyAck,
  },
  {
    number: 72,
    title: 'A lost last block is retransmitted, in lockstep and in a window',
    clause: 'RFC 1350 §2, §6',
    run: lastBlockLost,
  },
  {
    number: 73,
    title: 'The first block of a lost window is retransmitted without an ACK',
    clause: 'RFC 1350 §2, RFC 7440 §4',
    run: windowLost,
  },
];
