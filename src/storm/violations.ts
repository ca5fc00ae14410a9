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
  | 'mixed-versions'
  /** The head of an HTTP response could not be read. */
  | 'malformed-response'
  /** Bytes followed a response on the same connection. */
  | 'surplus-bytes'
  /** HEAD and GET gave one file different lengths. */
  | 'head-length-wrong'
  /** A 206 was not for the range that was asked for, or of a file of another length. */
  | 'range-wrong';

export interface Rule {
  readonly what: string;
  readonly clause: string;
}

export const RULES: Readonly<Record<ViolationId, Rule>> = {
  'window-exceeded': { what: 'sent blocks beyond the negotiated window', clause: 'RFC 7440 §4, RFC 1350 §4' },
  'acts-on-duplicate-ack': { what: 'retransmitted a block because of a duplicate ACK', clause: 'RFC 1123 §4.2.3.1' },
  'tsize-wrong': { what: 'sent a file whose length differs from the announced tsize', clause: 'RFC 2349' },
  'bad-answer': { what: 'violated the negotiated options', clause: 'RFC 2347, 2348, 7440' },
  'tid-changed': { what: 'continued a transfer from another port', clause: 'RFC 1350 §4' },
  'duplicate-tid': { what: 'answered one request from two ports', clause: 'RFC 1350 §4' },
  'wrong-bytes': { what: 'sent a file with wrong bytes', clause: 'RFC 1350 §1' },
  'mixed-versions': {
    what: 'sent one node files that no single version contains',
    clause: 'a rule of boot sets, not of an RFC',
  },
  'no-retransmission': { what: 'never retransmitted a lost packet', clause: 'RFC 1350 §2, RFC 1123 §4.2.3.2' },
  'malformed-response': { what: 'sent a response whose head cannot be read', clause: 'RFC 9112 §4, §5, §6.3' },
  'surplus-bytes': { what: 'sent bytes after the end of a response', clause: 'RFC 9112 §6.3' },
  'head-length-wrong': { what: 'gave a file different lengths in HEAD and GET', clause: 'RFC 9110 §9.3.2' },
  'range-wrong': { what: 'sent a range other than the requested one', clause: 'RFC 9110 §14.4, §15.3.7' },
};
