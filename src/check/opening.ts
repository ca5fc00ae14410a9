/** Statements 49 to 57, 80 and 88: the beginning of a transfer, and the packets that belong to it. */
import type { Check } from './check.ts';
import { type CheckContext, isServed } from './check-context.ts';
import type { Exchange } from './exchange.ts';
import { ack, describe, error, type Options, type Reply, request } from './packets.ts';
import { Transfer } from './transfer.ts';
import { fail, isVerdict, notOffered, notTried, pass, type Verdict } from './verdict.ts';

const NO_OPTIONS = 'the server grants no option';

interface Opened {
  readonly exchange: Exchange;
  readonly oack: Reply;
}

/** Sends a request that must draw an OACK. */
async function openOack(context: CheckContext): Promise<Opened | Verdict> {
  const options = context.anyOption;
  if (options === undefined) return notOffered(NO_OPTIONS);
  const exchange = await context.exchange();
  const oack = await exchange.ask(request(context.file.name, options));
  if (oack?.kind !== 'OACK') return fail(`expected an OACK, got ${describe(oack)}`);
  return { exchange, oack };
}

/** Waits for the OACK to be sent again while it is unacknowledged. */
async function awaitCopy({ exchange }: Opened, context: CheckContext): Promise<Reply | Verdict> {
  const copy = await exchange.until(({ kind }) => kind === 'OACK', context.waits.resendMs);
  return copy ?? fail(`the OACK was not sent again within ${context.waits.resendMs / 1000} s`);
}

function isFirstBlock(reply: Reply): boolean {
  return reply.kind === 'DATA' && reply.number === 1;
}

async function acknowledgeOack({ exchange }: Opened, context: CheckContext): Promise<Verdict> {
  await exchange.ack(0);
  const reply = await exchange.until(({ kind }) => kind !== 'OACK', context.waits.resendMs);
  return reply !== undefined && isFirstBlock(reply)
    ? pass()
    : fail(`expected DATA 1 after ACK 0, got ${describe(reply)}`);
}

async function noDataBeforeAck(context: CheckContext): Promise<Verdict> {
  const opened = await openOack(context);
  if (isVerdict(opened)) return opened;
  const early = await opened.exchange.until(({ kind }) => kind !== 'OACK', context.waits.closedMs);
  return early === undefined ? pass() : fail(`expected no DATA before ACK 0, got ${describe(early)}`);
}

async function lostOack(context: CheckContext): Promise<Verdict> {
  const opened = await openOack(context);
  if (isVerdict(opened)) return opened;
  const copy = await awaitCopy(opened, context);
  if (isVerdict(copy)) return copy;
  return copy.bytes.equals(opened.oack.bytes)
    ? pass()
    : fail(`expected the OACK unchanged, got ${describe(copy)} after ${describe(opened.oack)}`);
}

async function lostAck(context: CheckContext): Promise<Verdict> {
  const opened = await openOack(context);
  if (isVerdict(opened)) return opened;
  const copy = await awaitCopy(opened, context);
  return isVerdict(copy) ? copy : await acknowledgeOack(opened, context);
}

async function otherAck(context: CheckContext): Promise<Verdict> {
  const opened = await openOack(context);
  if (isVerdict(opened)) return opened;
  await opened.exchange.ack(5);
  const reply = await opened.exchange.until(({ kind }) => kind !== 'OACK', context.waits.quietMs / 2);
  if (reply !== undefined) return fail(`expected no block for ACK 5 before ACK 0, got ${describe(reply)}`);
  // A server may take such an ACK for a guess and end the transfer, or go on waiting for ACK 0: neither sends a block.
  await opened.exchange.ack(0);
  const next = await opened.exchange.until(({ kind }) => kind !== 'OACK', context.waits.quietMs / 2);
  const isFirst = next === undefined || (next.kind === 'DATA' && next.number === 1);
  return isFirst ? pass() : fail(`expected DATA 1 or silence for ACK 0, got ${describe(next)}`);
}

async function errorAfterOack(context: CheckContext): Promise<Verdict> {
  const opened = await openOack(context);
  if (isVerdict(opened)) return opened;
  const { exchange } = opened;
  await exchange.send(error(8, 'Size is all that was wanted'));
  exchange.ended();
  const reply = await exchange.next(context.waits.closedMs);
  return reply === undefined ? pass() : fail(`expected silence after ERROR 8, got ${describe(reply)}`);
}

async function repeatedRequest(context: CheckContext): Promise<Verdict> {
  const exchange = await context.exchange();
  const bytes = request(context.file.name);
  await exchange.send(bytes);
  await exchange.send(bytes);
  const replies = await exchange.during(Math.max(context.waits.quietMs * 2, context.waits.stepMs));
  const ports = new Set(replies.filter(isServed).map(({ from }) => from.port));
  if (ports.size === 1) return pass();
  if (ports.size === 0) return fail(`expected the file, got ${describe(replies[0])}`);
  return fail(`expected one transfer for two equal requests from one port, got answers from ${ports.size} ports`);
}

interface SecondRequest {
  readonly name: string;
  readonly options: Options;
  isAnswer(reply: Reply): boolean;
}

/** Returns a request whose reply differs from that to a plain request for the usual file. */
function secondRequest(context: CheckContext): SecondRequest | undefined {
  const options = context.anyOption;
  if (options !== undefined) {
    const other = context.files.find(({ name }) => name !== context.file.name) ?? context.file;
    return { name: other.name, options, isAnswer: ({ kind }) => kind === 'OACK' };
  }
  const first = context.file.bytes.subarray(0, 512);
  const other = context.files.find(({ bytes }) => !bytes.subarray(0, 512).equals(first));
  if (other === undefined) return undefined;
  return {
    name: other.name,
    options: [],
    isAnswer: (reply) => isFirstBlock(reply) && reply.bytes.subarray(4).equals(other.bytes.subarray(0, 512)),
  };
}

async function anotherRequest(context: CheckContext): Promise<Verdict> {
  const second = secondRequest(context);
  if (second === undefined) return notTried('needs two files that begin with different bytes');
  const exchange = await context.exchange();
  const reply = await exchange.ask(request(context.file.name));
  if (!isServed(reply)) return fail(`expected the file, got ${describe(reply)}`);
  const former = exchange.tid;
  await exchange.send(request(second.name, second.options), context.server);
  const answer = await exchange.until((found) => second.isAnswer(found), context.waits.resendMs);
  if (answer === undefined) return fail('expected an answer to the second request from one port, got none');
  exchange.follow(answer.from);
  if (answer.kind === 'OACK') {
    await exchange.ack(0);
    const data = await exchange.until(
      (found) => isFirstBlock(found) && found.from.port === answer.from.port,
      context.waits.resendMs,
    );
    if (data === undefined) return fail('expected DATA 1 of the second transfer, got silence');
  }
  if (former.port === answer.from.port) return pass('both transfers use one port of the server');
  exchange.forget();
  const stray = await exchange.until(({ from }) => from.port === former.port, context.waits.closedMs);
  return stray === undefined
    ? pass()
    : fail(`expected the first transfer to be over, got ${describe(stray)} from its port`);
}

async function twoPorts(context: CheckContext): Promise<Verdict> {
  const shape = context.shape(4);
  if (isVerdict(shape)) return shape;
  const both = await Promise.all([Transfer.begin(context, shape), Transfer.begin(context, shape)]);
  for (let block = 2; block <= 4; block++) {
    for (const transfer of both) {
      if (isVerdict(transfer)) return transfer;
      const wrong = await transfer.take(1);
      if (wrong !== undefined) return wrong;
    }
  }
  return pass();
}

/** A stranger's packets must neither move the transfer nor draw anything but ERROR 5. */
async function stranger(context: CheckContext): Promise<Verdict> {
  const shape = context.shape(5);
  if (isVerdict(shape)) return shape;
  const transfer = await Transfer.begin(context, shape);
  if (isVerdict(transfer)) return transfer;
  const other = await context.exchange();
  await other.send(ack(1), transfer.exchange.tid);
  const answer = await other.next(context.waits.quietMs);
  if (answer !== undefined && !(answer.kind === 'ERROR' && answer.number === 5)) {
    return fail(`expected ERROR 5 or silence for an ACK from another port, got ${describe(answer)}`);
  }
  const moved = await transfer.exchange.until((reply) => transfer.isBlock(reply, 2), context.waits.quietMs / 4);
  if (moved !== undefined) return fail('an ACK from another port moved the transfer');
  await other.send(error(0, 'From a stranger'), transfer.exchange.tid);
  const toError = await other.next(context.waits.quietMs);
  if (toError !== undefined) return fail(`expected silence for an ERROR from another port, got ${describe(toError)}`);
  const wrong = await transfer.take(3);
  return wrong ?? pass(answer === undefined ? 'strangers get silence' : 'strangers get ERROR 5');
}

async function sourceAddress(context: CheckContext): Promise<Verdict> {
  const replies = await Promise.all([
    context.read([]),
    context.read([['tsize', '0']]),
    context.read([], 'reveille-check-no'),
  ]);
  const foreign = replies.find((reply) => reply !== undefined && reply.from.address !== context.server.address);
  if (replies.some((reply) => reply === undefined)) return fail('expected three answers, got silence');
  return foreign === undefined
    ? pass()
    : fail(`expected answers from ${context.server.address}, got one from ${foreign.from.address}`);
}

export const OPENING_CHECKS: readonly Check[] = [
  {
    number: 49,
    title: 'After the OACK no DATA is sent before ACK 0',
    clause: 'RFC 2347',
    run: noDataBeforeAck,
  },
  {
    number: 50,
    title: 'An OACK that is not acknowledged is retransmitted unchanged',
    clause: 'RFC 2347, RFC 1350 §2',
    run: lostOack,
  },
  {
    number: 52,
    title: 'An ERROR after the OACK ends the transfer, and nothing follows it',
    clause: 'RFC 1350 §7; firmware asks for sizes in this way',
    run: errorAfterOack,
  },
  {
    number: 53,
    title: 'Before ACK 0, other ACKs are ignored',
    clause: 'RFC 2347',
    run: otherAck,
  },
  {
    number: 54,
    title: 'If ACK 0 is lost, the ACK of the retransmitted OACK starts the transfer',
    clause: 'RFC 2347',
    run: lostAck,
  },
  {
    number: 55,
    title: 'Two equal requests from one port start one transfer',
    clause: 'RFC 1350 §4; networks copy datagrams',
    run: repeatedRequest,
  },
  {
    number: 56,
    title: 'A different request from the port of a transfer ends that transfer and starts a new one',
    clause: 'some loaders fetch all files from one port',
    run: anotherRequest,
  },
  {
    number: 57,
    title: 'Requests from two ports of one host start two transfers',
    clause: 'RFC 1350 §4',
    run: twoPorts,
  },
  {
    number: 80,
    title:
      'Packets from other ports do not disturb a transfer: they get ERROR 5 or silence, and their ERRORs get silence',
    clause: 'RFC 1350 §4',
    run: stranger,
  },
  {
    number: 88,
    title: 'Replies come from the address that the request was sent to',
    clause: 'RFC 1350 §4; clients compare it',
    run: sourceAddress,
  },
];
