/** The requests and the behavior of one kind of firmware: the shape of an entry in profiles.ts. */
import type { ErrorCode } from '../../protocol/opcode.ts';
import type { Manners } from '../../session/manners.ts';

/** An option of a request, in the spelling in which it is sent. */
export interface RequestOption {
  readonly name: string;
  readonly value: string;
}

export interface Profile {
  /** Name on the command line and in plans: `ipxe`. */
  readonly name: string;
  /** One line for people. */
  readonly title: string;
  /** Origin of the facts: a project's source file, an issue, a capture. */
  readonly source: string;
  /** Options of a read request, in the order sent. An OACK may grant no others. */
  readonly options: readonly RequestOption[];
  /**
   * The probe that asks for the size first: it sends these options, ends with this ERROR right after the OACK, and the
   * read follows from the next port. Undefined: no probe.
   */
  readonly probe?: { readonly options: readonly RequestOption[]; readonly code: ErrorCode; readonly message: string };
  /** The ERROR sent when the firmware closes a file in the middle. */
  readonly close: { readonly code: ErrorCode; readonly message: string };
  readonly manners: Manners;
  /** `new`: each request comes from a port of its own; `same`: all requests of a node come from one port. */
  readonly ports: 'new' | 'same';
  /** Time in milliseconds that the node stays after the last ACK in order to repeat it. Firmware does not: 0. */
  readonly lingerMs: number;
  /** Names requested to find the config, in this order; templates, see variables.ts. */
  readonly configSearch?: readonly string[];
}

export type TftpProfile = Profile;
