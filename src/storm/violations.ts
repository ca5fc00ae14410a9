/** The rules that a storm can see a server break: their names in a report, and the clauses they come from. */
import type { Breach } from '../session/receiver.ts';

export type ViolationId =
  | Breach
  /**
   * An OACK granted an option that was not requested, or more than was requested; or a block was longer than agreed.
   * This ended the transfer.
   */
  | 'bad-answer'
  /** A packet of the transfer came from a port other than the first one. */
  | 'tid-changed'
  /** A second server port answered the same request. */
  | 'duplicate-tid'
  /** The server did not repeat a packet that this client waited for, while it went on serving others. */
  | 'no-retransmission'
  /** The content received was not the content expected. */
  | 'wrong-bytes'
  | 'mixed-versions';

export interface Rule {
  readonly what: string;
  readonly clause: string;
}

export const RULES: Readonly<Record<ViolationId, Rule>> = {
  'window-exceeded': { what: 'sent blocks beyond the window agreed', clause: 'RFC 7440 §4, RFC 1350 §4' },
  'acts-on-duplicate-ack': { what: 'sent a block again because an ACK came twice', clause: 'RFC 1123 §4.2.3.1' },
  'tsize-wrong': { what: 'sent a file of another length than the tsize it announced', clause: 'RFC 2349' },
  'bad-answer': { what: 'broke the agreement on options', clause: 'RFC 2347, 2348, 7440' },
  'tid-changed': { what: 'went on from another port in the middle of a transfer', clause: 'RFC 1350 §4' },
  'duplicate-tid': { what: 'answered one request from two ports', clause: 'RFC 1350 §4' },
  'wrong-bytes': { what: 'sent a file that is not the one expected, byte for byte', clause: 'RFC 1350 §1' },
  'mixed-versions': { what: 'sent one node files of which no version has all', clause: 'of the boot, not of an RFC' },
  'no-retransmission': { what: 'never sent a lost packet again', clause: 'RFC 1350 §2, RFC 1123 §4.2.3.2' },
};
