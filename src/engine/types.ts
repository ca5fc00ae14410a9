/**
 * The outside world as the rest of Reveille sees it: a clock, datagrams in and out, shared bytes. Three
 * implementations: memory.ts (virtual network and time), portable.ts (node:dgram), and linux/engine.ts (system calls).
 */
import type { Estate } from './estate.ts';
import type { LatencyHistogram } from './latencies.ts';
import { noSendErrors, type SendErrno } from './send-errors.ts';
import type { AllocateFile, MapFile, SharedHandle, SharedView } from '../bytes/shared-bytes.ts';

/** An IPv4 or IPv6 address as text, IPv6 with its scope where needed (`fe80::1%eth0`), and a UDP port. */
export interface Address {
  readonly address: string;
  readonly port: number;
}

export interface Clock {
  /** Returns whole milliseconds since some moment, the same in every thread of the process; never steps back. */
  now(): number;
  /** Calls `fn` once when now() has reached `at`, or soon after. @returns a function that cancels the call. */
  wake(at: number, fn: () => void): () => void;
}

/** Receives what arrives at a link. Called from the packet loop: no call may throw for what a peer sent. */
export interface LinkReceiver {
  /** Takes one datagram from the link's peer, the first `length` bytes; the buffer is reused after the call. */
  onDatagram(bytes: Uint8Array, length: number): void;
  /** Called when the peer's host reports that the peer's port is closed. */
  onUnreachable(): void;
  /** Called when content to be sent can no longer be read: the file under a mapping was truncated. */
  onUnreadable(): void;
  /**
   * Called for a datagram from the peer's address but another port. It has been answered as RFC 1350 §4 requires and
   * disturbs nothing. For counting.
   */
  onStranger?(bytes: Uint8Array, length: number): void;
}

/** A link to one peer from one local port. Sends never throw and never block; failed ones are lost packets. */
export interface Link {
  /** Our address and port (our TID). */
  readonly local: Address;
  /** Sends DATA: the header for `wireBlock` (0..65535) and view[offset, offset + length), which is not copied. */
  data(wireBlock: number, view: SharedView, offset: number, length: number): void;
  /** Sends bytes[0, length), which may be reused after the call. */
  control(bytes: Uint8Array, length: number): void;
  /** Frees the port. Nothing is received after the call. */
  close(): void;
}

export interface LinkOptions {
  /** The address to send from; the engine chooses a random port. */
  readonly local: string;
  /** The port that was asked, for engines whose links share it. */
  readonly localPort?: number | undefined;
  readonly peer: Address;
  /**
   * `fixed`: only packets from `peer` count. `learn`: the port of the first reply from peer.address becomes the peer's
   * port (RFC 1350 §4, the client's side), and later packets from other ports get ERROR 5.
   */
  readonly peerPort: 'fixed' | 'learn';
  /**
   * For simulated nodes, `learn` only: sends from one of a few sockets that many loopback addresses share, chosen by
   * this number: the same number gives the same port, the next number another. Engines without shared sockets give the
   * link its own.
   */
  readonly shared?: number | undefined;
}

/** Numbers a thread needs to use a port that another thread has taken; they cross threads. */
export interface BorrowedPort {
  /** The socket's descriptor. It belongs to the process: every thread can use it. */
  readonly fd: number;
  /** The first 32-bit words of the peer's sockaddr: family and port, and for IPv4 the address. */
  readonly peerWord: number;
  readonly addressWord: number;
  /** The worker that must run the transfer, because its packets come to that thread's socket; undefined: any. */
  readonly worker?: number | undefined;
  /**
   * Set if many transfers share the socket, and packets are told apart by both ends: `bound` to our address, or to a
   * `wildcard`. undefined: the socket is the transfer's alone.
   */
  readonly shared?: 'bound' | 'wildcard' | undefined;
  /**
   * Number of the transfer, 1..2^30 - 1, by which datagrams are assigned that a dead thread has left unread. Default 0:
   * they are not.
   */
  readonly token?: number;
}

/** A port for one transfer: taken and freed by the main thread, used by the worker in between. */
export interface TransferPort extends BorrowedPort {
  readonly local: Address;
  /** Sends the first reply, as a Link would. */
  data(wireBlock: number, view: SharedView, offset: number, length: number): void;
  control(bytes: Uint8Array, length: number): void;
  /** Closes the port. Call when no thread uses it any more; calling it again has no effect. */
  release(): void;
}

/** Reasons why a transfer gets no port. */
export type NoPort =
  /** Every port of its local address is in use, for all clients that ask there. */
  | 'usedUp'
  /** The process may open no more sockets; any transfer that ends, at any local address, frees one. */
  | 'noDescriptor'
  /** No port for this client alone: it has no route, or has just had every free port. */
  | 'unreachable';

export interface TransferPorts {
  /**
   * Opens ports ahead of time, for `transfers` at once over all these local addresses, or as many as the engine allows.
   *
   * @param isUrgent false to open them in quiet moments. Default true.
   */
  stock(locals: readonly string[], transfers: number, isUrgent?: boolean): void;
  /**
   * Takes a port. @param local the address and port that were asked. @param windowBytes bytes that may be in flight at
   * once. @param tag identifies the transfer to `strays`.
   */
  take(local: Address, peer: Address, windowBytes: number, tag: number): TransferPort | NoPort;
  /** Set by the owner; used only where transfers share ports. */
  strays?: Strays | undefined;
  /** Closes the ports in stock for good: a thread that takes no more ports keeps none. */
  close(): void;
  /**
   * Takes over the port of a transfer that another process began. Call when its address is listened on.
   *
   * @param tag see take(). @returns undefined: this process has not been given it. @throws Error for an address that is
   *   not one.
   */
  adopt?(local: Address, peer: Address, tag: number): TransferPort | undefined;
  /** Why fewer ports could be opened than were wanted; undefined while none was missing. */
  readonly shortage: string | undefined;
}

/**
 * Receives what reaches the thread that listens, but belongs to a transfer that another thread runs. Transfers are
 * named by the tags of TransferPorts.take().
 */
export interface Strays {
  /** @param opcode ACK or ERROR. @param number the block of the ACK, or the code of the ERROR, as sent. */
  onPacket(tag: number, opcode: number, number: number): void;
  /** Called when the peer's host reports that the peer's port is closed. */
  onUnreachable(tag: number): void;
}

/** A datagram that a dead thread has received and not handled. */
export interface UnreadDatagram {
  /** The token of its transfer's port; undefined: it came to a port that many transfers share. */
  readonly token?: number | undefined;
  /** The tag of its transfer, see TransferPorts.take(); undefined: its transfer has a port of its own. */
  readonly tag?: number | undefined;
  readonly bytes: Uint8Array;
}

/** Wakes threads of this process, whose engines must be of the same kind. */
export interface Wakes {
  /** @returns the identifier by which other threads wake this one. */
  listen(onWake: () => void): number;
  ring(name: number): void;
}

/**
 * Receives requests that arrive at a listening address.
 *
 * @param arrivedAt when the system received it, ms of the engine's clock: requests may wait before they are read. Now
 *   where the engine does not know.
 */
export type RequestReceiver = (
  bytes: Uint8Array,
  length: number,
  peer: Address,
  port: ListeningPort,
  arrivedAt: number,
) => void;

export interface ListeningPort {
  readonly local: Address;
  /** Sends bytes[0, length) to `peer` from this address and port. */
  reply(bytes: Uint8Array, length: number, peer: Address): void;
  close(): Promise<void>;
}

/** Losses and fallbacks of an engine, counted since its start. Zero where unknown. */
export interface EngineHealth {
  /** Datagrams dropped because a receive buffer was full. */
  readonly receiveDrops: number;
  /** Datagrams the kernel refused to send. */
  readonly sendDrops: number;
  /** Batches that the kernel or the device refused to segment (UDP_SEGMENT), and that were sent packet by packet. */
  readonly segmentFallbacks: number;
  /** Datagrams that could not be sent, by reason. */
  readonly sendErrors: Readonly<Record<SendErrno, number>>;
}

export const HEALTHY: EngineHealth = { receiveDrops: 0, sendDrops: 0, segmentFallbacks: 0, sendErrors: noSendErrors() };

/** An address in memory by its halves, each 0..2^32 - 1, and the number of bytes there. */
export interface Place {
  readonly low: number;
  readonly high: number;
  readonly length: number;
}

export interface Engine {
  readonly name: 'linux' | 'portable' | 'memory';
  readonly clock: Clock;
  /** True if one port on a wildcard address serves every local address and replies from the one that was asked. */
  readonly wildcards: boolean;
  /** Opens a listening address. @throws Error with the system's code (EADDRINUSE, EACCES, EADDRNOTAVAIL). */
  listen(local: Address, receive: RequestReceiver): Promise<ListeningPort>;
  /** Opens a link. @throws Error with the system's code when no port is available (EMFILE, EADDRNOTAVAIL). */
  link(options: LinkOptions, receiver: LinkReceiver): Promise<Link>;
  /** Maps a file whose content is to be sent; undefined: this engine sends from shared memory only. */
  readonly mapFile: MapFile | undefined;
  /** Allocates memory for the copy of a file that may be changed in place; undefined: shared memory is used. */
  readonly allocateFile: AllocateFile | undefined;
  /** Makes shared content readable in this thread. @throws Error for a mapped file where mapFile is undefined. */
  attach(handle: SharedHandle): SharedView;
  /**
   * Opens a link over a port that another thread has taken, at once: the first reply has been sent, and its answer may
   * have arrived. @throws Error when the thread has no room for one more.
   */
  adopt?(port: BorrowedPort, ends: Pick<LinkOptions, 'local' | 'peer'>, receiver: LinkReceiver): Link;
  /**
   * Set by the owner: called when datagrams of adopted ports have been read, before they are delivered. Opens the links
   * of transfers that other threads have announced: a datagram may be for one of them. Only ports that many transfers
   * share need it; others keep their datagrams.
   */
  beforeDelivery?: (() => void) | undefined;
  /** Returns the content's address in the memory of the process, for engines whose threads exchange it as numbers. */
  locate?(handle: SharedHandle): Place;
  /** Returns the view of content located by another thread. */
  viewAt?(place: Place): SharedView;
  /**
   * Returns the largest packet that goes from `local` to `peer` unfragmented as far as the system knows, bytes of an IP
   * packet: by the MTU of the route and of its interface, and by routers' reports (RFC 1191, RFC 8201). undefined: the
   * system does not know. Engines without it can't ask.
   */
  routeMtu?(local: string, peer: Address): number | undefined;
  /** Ports for transfers, owned by the thread that listens; undefined when each link opens its own port. */
  readonly transferPorts?: TransferPorts | undefined;
  /** Wakes other threads; undefined: threads can only be sent messages. */
  readonly wakes?: Wakes | undefined;
  /**
   * Frees what a thread of this process held, whose engine had this estate, after the thread has exited. No other thread
   * may use a port of the dead one before. undefined: ports end with their thread, or there are too few descriptors for a
   * thread that waits.
   *
   * @returns the datagrams that it had received and not handled, oldest first.
   */
  readonly settle?: ((estate: Estate) => UnreadDatagram[]) | undefined;
  /** Reads everything that has reached this thread's sockets, of which a turn of Node.js's loop reads only a part. */
  catchUp?(): void;
  /** Drops everything that is sent from now on. */
  mute?(): void;
  health(): EngineHealth;
  /** Set by an interested caller: histogram of the time from ACKs to the DATA they release. */
  turnaround?: LatencyHistogram | undefined;
  /** A sentence for the operator when the kernel grants smaller buffers than a storm needs; read once at start. */
  readonly advice: string | undefined;
  /** Closes every link and listening address that is still open. */
  close(): Promise<void>;
}
