/** Statements 63 to 65: the block number after 65535. Small blocks reach it soon. */
import type { Check } from './check.ts';
import type { CheckContext } from './check-context.ts';
import { bombard } from './blocks.ts';
import { bySize, MIN_BLKSIZE, type OfferedFile, PLAIN_BLKSIZE } from './files.ts';
import type { Options } from './packets.ts';
import { Transfer } from './transfer.ts';
import { fail, isVerdict, notTried, pass, type Verdict } from './verdict.ts';

const TURN = 65_536;

/** Begins a transfer of at least `blocks` blocks. */
async function longTransfer(context: CheckContext, blocks: number, windowsize: number): Promise<Transfer | Verdict> {
  const { offers, files } = context;
  const blksize = offers.blksize ? MIN_BLKSIZE : PLAIN_BLKSIZE;
  const least = (blocks - 1) * blksize;
  const enough = ({ size }: OfferedFile): boolean => size !== undefined && size >= least;
  const file = bySize(files).find(enough);
  if (file === undefined) return notTried(`needs a file of ${least} bytes`);
  const small: Options = offers.blksize ? [['blksize', String(blksize)]] : [];
  let transfer = offers.windowsize
    ? await Transfer.begin(context, { file, options: [...small, ['windowsize', String(windowsize)]] })
    : await Transfer.begin(context, { file, options: small });
  // Some servers have no room for the OACK of two options beside blocks this small.
  if (isVerdict(transfer) && offers.windowsize) transfer = await Transfer.begin(context, { file, options: small });
  if (isVerdict(transfer)) return transfer;
  return transfer.needs(blocks) ?? transfer;
}

async function past(context: CheckContext, blocks: number): Promise<Verdict> {
  const transfer = await longTransfer(context, blocks, 32);
  if (isVerdict(transfer)) return transfer;
  return (await transfer.take(blocks - 1)) ?? pass(`${blocks} blocks of ${transfer.blksize} bytes`);
}

async function aroundTheWrap(context: CheckContext): Promise<Verdict> {
  const transfer = await longTransfer(context, TURN + 64, 7);
  if (isVerdict(transfer)) return transfer;
  // ACKs of exactly 65535 and 0, at whatever place in the window they fall.
  for (const stop of [TURN - 1, TURN]) {
    const wrong = await transfer.take(stop - transfer.taken);
    if (wrong !== undefined) return wrong;
    await transfer.acknowledge();
  }
  const wrong = await transfer.take(transfer.windowsize + 2);
  if (wrong !== undefined) return wrong;
  const old = TURN - 6;
  const replies = await bombard(context, transfer.exchange, old);
  const back = replies.find(({ kind, number }) => kind === 'DATA' && number > TURN / 2);
  if (back !== undefined) return fail(`ACK ${old} from before the wrap drew DATA ${back.number}`);
  return (await transfer.take(2 * transfer.windowsize)) ?? pass();
}

export const WRAP_CHECKS: readonly Check[] = [
  {
    number: 63,
    title: 'Block 65535 is followed by block 0',
    clause: 'nearly all clients expect it; RFC 1350 does not specify it',
    run: (context) => past(context, TURN + 64),
  },
  {
    number: 64,
    title: 'Block numbers wrap a second and a third time',
    clause: 'one server was seen to fail after the first wrap',
    run: (context) => past(context, 3 * TURN + 64),
  },
  {
    number: 65,
    title: 'ACKs of 65535 and 0 count exactly, and an ACK from before the wrap is ignored',
    clause: 'RFC 1350 §2',
    run: aroundTheWrap,
  },
];
