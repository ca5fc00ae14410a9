/** Statements 76, 79 and 81 to 83: clients that fall silent, break off, stand still or send unexpected packets. */
import type { Check } from './check.ts';
import type { CheckContext } from './check-context.ts';
import { ack, data, describe, error, oack, request } from './packets.ts';
import { Transfer } from './transfer.ts';
import { fail, isVerdict, pass, type Verdict } from './verdict.ts';

/** Begins a transfer with two blocks taken, the second unacknowledged. */
async function underWay(context: CheckContext): Promise<Transfer | Verdict> {
  const shape = context.shape(6);
  if (isVerdict(shape)) return shape;
  const transfer = await Transfer.begin(context, shape);
  if (isVerdict(transfer)) return transfer;
  return transfer.needs(6) ?? (await transfer.take(1)) ?? transfer;
}

/** Plays a client that sends a request and then falls silent. */
async function givesUp(context: CheckContext): Promise<Verdict> {
  const { capMs, capQuietMs } = context.waits;
  const transfer = await Transfer.open(context, { file: context.file });
  if (isVerdict(transfer)) return transfer;
  const start = performance.now();
  let sends = 1;
  let lastMs = 0;
  for (;;) {
    const reply = await transfer.exchange.next(capQuietMs);
    if (reply === undefined) return pass(`${sends} sends, the last after ${(lastMs / 1000).toFixed(1)} s`);
    if (reply.kind === 'ERROR') return pass(`${sends} sends, then ${describe(reply)}`);
    sends++;
    lastMs = performance.now() - start;
    if (lastMs >= capMs) return fail(`still sending after ${capMs / 1000} s, ${sends} times by then`);
  }
}

async function brokenOff(context: CheckContext): Promise<Verdict> {
  const transfer = await underWay(context);
  if (isVerdict(transfer)) return transfer;
  const { exchange } = transfer;
  await exchange.send(error(0, 'Not wanted any more'));
  exchange.ended();
  // Packets already on their way do not count, except an ERROR.
  const answer = await exchange.until(({ kind }) => kind === 'ERROR', context.waits.quietMs / 4);
  if (answer !== undefined) return fail(`an ERROR was answered with ${describe(answer)}`);
  const more = await exchange.next(context.waits.closedMs);
  return more === undefined ? pass() : fail(`expected silence after an ERROR, got ${describe(more)}`);
}

async function outOfPlace(context: CheckContext): Promise<Verdict> {
  const transfer = await underWay(context);
  if (isVerdict(transfer)) return transfer;
  const { exchange } = transfer;
  const intruders = [data(2), oack([['blksize', '512']]), request(context.file.name), Buffer.from([0, 9, 0, 2])];
  for (const bytes of intruders) await exchange.send(bytes);
  const other = await exchange.until((reply) => !transfer.isBlock(reply, 2), context.waits.quietMs / 2);
  if (other?.kind === 'ERROR' && other.number === 4) return pass('answered with ERROR 4');
  if (other !== undefined) return fail(`expected silence or ERROR 4, got ${describe(other)}`);
  return (await transfer.take(2)) ?? pass();
}

async function oddAcks(context: CheckContext): Promise<Verdict> {
  const transfer = await underWay(context);
  if (isVerdict(transfer)) return transfer;
  const { exchange } = transfer;
  for (const bytes of [ack(2).subarray(0, 2), ack(2).subarray(0, 3)]) await exchange.send(bytes);
  const early = await exchange.until((reply) => !transfer.isBlock(reply, 2), context.waits.quietMs / 4);
  if (early !== undefined) return fail(`an ACK of less than four bytes drew ${describe(early)}`);
  await exchange.send(Buffer.concat([ack(2), Buffer.from([4])]));
  return (await transfer.take(2)) ?? pass();
}

async function standsStill(context: CheckContext): Promise<Verdict> {
  const transfer = await underWay(context);
  if (isVerdict(transfer)) return transfer;
  await transfer.exchange.pause(context.waits.stallMs);
  transfer.exchange.forget();
  const wrong = await transfer.take(3);
  return wrong === undefined ? pass() : fail(`after ${context.waits.stallMs / 1000} s of silence: ${wrong.detail}`);
}

export const END_CHECKS: readonly Check[] = [
  {
    number: 76,
    title: 'A transfer ends if its client never answers, in silence or with one ERROR',
    clause: 'RFC 7440 §4',
    run: givesUp,
  },
  {
    number: 79,
    title: 'An ERROR from the client ends the transfer and is not answered',
    clause: 'RFC 1350 §7',
    run: brokenOff,
  },
  {
    number: 81,
    title: "DATA, OACK and requests at a transfer's port are ignored, or answered with ERROR 4",
    clause: 'RFC 1350 §4',
    run: outOfPlace,
  },
  {
    number: 82,
    title: 'ACKs that are too short or too long do not disturb a transfer',
    clause: 'RFC 1350 §5; Windows sends one byte more',
    run: oddAcks,
  },
  {
    number: 83,
    title: 'A client that pauses for ten seconds gets the rest of the file afterwards',
    clause: 'GRUB pauses to process what it has received',
    run: standsStill,
  },
];
