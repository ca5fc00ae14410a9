/** What a kind of firmware asks for and how it behaves: the shape of an entry in profiles.ts. */
import type { ErrorCode } from '../../protocol/opcode.ts';
import type { Manners } from '../../session/manners.ts';

/** An option of a request as it goes out, in this order and spelling. */
export interface RequestOption {
  readonly name: string;
  readonly value: string;
}

export interface Profile {
  /** As the command line and plans call it: `ipxe`. */
  readonly name: string;
  /** One line for people. */
  readonly title: string;
  /** Where the facts come from: a project's source file, an issue, a capture. */
  readonly source: string;
  /** The options of a read, in the order sent. An OACK may grant no others. */
  readonly options: readonly RequestOption[];
  /**
   * Asks for the size first, with these options, ends that with this ERROR right after the OACK, and reads from the
   * next port. Undefined: does not probe.
   */
  readonly probe?: { readonly options: readonly RequestOption[]; readonly code: ErrorCode; readonly message: string };
  /** The ERROR when it closes a file in the middle. */
  readonly close: { readonly code: ErrorCode; readonly message: string };
  readonly manners: Manners;
  /** Whether each request comes from a port of its own, or all of a node's from one. */
  readonly ports: 'new' | 'same';
  /** How long it stays after the last ACK to repeat it, in milliseconds. Firmware does not: 0. */
  readonly lingerMs: number;
  /** What it asks for to find its config, in this order; templates, see variables.ts. */
  readonly configSearch?: readonly string[];
}
