/**
 * The words shared by both ends of a transfer. A session decides what should happen next; it holds no content, reads
 * no clock, does no IO. Time comes in as `now`: whole milliseconds of a clock that never steps back.
 */
import type { Rollover } from '../protocol/block.ts';
import type { ErrorCode } from '../protocol/opcode.ts';
import type { Packet } from '../protocol/packet.ts';

export const OUTCOMES = [
  /** The last block was acknowledged (sender), or arrived and was acknowledged (receiver). */
  'complete',
  /** Every block was sent and the client fell silent: its last ACK was lost, or never sent. A success. */
  'completeUnconfirmed',
  /** The client wanted the size or the existence of the file: ERROR 0 or 8 right after OACK or DATA 1. Not a failure. */
  'probe',
  /** The peer sent an ERROR in mid-transfer. */
  'clientError',
  /** Nothing, or nothing new, came within the patience, or the transfer is 24 days old. */
  'timeout',
  /** The peer's host says nobody listens on its port. */
  'unreachable',
  /** We ended it: shutdown, replaced by a newer request, or a fault of ours. */
  'aborted',
  /** The server refused the request (receiver only). */
  'refused',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** What a session tells its driver to do. Blocks are unwrapped numbers; offsets and lengths are bytes of the file. */
export interface Steps {
  /** Send the opening control packet: the OACK of a sender, the request of a receiver. */
  opening(): void;
  /** Send DATA `block` with file[offset, offset + length). */
  data(block: number, offset: number, length: number): void;
  ack(block: number): void;
  /** Send one ERROR. It is never repeated and never answered (RFC 1350 §7). */
  error(code: ErrorCode, message: string): void;
  /** Keep the payload of the packet at hand: it belongs at `offset` in the file. */
  keep(offset: number): void;
}

export interface Session {
  /** Sends the first packet. Called once. */
  start(now: number, out: Steps): void;
  onPacket(packet: Packet, now: number, out: Steps): void;
  /** To be called once `deadline` has passed; too early or too often does no harm. */
  onDeadline(now: number, out: Steps): void;
  /** The peer's host reported that nobody listens (ICMP port unreachable). */
  onUnreachable(now: number): void;
  /** Ends it from our side. @param message what the peer is told, NETASCII; default: that we are stopping. */
  abort(out: Steps, message?: string): void;
  /** When onDeadline wants to be called, in milliseconds; a driver may find an earlier one after any call. */
  readonly deadline: number;
  /** Set once, at the end; from then on the session does nothing. */
  readonly outcome: Outcome | undefined;
  readonly tally: Tally;
  /** How block numbers go on after 65535. A receiver knows it when the server has answered. */
  readonly rollover: Rollover;
  /** Another number whenever something has changed that those who watch should know at once. */
  readonly phase: number;
}

/** What happened in a transfer, counted as it happens. */
export interface Tally {
  /** Distinct blocks sent (sender) or kept (receiver), and their payload in bytes. */
  blocks: number;
  bytes: number;
  /** Packets sent again: DATA and openings (sender), ACKs and requests (receiver). */
  retransmits: number;
  /** Of these, DATA (sender). */
  dataRetransmits: number;
  /** ACKs that did not advance (sender), DATA that was not the block expected (receiver). */
  stale: number;
  /** ACKs for what was never sent, before the address was proven (sender). */
  impossible: number;
  /** A round trip just measured, in milliseconds (sender); whoever takes it writes -1, which stands for none. */
  roundTripMs: number;
  /** Times the retransmission timer ran out. */
  timeouts: number;
  /** The peer's ERROR, if it sent one. */
  errorCode: number | undefined;
  errorText: string;
}

export function createTally(): Tally {
  return {
    blocks: 0,
    bytes: 0,
    retransmits: 0,
    dataRetransmits: 0,
    stale: 0,
    impossible: 0,
    roundTripMs: -1,
    timeouts: 0,
    errorCode: undefined,
    errorText: '',
  };
}
