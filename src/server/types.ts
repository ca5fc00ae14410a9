/** The server as its caller sees it: what it is given, what it tells, what can be asked of it. */
import type { Origin, SetVersion, Source } from '../content/types.ts';
import type { PacketCounter } from '../engine/counters.ts';
import type { Latency, LatencyCounts } from '../engine/latencies.ts';
import type { TransferReport } from '../engine/report.ts';
import type { SendErrno } from '../engine/send-errors.ts';
import type { Address, Engine } from '../engine/types.ts';
import type { WorkerFigures } from '../pool/figures.ts';
import type { TRANSFER_STATE } from '../pool/state-cells.ts';
import type { CrowdLimits } from './clients/crowd.ts';
import { ERROR_CODE, type ErrorCode } from '../protocol/opcode.ts';
import type { AskedOption, Mode } from '../protocol/request.ts';

export interface ServerLimits extends CrowdLimits {
  /** Transfers at once, over all workers. Default 10,000. */
  readonly sessions: number;
  /** Requests waiting for a free session. Beyond it newcomers are not answered. Default 65,536. */
  readonly queue: number;
  /** A waiting request is dropped when its client has not repeated it for so long. Default 10,000 ms. */
  readonly laneExpiryMs: number;
  /** Largest windowsize granted, in blocks, 1..32767. Default 64. */
  readonly maxWindowsize: number;
  /** Largest blksize granted, in bytes; undefined: what goes to the client unfragmented, as far as the machine knows. */
  readonly maxBlksize: number | undefined;
  /** Whether `timeout` and `utimeout` are acknowledged. Default false: it would forbid adaptive retransmission. */
  readonly acknowledgeTimeout: boolean;
  /** How long a transfer may stand still, in milliseconds. A content may have its own. Default 90,000. */
  readonly patienceMs: number;
  /**
   * While requests wait for a session, transfers slower than this are ended, in bytes per second since their start.
   * Default 0: none is.
   */
  readonly minRate: number;
}

export interface ServerOptions {
  /** Addresses to listen on. A wildcard (0.0.0.0, ::) stands for every local address of its family. */
  readonly listen: readonly Address[];
  /** Asked in turn for each name. Sources that map files are made when the engine is known. */
  readonly sources:
    | readonly Source[]
    | ((engine: Pick<Engine, 'mapFile' | 'allocateFile' | 'clock'>) => readonly Source[] | Promise<readonly Source[]>);
  /** `auto` takes `linux` where it works. */
  readonly engine: 'auto' | 'linux' | 'portable';
  /** Linux engine: ports that transfers use, both ends included. Default: those that the system hands out by itself. */
  readonly dataPorts?: { readonly from: number; readonly to: number };
  /** Linux engine: a listening socket for each local address instead of one for all. Default false. */
  readonly listenOnEachAddress?: boolean;
  /** Answer requests sent to broadcast addresses; each address has a listening socket then. Default false. */
  readonly answerBroadcast?: boolean;
  /** Worker threads that run transfers, at least 1. */
  readonly workers: number;
  readonly limits: ServerLimits;
  /** Whether an address may ask at all. Default: every address. */
  readonly mayAsk?: (address: string) => boolean;
  /** Whether an address stands for many nodes, behind NAT: then it has no limits of its own. Default: none does. */
  readonly isShared?: (address: string) => boolean;
  /** The largest blksize granted to an address, in bytes, instead of `limits.maxBlksize`. Default: undefined for all. */
  readonly maxBlksizeOf?: (address: string) => number | undefined;
  readonly observer: ServerObserver;
  /** The entry of the worker threads, for tests that plant faults in it. */
  readonly worker?: URL;
}

/** Requests not acted on, by reason; also the labels of a metric. */
export const IGNORED = [
  'repeated',
  'queueFull',
  'expired',
  'draining',
  'busy',
  'source',
  'client',
  'unreachable',
  'unanswered',
  'addressFull',
  'prefixFull',
] as const;
export type Ignored = (typeof IGNORED)[number];

/** Why a request is answered with an ERROR; also the labels of a metric. */
export const REFUSALS = ['not_found', 'access', 'too_large', 'write', 'mode', 'route', 'render'] as const;
export type Refusal = (typeof REFUSALS)[number];

/** The TFTP error code that each is answered with (RFC 1350 §5, appendix). */
export const REFUSAL_CODES: Readonly<Record<Refusal, ErrorCode>> = {
  not_found: ERROR_CODE.FILE_NOT_FOUND,
  access: ERROR_CODE.ACCESS_VIOLATION,
  too_large: ERROR_CODE.NOT_DEFINED,
  write: ERROR_CODE.ACCESS_VIOLATION,
  mode: ERROR_CODE.ILLEGAL_OPERATION,
  route: ERROR_CODE.ACCESS_VIOLATION,
  render: ERROR_CODE.ACCESS_VIOLATION,
};

/** A request that could be read, and what was done with it at once. */
export interface RequestRecord {
  readonly client: Address;
  readonly local: string;
  readonly operation: 'read' | 'write';
  /** The name asked for, one character per byte, as it came: escape before showing it. */
  readonly filename: string;
  readonly mode: Mode;
  /** In the order asked; values as they came: escape before showing them. */
  readonly options: readonly AskedOption[];
  readonly done: 'admitted' | 'refused' | Ignored;
  /** The transfer that it begins, or of which it is a repetition. */
  readonly transfer: number | undefined;
}

/** An admitted request that gets no answer after all: its client asks again, or has given up. */
export interface DropRecord {
  readonly transfer: number;
  readonly client: Address;
  readonly local: string;
  /** As in a request. */
  readonly filename: string;
  readonly reason: Ignored;
  /** For our side: why a content is `busy`. */
  readonly detail: string | undefined;
}

/** What is known of a transfer when a worker takes it. */
export interface StartRecord {
  /** Numbers the server's transfers: never used again. */
  readonly id: number;
  readonly client: Address;
  readonly local: string;
  /** The file as the source calls it. */
  readonly file: string;
  readonly origin: Origin;
  /** Of a boot set's file: the version it is of. */
  readonly set?: SetVersion | undefined;
  /** Bytes to send. */
  readonly size: number;
  readonly mode: 'octet' | 'netascii';
  readonly blksize: number;
  readonly windowsize: number;
  /** Milliseconds between the first request and the worker taking the transfer: resolving and waiting. */
  readonly waitedMs: number;
  /** Of these, milliseconds spent waiting for a session. */
  readonly queuedMs: number;
}

/** One finished transfer. */
export interface TransferRecord extends StartRecord, TransferReport {
  /** Milliseconds from the first request to the first reply; undefined: there was none. */
  readonly firstReplyMs: number | undefined;
}

/** A transfer at this moment. What its worker counts may be 64 ms old. */
export interface TransferView {
  readonly id: number;
  readonly client: Address;
  readonly local: string;
  /** The file as the source calls it; before that is known, the name asked for, as it came: escape it. */
  readonly file: string;
  /** undefined while its source is being asked. */
  readonly origin: Origin | undefined;
  readonly set?: SetVersion | undefined;
  readonly state: Exclude<keyof typeof TRANSFER_STATE, 'free'>;
  /** Bytes to send; 0 until that is known. */
  readonly size: number;
  /** Acknowledged so far. */
  readonly bytes: number;
  readonly retransmits: number;
  /** 0 until they are agreed on. */
  readonly blksize: number;
  readonly windowsize: number;
  /** Milliseconds since its first request. */
  readonly sinceMs: number;
  /** Milliseconds since its last progress. */
  readonly silentMs: number;
}

/** One refused request. */
export interface RefusalRecord {
  readonly client: Address;
  readonly local: string;
  /** The name asked for, one character per byte, as it came: escape before showing it. */
  readonly filename: string;
  readonly kind: Refusal;
  /** The TFTP error code sent. */
  readonly code: number;
  /** Why, for our side. */
  readonly reason: string;
}

/** Told what happens, as it happens, in the main thread. No call may throw or take long. */
export interface ServerObserver {
  onTransfer(record: TransferRecord): void;
  onRefusal(record: RefusalRecord): void;
  /** Every request that could be read, repeated ones included, before anything else is told of it. */
  onRequest?(record: RequestRecord): void;
  onDrop?(record: DropRecord): void;
  /** A worker takes a transfer. */
  onStart?(record: StartRecord): void;
  /** An address that the machine did not have at the start is listened on from now on. */
  onListening?(address: Address): void;
  /**
   * Something an operator should know: an address that can't be listened on, a worker lost, a file unreadable. The detail
   * may hold names as they came: escape before showing it.
   */
  onWarning(message: string, detail: Readonly<Record<string, unknown>>): void;
}

/** A transfer that moves nothing for so long is stuck: most loaders have asked again several times by then. */
export const STUCK_MS = 5000;

/** Figures at this moment. Names ending in `Total` only grow. */
export interface ServerStats {
  readonly transfersActive: number;
  readonly transfersQueued: number;
  /** Transfers in their middle without progress for STUCK_MS. */
  readonly transfersStuck: number;
  /** Clients that have a transfer running. */
  readonly nodesBooting: number;
  readonly requestsTotal: number;
  /** Requests not acted on, by reason (see IGNORED). */
  readonly ignoredTotal: Readonly<Record<string, number>>;
  /** Datagrams at the listening port that are no request, by reason (see MALFORMED, and `notRequest`). */
  readonly malformedTotal: Readonly<Record<string, number>>;
  /** Requests lost because the listening ports' receive buffers were full. */
  readonly requestDropsTotal: number;
  /** Counted by the workers as packets go. */
  readonly packets: Readonly<Record<PacketCounter, number>>;
  readonly latencies: Readonly<Record<Latency, LatencyCounts>>;
  /** Datagrams that could not be sent, by reason; those of the listening ports as well. */
  readonly sendErrorsTotal: Readonly<Record<SendErrno, number>>;
  readonly workers: readonly WorkerFigures[];
  /** A thread that is lost has a new one in its place. */
  readonly workersLostTotal: number;
}

export interface Server {
  /** The addresses being listened on now. */
  readonly addresses: readonly Address[];
  /** How packets are moved. */
  readonly engine: 'linux' | 'portable' | 'memory';
  /** False before start has finished, while every address is waited for, and from the moment stop was called. */
  readonly ready: boolean;
  stats(): ServerStats;
  /** Every transfer there is, from its request's admission to its end; in no order. */
  transfers(): TransferView[];
  /**
   * Stops in order: new requests are ignored, running transfers may finish for `drainMs`, then the rest is aborted
   * (its clients get an ERROR). A second call with a shorter time shortens the first.
   *
   * @returns how many transfers were aborted.
   */
  stop(drainMs: number): Promise<number>;
}
