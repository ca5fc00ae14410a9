/** Rules that must hold once a virtual world has been played. */
import { blockCount } from '../../src/protocol/block.ts';
import { type Download, type Played, type Sending, contentOf, play } from './virtual-world.ts';
import type { Conversation } from './wire-witness.ts';
import { type Draw, type Phase, drawWorld } from './world-draw.ts';

const SUCCESS: readonly (string | undefined)[] = ['complete', 'completeUnconfirmed'];
/** Longest delay of a timer, including jitter. */
const SLOWEST_TIMER_MS = 5000;
/** Longest silence before a sender gives up, unproven or in mid-file. After the last block it gives up sooner. */
const SILENCE_MS = 60_000;

/** Plays one phase of a seed. @returns the problems, empty if there are none. */
export async function explore(seed: number, phase: Phase): Promise<readonly string[]> {
  const draw = drawWorld(seed, phase);
  const played = await play(draw);
  return played.violations.length > 0 ? played.violations : judge(draw, played);
}

/** Instructions to replay a failure. */
export function replayHint(seed: number, phase: Phase): string {
  return `seed ${seed}, ${phase}: REVEILLE_SEED=${seed} npx vitest run test/engine/virtual-network.test.ts`;
}

export function judge(draw: Draw, played: Played): string[] {
  const problems: string[] = [];
  for (const sending of played.sendings) {
    const { report, client } = sending;
    if (report === undefined) problems.push(`the sender to ${client} has no report`);
    else if (report.fault !== undefined) problems.push(`the sender to ${client} threw: ${report.fault}`);
  }
  for (const download of played.downloads) {
    if (download.report?.fault !== undefined) problems.push(`${download.name} threw: ${download.report.fault}`);
    if (draw.phase !== 'flips') judgeDownload(draw, played, download, problems);
  }
  if (draw.phase === 'blackout') judgeLiveness(draw, played, problems);
  return problems;
}

function judgeDownload(draw: Draw, played: Played, download: Download, problems: string[]): void {
  const { name, report, misplaced, client } = download;
  if (misplaced !== undefined) problems.push(`${name}: ${misplaced}`);
  const sendings = played.sendings.filter((sending) => sending.client === client);
  const conversations = played.conversations.filter((each) => each.client === client);
  // Loss may silence a client for so long that its sender gives up. Only then may a download fail.
  const silenced = sendings.some(({ endedAt }, index) => {
    const wire = conversations[index];
    return wire?.heard === true && endedAt - wire.clientHeardAt >= SILENCE_MS;
  });
  const mustComplete = draw.phase === 'faults' ? !silenced : sendings.some(({ survives }) => survives);
  if (mustComplete && report?.outcome !== 'complete') problems.push(`${name} ended as ${report?.outcome}`);
  if (report?.outcome === 'complete' && Buffer.compare(download.bytes, contentOf(download.draw)) !== 0) {
    problems.push(`${name} has other bytes than were sent`);
  }
  if (conversations.length !== sendings.length) {
    problems.push(`${sendings.length} senders held ${conversations.length} conversations with ${name}`);
    return;
  }
  // Late copies of a request may start senders that no client wants; a sender that the client has answered is wanted.
  const wanted = sendings.filter(({ sender }) => sender.proven);
  if (wanted.length > 1) problems.push(`${name} answered ${wanted.length} senders`);
  // A file of one block without options draws only one ACK. If that is lost, nothing ever proves the client.
  const lone = conversations.some((each) => !each.oack && each.highest === 1 && each.heard);
  if (mustComplete && wanted.length === 0 && !lone) problems.push(`${name} answered no sender`);
  for (const [index, sending] of sendings.entries()) {
    if (sending.sender.proven) judgeSending(draw, sending, conversations[index]!, download, problems);
  }
}

function judgeSending(draw: Draw, sending: Sending, wire: Conversation, download: Download, problems: string[]): void {
  const { report, sender, negotiation } = sending;
  const mustComplete = draw.phase === 'faults' || sending.survives;
  if (mustComplete && !SUCCESS.includes(report?.outcome)) {
    problems.push(`the sender to ${download.name} ended as ${report?.outcome}`);
  }
  const { blksize, windowsize } = negotiation.settled;
  const needed = blockCount(download.draw.size, blksize);
  // Each ACK that advances releases a window, each timeout a block; nothing else releases data. Before the first such
  // ACK there is DATA 1, unless there was an OACK.
  const allowed = windowsize * wire.advances + sender.tally.timeouts + (wire.oack ? 0 : wire.unprovenSends);
  if (wire.dataSent > allowed) problems.push(`${wire.dataSent} DATA sent to ${download.name}, ${allowed} allowed`);
  if (draw.phase !== 'faults') return;
  const most = mostData(draw, needed, windowsize);
  if (wire.dataSent > most)
    problems.push(`${wire.dataSent} DATA sent to ${download.name} for ${needed}, at most ${most}`);
}

/**
 * Maximum number of DATA packets where `needed` would do without faults. A displaced block costs the blocks sent after
 * it, at most a window. So does a second copy of a block, because the receiver answers it in mid-window. In lockstep
 * without displaced blocks none is sent twice, however many copies the network makes.
 */
export function mostData(draw: Draw, needed: number, windowsize: number): number {
  const { loss, corrupt, reorder, jitterMs, duplicate } = draw.faults;
  const copies = windowsize > 1 ? duplicate : 0;
  const displaced = jitterMs > 0 ? 1 : Math.min(1, loss + corrupt + reorder + copies);
  if (displaced === 0) return needed;
  return Math.ceil(needed * (1 + displaced * (3 + 1.5 * windowsize)) + 8 * windowsize + 32);
}

/** Checks that every transfer still alive ends soon after the network has recovered. */
function judgeLiveness(draw: Draw, played: Played, problems: string[]): void {
  const { healedAt } = played;
  if (healedAt === undefined) return;
  const windowMs = 2 * draw.faults.delayMs + 80;
  for (const download of played.downloads) {
    const { size, startMs, lingerMs, wish } = download.draw;
    const windows = blockCount(size, Math.min(wish.blksize ?? 512, draw.limits.maxBlksize)) + 2;
    const from = Math.max(healedAt, startMs);
    // One resend may reach a sender that waits for its own timer. If that sender has ended, the next resend draws an
    // error.
    const most = from + 2 * SLOWEST_TIMER_MS + windows * windowMs + lingerMs;
    if (download.endedAt > most) problems.push(`${download.name} ended at ${download.endedAt} ms, bound ${most}`);
    for (const sending of played.sendings) {
      if (sending.client !== download.client) continue;
      const latest = most + SILENCE_MS;
      if (sending.endedAt > latest) {
        problems.push(`the sender to ${download.name} ended at ${sending.endedAt} ms, bound ${latest}`);
      }
    }
  }
}
