/** The server as its caller sees it: its options, its records, and its queries. */
import type { Origin, SetVersion, Source } from '../content/types.ts';
import type { PacketCounter } from '../engine/counters.ts';
import type { Latency, LatencyCounts } from '../engine/latencies.ts';
import type { TransferReport } from '../engine/report.ts';
import type { SendErrno } from '../engine/send-errors.ts';
import type { SocketKeep } from '../engine/socket-keep.ts';
import type { Address, Engine } from '../engine/types.ts';
import type { HttpAddress, HttpFigures, HttpOptions } from '../http/types.ts';
import type { Loss, WorkerFigures } from '../pool/figures.ts';
import type { TRANSFER_STATE } from '../pool/state-cells.ts';
import type { CrowdLimits } from './clients/crowd.ts';
import { ERROR_CODE, type ErrorCode } from '../protocol/opcode.ts';
import type { AskedOption, Mode, TransferMode } from '../protocol/request.ts';

export interface ServerLimits extends CrowdLimits {
  /** Transfers at once, over all workers. Default 10,000. */
  readonly sessions: number;
  /** Requests waiting for a free session. Beyond it new clients are not answered. Default 65,536. */
  readonly queue: number;
  /** A waiting request is dropped when its client has not repeated it for this long. Default 10,000 ms. */
  readonly laneExpiryMs: number;
  /** Largest blksize granted, bytes; undefined: what reaches the client unfragmented, as far as the machine knows. */
  readonly maxBlksize: number | undefined;
  /** True if `timeout` and `utimeout` are acknowledged. Default false: it would forbid adaptive retransmission. */
  readonly acknowledgeTimeout: boolean;
  /** How long a transfer may go without progress, ms. A content may have its own. Default 90,000. */
  readonly patienceMs: number;
  /**
   * While requests wait for a session, transfers slower than this are ended, in bytes per second since their start.
   * Default 0: none.
   */
  readonly minRate: number;
}

export interface ServerOptions {
  /** Addresses to listen on. A wildcard (0.0.0.0, ::) stands for every local address of its family. */
  readonly listen: readonly Address[];
  /**
   * Sources, asked in turn for each name. A function creates sources that need the engine, for instance to map files.
   */
  readonly sources:
    | readonly Source[]
    | ((engine: Pick<Engine, 'mapFile' | 'allocateFile' | 'clock'>) => readonly Source[] | Promise<readonly Source[]>);
  /** `auto` takes `linux` where it works. */
  readonly engine: 'auto' | 'linux' | 'portable';
  /** Linux engine: ports of transfers, both ends included. Default: the system's ephemeral ports. */
  readonly dataPorts?: { readonly from: number; readonly to: number };
  /**
   * Runs every transfer at the port that was asked. Windows larger than 4 blocks are then granted only to addresses that
   * have completed a transfer in the last hour. With the portable engine one thread does everything. Default false.
   */
  readonly singlePort?: boolean;
  /** Linux engine: opens a listening socket for each local address instead of one for all. Default false. */
  readonly listenOnEachAddress?: boolean;
  /** Answers requests sent to broadcast addresses; each address then has a listening socket. Default false. */
  readonly answerBroadcast?: boolean;
  /** Worker threads that run transfers, at least 1. */
  readonly workers: number;
  readonly limits: ServerLimits;
  /** Tells whether an address may send requests at all. Default: every address. */
  readonly mayAsk?: (address: string) => boolean;
  /**
   * Tells whether an address stands for many nodes behind NAT: it then has no limits of its own. Default: none does.
   */
  readonly isShared?: (address: string) => boolean;
  /**
   * Returns the largest blksize granted to an address, bytes, instead of `limits.maxBlksize`. Default: undefined for
   * all.
   */
  readonly maxBlksizeOf?: (address: string) => number | undefined;
  readonly observer: ServerObserver;
  /** Serves the same sources over HTTP and HTTPS. Default: TFTP alone. */
  readonly http?: HttpOptions | undefined;
  /** Linux engine: listening sockets that outlive this process. Default: none does. */
  readonly keep?: SocketKeep | undefined;
  /** The entry of the worker threads, for tests that plant faults in it. */
  readonly worker?: URL;
}

/** Reasons why requests are not acted on; also the labels of a metric. */
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

/** Reasons why a request is answered with an ERROR; also the labels of a metric. */
export const REFUSALS = ['not_found', 'access', 'too_large', 'write', 'mode', 'route', 'render'] as const;
export type Refusal = (typeof REFUSALS)[number];

/** The TFTP error code sent for each refusal (RFC 1350 §5, appendix). */
export const REFUSAL_CODES: Readonly<Record<Refusal, ErrorCode>> = {
  not_found: ERROR_CODE.FILE_NOT_FOUND,
  access: ERROR_CODE.ACCESS_VIOLATION,
  too_large: ERROR_CODE.NOT_DEFINED,
  write: ERROR_CODE.ACCESS_VIOLATION,
  mode: ERROR_CODE.ILLEGAL_OPERATION,
  route: ERROR_CODE.ACCESS_VIOLATION,
  render: ERROR_CODE.ACCESS_VIOLATION,
};

export { LOSSES } from '../pool/figures.ts';

/** Protocols that a server answers; also the labels of a metric. */
export const PROTOCOLS = ['tftp', 'http'] as const;
/** HTTPS counts as `http`. */
export type Protocol = (typeof PROTOCOLS)[number];

/** A readable request, and what was done with it at once. */
export interface RequestRecord {
  readonly protocol: Protocol;
  readonly client: Address;
  readonly local: string;
  readonly operation: 'read' | 'write';
  /** The requested name, one character per byte, as received: escape before showing it. */
  readonly filename: string;
  readonly mode: Mode;
  /** Options in the order asked; their values are as received: escape before showing them. */
  readonly options: readonly AskedOption[];
  readonly done: 'admitted' | 'refused' | Ignored;
  /** The transfer that the request begins or repeats. */
  readonly transfer: number | undefined;
}

/** An admitted request that gets no answer after all: its client asks again, or has given up. */
export interface DropRecord {
  readonly protocol: Protocol;
  readonly transfer: number;
  readonly client: Address;
  readonly local: string;
  /** The requested name, as in a RequestRecord. */
  readonly filename: string;
  readonly reason: Ignored;
  /** The cause, for our side only: why a content is `busy`. */
  readonly detail: string | undefined;
}

/** The facts about a transfer when a worker takes it. */
export interface StartRecord {
  readonly protocol: Protocol;
  /** Sequence number of the transfer, never reused. */
  readonly id: number;
  readonly client: Address;
  readonly local: string;
  /** The source's name for the file. */
  readonly file: string;
  readonly origin: Origin;
  /** The version of a boot set that the file belongs to. */
  readonly set?: SetVersion | undefined;
  /** Bytes of the whole content. */
  readonly size: number;
  readonly mode: TransferMode;
  /** Agreed block and window size; 0 over HTTP. */
  readonly blksize: number;
  readonly windowsize: number;
  /** Time from the first request to the worker taking the transfer, ms: resolving and waiting. */
  readonly waitedMs: number;
  /** The part of waitedMs spent waiting for a session. */
  readonly queuedMs: number;
}

/** The record of one finished transfer. */
export interface TransferRecord extends StartRecord, TransferReport {
  /** Time from the first request to the first reply, ms; undefined: no reply was sent. */
  readonly firstReplyMs: number | undefined;
}

/** Snapshot of a transfer. Its worker's counts may be 64 ms old. */
export interface TransferView {
  readonly protocol: Protocol;
  readonly id: number;
  readonly client: Address;
  readonly local: string;
  /** The source's name for the file; before that is known, the requested name as received: escape it. */
  readonly file: string;
  /** undefined while its source is being asked. */
  readonly origin: Origin | undefined;
  readonly set?: SetVersion | undefined;
  readonly state: Exclude<keyof typeof TRANSFER_STATE, 'free'>;
  /** Bytes to send; 0 until known. */
  readonly size: number;
  /** Bytes acknowledged so far. */
  readonly bytes: number;
  readonly retransmits: number;
  /** Agreed block and window size; 0 until agreed, and over HTTP. */
  readonly blksize: number;
  readonly windowsize: number;
  /** Time since its first request, ms. */
  readonly sinceMs: number;
  /** Time since its last progress, ms. */
  readonly silentMs: number;
}

/** The record of one refused request. */
export interface RefusalRecord {
  readonly protocol: Protocol;
  readonly client: Address;
  readonly local: string;
  /** The requested name, one character per byte, as received: escape before showing it. */
  readonly filename: string;
  readonly kind: Refusal;
  /** The TFTP error code sent, or the status of the HTTP answer. */
  readonly code: number;
  /** The reason, for our side only. */
  readonly reason: string;
}

/** Notified of events as they happen, in the main thread. No call may throw or take long. */
export interface ServerObserver {
  onTransfer(record: TransferRecord): void;
  onRefusal(record: RefusalRecord): void;
  /** Called for every readable request, including repeats, before any other call about it. */
  onRequest?(record: RequestRecord): void;
  onDrop?(record: DropRecord): void;
  /** Called when a worker takes a transfer. */
  onStart?(record: StartRecord): void;
  /** Called when an address that the machine lacked at the start is now listened on. */
  onListening?(address: Address): void;
  /**
   * Called for problems an operator should know: an address that can't be listened on, a lost worker, an unreadable file.
   * The detail may hold unescaped names: escape them before display.
   */
  onWarning(message: string, detail: Readonly<Record<string, unknown>>): void;
}

/** A transfer without progress for this long is stuck: most loaders have asked again several times by then. */
export const STUCK_MS = 5000;

/** Figures at this moment. Names ending in `Total` only grow. */
export interface ServerStats {
  /** Undefined: the server does not speak HTTP. */
  readonly http?: HttpFigures | undefined;
  /** Over both protocols. */
  readonly transfersActive: number;
  readonly transfersQueued: number;
  /** Running transfers without progress for STUCK_MS. */
  readonly transfersStuck: number;
  /** Client addresses with a running transfer. */
  readonly nodesBooting: number;
  /** Over both protocols. */
  readonly requestsTotal: number;
  /** Requests over TFTP not acted on, by reason (see IGNORED). */
  readonly ignoredTotal: Readonly<Record<string, number>>;
  /** Datagrams at the listening ports that are not requests, by reason (see MALFORMED, and `notRequest`). */
  readonly malformedTotal: Readonly<Record<string, number>>;
  /** Requests lost because the listening ports' receive buffers were full. */
  readonly requestDropsTotal: number;
  /** Counts kept by the workers for each packet. */
  readonly packets: Readonly<Record<PacketCounter, number>>;
  readonly latencies: Readonly<Record<Latency, LatencyCounts>>;
  /** Datagrams that could not be sent, by reason, including those of the listening ports. */
  readonly sendErrorsTotal: Readonly<Record<SendErrno, number>>;
  readonly workers: readonly WorkerFigures[];
  /** Workers that were lost and replaced. */
  readonly workersLostTotal: number;
  /** Transfers that another worker went on with when theirs was lost. A transfer counts each time. */
  readonly transfersResumedTotal: number;
  /** Transfers that were lost with their worker, by reason (see LOSSES). */
  readonly transfersLostTotal: Readonly<Record<Loss, number>>;
}

export interface Server {
  /** The addresses being listened on now. */
  readonly addresses: readonly Address[];
  /** The addresses of HTTP and HTTPS. */
  readonly httpAddresses: readonly HttpAddress[];
  /** The engine that moves packets. */
  readonly engine: 'linux' | 'portable' | 'memory';
  /** False before start has finished, while every address is waited for, and once stop has been called. */
  readonly ready: boolean;
  stats(): ServerStats;
  /** Snapshots of every transfer, from its request's admission to its end, in no order. */
  transfers(): TransferView[];
  /**
   * Stops in order: new requests are ignored, running transfers may finish for `drainMs`, then the rest are aborted
   * (their clients get an ERROR, or over HTTP the end of their connection). A second call with a shorter time shortens the first.
   *
   * @returns how many transfers were aborted.
   */
  stop(drainMs: number): Promise<number>;
  /**
   * Stops serving TFTP without a word to the clients, because another process goes on with all transfers. Resolves when
   * no thread uses a socket of TFTP any more; HTTP connections end with stop().
   */
  handOver?(): Promise<void>;
}
