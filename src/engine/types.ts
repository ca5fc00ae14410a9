/**
 * The outside world as the rest of Reveille sees it: a clock, datagrams in and out, shared bytes. Three
 * implementations: memory.ts (virtual network and time), portable.ts (node:dgram), and on Linux system calls.
 */
import type { LatencyHistogram } from './latencies.ts';
import { noSendErrors, type SendErrno } from './send-errors.ts';
import type { AllocateFile, MapFile, SharedHandle, SharedView } from '../bytes/shared-bytes.ts';

/** An IPv4 or IPv6 address in text, IPv6 with its scope where it needs one (`fe80::1%eth0`), and a UDP port. */
export interface Address {
  readonly address: string;
  readonly port: number;
}

export interface Clock {
  /** Whole milliseconds since some moment, the same moment in every thread of the process; never steps back. */
  now(): number;
  /** Calls `fn` once when now() has reached `at`, or soon after. @returns a function that cancels it. */
  wake(at: number, fn: () => void): () => void;
}

/** Gets what arrives at a link. Called from the packet loop: no call may throw for what a peer sent. */
export interface LinkReceiver {
  /** The first `length` bytes are one datagram from the link's peer; the buffer is reused after the call. */
  onDatagram(bytes: Uint8Array, length: number): void;
  /** The peer's host reported that nobody listens on the peer's port. */
  onUnreachable(): void;
  /** Content that was to be sent can not be read any more: the file under a mapping was cut short. */
  onUnreadable(): void;
  /**
   * A datagram came from the peer's address, but not from the port that the conversation is with; it has been
   * answered as RFC 1350 §4 has it and disturbs nothing. For those who count such things.
   */
  onStranger?(bytes: Uint8Array, length: number): void;
}

/** A conversation with one peer from one local port. Sends never throw and never block; what is lost is lost. */
export interface Link {
  /** The address and port we speak from (our TID). */
  readonly local: Address;
  /** Sends DATA: the header for `wireBlock` (0..65535) and view[offset, offset + length), which is not copied. */
  data(wireBlock: number, view: SharedView, offset: number, length: number): void;
  /** Sends bytes[0, length), which may be reused after the call. */
  control(bytes: Uint8Array, length: number): void;
  /** Gives the port back. Nothing is received after it. */
  close(): void;
}

export interface LinkOptions {
  /** The address to speak from; a port is chosen at random by the engine. */
  readonly local: string;
  readonly peer: Address;
  /**
   * `fixed`: only packets from `peer` count. `learn`: the port of the first answer from peer.address becomes the
   * peer's port (RFC 1350 §4, the client's side), and later packets from other ports get ERROR 5.
   */
  readonly peerPort: 'fixed' | 'learn';
  /**
   * For simulated nodes, `learn` only: speak from a socket that many loopback addresses share. There are a few of
   * them, taken in turn by this number: the same one is the same port, the next one is another. Engines that can't
   * give the link a socket of its own as ever.
   */
  readonly shared?: number | undefined;
}

/** What a thread needs to use a port that another one has taken: numbers, which cross threads. */
export interface BorrowedPort {
  /** The socket's descriptor. It is the process's: every thread can use it. */
  readonly fd: number;
  /** The beginning of the peer's sockaddr: family and port, and for IPv4 the address; as 32-bit words. */
  readonly peerWord: number;
  readonly addressWord: number;
}

/** A port of its own for one transfer: taken and given back by the main thread, used by the worker in between. */
export interface TransferPort extends BorrowedPort {
  readonly local: Address;
  /** Sends the first reply, as a Link would. */
  data(wireBlock: number, view: SharedView, offset: number, length: number): void;
  control(bytes: Uint8Array, length: number): void;
  /** Closes the port. Call when no thread uses it any more; calling it again does nothing. */
  release(): void;
}

/** Why a transfer gets no port. */
export type NoPort =
  /** Every port of its local address is used: whoever else asks there gets none either. */
  | 'usedUp'
  /** The process may open no more sockets: there is one more when any transfer has ended, whatever its local address. */
  | 'noDescriptor'
  /** This client gets none: there is no way to it, or it has just had every port that is free. Others get theirs. */
  | 'unreachable';

export interface TransferPorts {
  /** Opens ports ahead of time, for `transfers` at once over all these local addresses, or as many as the engine finds fit. */
  stock(locals: readonly string[], transfers: number): void;
  /** @param windowBytes what may be in flight at once. */
  take(local: string, peer: Address, windowBytes: number): TransferPort | NoPort;
  /** Why fewer ports could be opened than were wanted; undefined while none was missing. */
  readonly shortage: string | undefined;
}

/** Wakes threads of this process, whose engines must be of the same kind. */
export interface Wakes {
  /** @returns the name by which other threads wake this one. */
  listen(onWake: () => void): number;
  ring(name: number): void;
}

/** Gets requests that arrive at a listening address. */
export type RequestReceiver = (bytes: Uint8Array, length: number, peer: Address, port: ListeningPort) => void;

export interface ListeningPort {
  readonly local: Address;
  /** Sends bytes[0, length) to `peer` from this address and port. */
  reply(bytes: Uint8Array, length: number, peer: Address): void;
  close(): Promise<void>;
}

/** What an engine lost or could not do as it would like, counted since its start. Zero where it can't tell. */
export interface EngineHealth {
  /** Datagrams dropped because a receive buffer was full. */
  readonly receiveDrops: number;
  /** Datagrams the kernel would not take. */
  readonly sendDrops: number;
  /** Batches that the kernel or the device would not cut up (UDP_SEGMENT), and that went packet by packet. */
  readonly segmentFallbacks: number;
  /** Datagrams that could not be sent, by reason. */
  readonly sendErrors: Readonly<Record<SendErrno, number>>;
}

export const HEALTHY: EngineHealth = { receiveDrops: 0, sendDrops: 0, segmentFallbacks: 0, sendErrors: noSendErrors() };

/** An address in memory by its halves, each 0..2^32 - 1, and bytes from there on. */
export interface Place {
  readonly low: number;
  readonly high: number;
  readonly length: number;
}

export interface Engine {
  readonly name: 'linux' | 'portable' | 'memory';
  readonly clock: Clock;
  /** Whether one port on a wildcard address serves every local address and replies from the one that was asked. */
  readonly wildcards: boolean;
  /** Opens a listening address. @throws Error with the system's code (EADDRINUSE, EACCES, EADDRNOTAVAIL). */
  listen(local: Address, receive: RequestReceiver): Promise<ListeningPort>;
  /** @throws Error with the system's code when no port is to be had (EMFILE, EADDRNOTAVAIL). */
  link(options: LinkOptions, receiver: LinkReceiver): Promise<Link>;
  /** How to map a file whose content is to be sent; undefined: this engine sends from shared memory only. */
  readonly mapFile: MapFile | undefined;
  /** Memory for one that may be changed in place, and is copied. undefined: shared memory. */
  readonly allocateFile: AllocateFile | undefined;
  /** Makes shared content readable in this thread. @throws Error for a mapped file where mapFile is undefined. */
  attach(handle: SharedHandle): SharedView;
  /**
   * A conversation over a port that another thread has taken, at once: the first reply has left, and its answer may be
   * there already. @throws Error when the thread has no room for one more.
   */
  adopt?(port: BorrowedPort, receiver: LinkReceiver): Link;
  /** Where content lies in the memory of the process, for engines whose threads hand it over as numbers. */
  locate?(handle: SharedHandle): Place;
  /** The view of what another thread has located. */
  viewAt?(place: Place): SharedView;
  /**
   * The largest packet that goes from `local` to `peer` in one piece as far as the system knows: by the MTU of the route
   * and of its interface, and by what routers have said (RFC 1191, RFC 8201). In bytes of an IP packet; undefined: the
   * system does not say. Engines without it can't ask.
   */
  routeMtu?(local: string, peer: Address): number | undefined;
  /** A port for each transfer, owned by the thread that listens. undefined: links open ports of their own. */
  readonly transferPorts?: TransferPorts | undefined;
  /** undefined: threads can only be sent messages. */
  readonly wakes?: Wakes | undefined;
  /** Reads what has come to this thread's sockets so far, where a turn of Node.js's loop reads a part of it. */
  catchUp?(): void;
  health(): EngineHealth;
  /** Set by whoever wants to know: where it notes how long DATA takes to leave after the ACKs that let it out. */
  turnaround?: LatencyHistogram | undefined;
  /** A sentence for the operator when the kernel gives smaller buffers than a storm needs; asked once at start. */
  readonly advice: string | undefined;
  /** Closes every link and listening address that is still open. */
  close(): Promise<void>;
}
