/**
 * A sender, a receiver and a channel between them, on virtual time. The channel keeps packets in order, except for
 * packets with a fault, which are identified by their position among all packets sent.
 */
import { expect } from 'vitest';
import type { ErrorCode } from '../../src/protocol/opcode.ts';
import type { Packet } from '../../src/protocol/packet.ts';
import { Receiver } from '../../src/session/receiver.ts';
import { Sender } from '../../src/session/sender.ts';
import type { Steps } from '../../src/session/session.ts';
import { ack, data, oack } from '../support/bytes.ts';
import { packetOf } from './stage.ts';

/** A `late` packet is overtaken by the packets right after it, a `stale` packet also by timers. */
export const FAULTS = ['drop', 'twice', 'late', 'stale'] as const;
export type Fault = (typeof FAULTS)[number];

export interface WorldPlan {
  readonly size: number;
  readonly blksize: number;
  readonly windowsize: number;
  readonly oack: boolean;
  /** Fault for the packet sent as number `key`, counted from 0 over both directions. */
  readonly faults: ReadonlyMap<number, Fault>;
}

export interface WorldReport {
  /** Every packet sent, in order: `s data 1`, `r ack 1`. */
  readonly sent: readonly string[];
  readonly kept: readonly string[];
  readonly outcomes: readonly [sender: string | undefined, receiver: string | undefined];
  readonly endedAt: number;
}

const TRIP_MS = 1;
const LATE_MS = 4;
const STALE_MS = 130;
const LINGER_MS = 3000;

export function runWorld(plan: WorldPlan): WorldReport {
  const { size, blksize, windowsize, faults } = plan;
  const sent: string[] = [];
  const kept: string[] = [];
  const flying: { at: number; order: number; arrive: () => void }[] = [];
  let now = 0;
  let order = 0;
  let started = false;
  let incoming: Packet | undefined;
  // Highest block whose ACK has reached the sender, tracked independently of the sender.
  let acknowledged = 0;

  const fly = (what: string, arrive: () => void) => {
    const fault = faults.get(sent.length);
    sent.push(what);
    if (sent.length > 500) throw new Error(`Too many packets: ${sent.slice(0, 60).join(', ')}`);
    if (fault === 'drop') return;
    const late = fault === 'late' ? LATE_MS : fault === 'stale' ? STALE_MS : 0;
    flying.push({ at: now + TRIP_MS + late, order: order++, arrive });
    if (fault === 'twice') flying.push({ at: now + TRIP_MS, order: order++, arrive });
  };

  const sender = new Sender({
    size,
    blksize,
    windowsize,
    rollover: 0,
    timeoutMs: 0,
    oack: plan.oack,
    seed: 11,
    patienceMs: 60_000,
  });
  const wish = plan.oack ? { blksize, windowsize } : {};
  const receiver = new Receiver({ wish, seed: 12, patienceMs: 60_000, lingerMs: LINGER_MS });
  const toReceiver = (packet: Packet) => () => {
    if (receiver.outcome !== undefined) return;
    incoming = packet;
    receiver.onPacket(packet, now, fromReceiver);
  };

  const fromSender: Steps = {
    opening: () =>
      fly('s oack', toReceiver(packetOf(oack({ blksize: String(blksize), windowsize: String(windowsize) })))),
    data: (block, offset, length) => {
      if (offset !== (block - 1) * blksize || length !== Math.min(blksize, size - offset))
        throw new Error('A wrong part');
      if (block > acknowledged + windowsize) throw new Error(`Block ${block} with ${acknowledged} acknowledged`);
      // The payload contains the block number, so that kept blocks can be told apart.
      fly(`s data ${block}`, toReceiver(packetOf(data(block, new Uint8Array(length).fill(block)))));
    },
    ack: () => expect.fail('an ACK from the sender'),
    acknowledged: () => {},
    keep: () => expect.fail('a payload kept by the sender'),
    error: (code) => fly(`s error ${code}`, () => {}),
  };

  const fromReceiver: Steps = {
    opening: () =>
      fly('r request', () => {
        if (started) sender.onRequestRepeated(now, fromSender);
        else sender.start(now, fromSender);
        started = true;
      }),
    ack: (block) =>
      fly(`r ack ${block}`, () => {
        acknowledged = Math.max(acknowledged, block);
        sender.onPacket(packetOf(ack(block)), now, fromSender);
      }),
    keep: (offset) => {
      const { bytes, start, end } = incoming!;
      kept.push(`${offset}+${end - start}: ${[...new Set(bytes.subarray(start, end))].join()}`);
    },
    data: () => expect.fail('DATA from the receiver'),
    acknowledged: () => expect.fail('an ACK at the receiver'),
    error: (code: ErrorCode) => fly(`r error ${code}`, () => {}),
  };

  receiver.start(now, fromReceiver);
  for (let turns = 0; ; turns++) {
    if (turns > 5000) throw new Error(`It does not end: ${sent.slice(0, 60).join(', ')}`);
    flying.sort((a, b) => a.at - b.at || a.order - b.order);
    const arrival = flying[0]?.at ?? Number.POSITIVE_INFINITY;
    const senderAt = started && sender.outcome === undefined ? sender.deadline : Number.POSITIVE_INFINITY;
    const receiverAt = receiver.outcome === undefined ? receiver.deadline : Number.POSITIVE_INFINITY;
    const at = Math.min(arrival, senderAt, receiverAt);
    if (at === Number.POSITIVE_INFINITY) break;
    now = Math.max(now, at);
    if (arrival === at) flying.shift()!.arrive();
    else if (senderAt === at) sender.onDeadline(now, fromSender);
    else receiver.onDeadline(now, fromReceiver);
  }
  return { sent, kept, outcomes: [sender.outcome, receiver.outcome], endedAt: now };
}
