/** The requests and the behavior of one kind of firmware: the shape of an entry in profiles.ts. */
import type { ErrorCode } from '../../protocol/opcode.ts';
import type { Manners, Schedule } from '../../session/manners.ts';

/** An option of a request, in the spelling in which it is sent. */
export interface RequestOption {
  readonly name: string;
  readonly value: string;
}

interface AnyProfile {
  /** Name on the command line and in plans: `ipxe`. */
  readonly name: string;
  /** One line for people. */
  readonly title: string;
  /** Origin of the facts: a project's source file, an issue, a capture. */
  readonly source: string;
  /** Names requested to find the config, in this order; templates, see variables.ts. */
  readonly configSearch?: readonly string[];
}

export interface TftpProfile extends AnyProfile {
  readonly via: 'tftp';
  /** Options of a read request, in the order sent. An OACK may grant no others. */
  readonly options: readonly RequestOption[];
  /**
   * The request that asks for the size before the read: it sends these options and answers the OACK with this ERROR;
   * the read follows from the next port. Undefined when the firmware sends none.
   */
  readonly probe?: { readonly options: readonly RequestOption[]; readonly code: ErrorCode; readonly message: string };
  /** The ERROR that the firmware sends when it closes a file before its end. */
  readonly close: { readonly code: ErrorCode; readonly message: string };
  readonly manners: Manners;
  /** `new`: each request comes from a port of its own; `same`: all requests of a node come from one port. */
  readonly ports: 'new' | 'same';
  /**
   * Time for which the node listens after the last ACK, to repeat it if needed, in milliseconds. 0 for firmware that
   * does not.
   */
  readonly lingerMs: number;
}

/**
 * A field of a request's head, in the spelling in which it is sent. `{host}` stands for the server's host, `{port}` for
 * a colon and its port, or for nothing where the port is 80.
 */
export interface RequestField {
  readonly name: string;
  readonly value: string;
}

/** A trouble after which a client may ask again. */
export type HttpTrouble =
  /** Nobody listens on the port. */
  | 'refused'
  /** No connection, no head or no further byte within the client's patience. */
  | 'silence'
  /** The server closed or reset the connection before the end of the response. */
  | 'lost'
  /** Status 408, 429, 500, 502, 503 or 504. A Retry-After in seconds takes the place of the client's own wait. */
  | 'busy'
  /** Any error status with a Retry-After: the client waits for as long as it says. */
  | 'retry-after';

export interface HttpProfile extends AnyProfile {
  readonly via: 'http';
  /** Fields of a request, in the order sent. Those of a range follow them. */
  readonly fields: readonly RequestField[];
  /** True: HEAD goes before each GET. */
  readonly head: boolean;
  /** Time for which an idle connection is kept for the next request, ms; 0: each request has its own connection. */
  readonly keepAliveMs: number;
  /** True: a request on a kept connection that ends without an answer is sent again on a new one, at once. */
  readonly reopens: boolean;
  /** True: the client closes by reset. */
  readonly resets: boolean;
  /**
   * True: the client reads `HTTP/1.1` and `Content-Length: ` to the letter, other spellings as if they were not there.
   */
  readonly toTheLetter: boolean;
  /** Patience in milliseconds: for a connection, for the head of the answer, for each next byte of the body. */
  readonly connectMs: number;
  readonly headMs: number;
  readonly bodyMs: number;
  /** Troubles after which the client asks again; empty: it never does. */
  readonly asksAgainAfter: readonly HttpTrouble[];
  /** Requests for one file in all, and the waits between them. */
  readonly schedule: Schedule;
  /** True: what asks again goes on where the body ended, by Range and If-Match. */
  readonly resumes: boolean;
}

export type Profile = TftpProfile | HttpProfile;
