/**
 * Definitions shared by both ends of a transfer. A session decides what happens next; it holds no content, reads no
 * clock, does no IO. Time comes in as `now`: whole milliseconds of a clock that never steps back.
 */
import type { Rollover } from '../protocol/block.ts';
import type { ErrorCode } from '../protocol/opcode.ts';
import type { Packet } from '../protocol/packet.ts';

export const OUTCOMES = [
  /** The last block was acknowledged (sender), or arrived and was acknowledged (receiver). */
  'complete',
  /** Every block was sent and the client fell silent: its last ACK was lost or never sent. A success. */
  'completeUnconfirmed',
  /**
   * The client only probed the size or existence of the file: ERROR 0 or 8 right after OACK or DATA 1. Not a failure.
   */
  'probe',
  /** The peer sent an ERROR in mid-transfer. */
  'clientError',
  /** The peer made no progress within the patience, or the transfer is 24 days old. */
  'timeout',
  /** The peer's host reports that its port is closed. */
  'unreachable',
  /** We ended it: shutdown, replacement by a newer request, or a fault of ours. */
  'aborted',
  /** The server refused the request (receiver only). */
  'refused',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Instructions of a session to its driver. Blocks are unwrapped numbers; offsets and lengths are bytes of the file. */
export interface Steps {
  /** Sends the opening control packet: the OACK of a sender, the request of a receiver. */
  opening(): void;
  /** Sends DATA `block` with file[offset, offset + length). */
  data(block: number, offset: number, length: number): void;
  ack(block: number): void;
  /**
   * Notes that the peer has acknowledged every block up to `block` (sender; 0: the OACK). Called before the packets that
   * the ACK lets out.
   */
  acknowledged(block: number): void;
  /** Sends one ERROR. It is never repeated and never answered (RFC 1350 §7). */
  error(code: ErrorCode, message: string): void;
  /** Keeps the payload of the current packet: it belongs at `offset` in the file. */
  keep(offset: number): void;
}

export interface Session {
  /** Sends the first packet. Called once. */
  start(now: number, out: Steps): void;
  onPacket(packet: Packet, now: number, out: Steps): void;
  /** Call once `deadline` has passed; calls too early or too often are harmless. */
  onDeadline(now: number, out: Steps): void;
  /** Call when the peer's host reports a closed port (ICMP port unreachable). */
  onUnreachable(now: number): void;
  /** Ends the transfer from our side. @param message text of the ERROR, NETASCII; default: that we are stopping. */
  abort(out: Steps, message?: string): void;
  /** When to call onDeadline, ms; any call may move it earlier. */
  readonly deadline: number;
  /** Set once, at the end; from then on the session does nothing. */
  readonly outcome: Outcome | undefined;
  readonly tally: Tally;
  /** How block numbers continue after 65535. A receiver knows it once the server has replied. */
  readonly rollover: Rollover;
  /** Changes whenever an observer of the transfer should be notified at once. */
  readonly phase: number;
}

/** Counts of what happened in a transfer, kept current. */
export interface Tally {
  /** Distinct blocks sent and acknowledged (sender) or kept (receiver), and their payload in bytes. */
  blocks: number;
  bytes: number;
  /** Packets sent again: DATA and OACKs (sender), ACKs and requests (receiver). */
  retransmits: number;
  /** The DATA packets among them (sender). */
  dataRetransmits: number;
  /**
   * Unexpected packets: ACKs that did not advance (sender), OACKs and DATA other than the expected ones (receiver),
   * other opcodes.
   */
  stale: number;
  /** ACKs for blocks never sent, before the address was proven (sender). */
  impossible: number;
  /** The latest round trip, ms (sender); its reader resets it to -1, which stands for none. */
  roundTripMs: number;
  /** How often the retransmission timer ran out. */
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
