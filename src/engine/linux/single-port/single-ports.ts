/**
 * The main thread's end of shared ports: opens them, gives each transfer to the worker that its client's address names,
 * sends first replies, and passes on what belongs to a transfer but reached this thread.
 */
import { OPCODE } from '../../../protocol/opcode.ts';
import type { BatchPlace } from '../../estate.ts';
import type { SocketKeep } from '../../socket-keep.ts';
import type { Address, NoPort, Strays, TransferPort, TransferPorts, UnreadDatagram } from '../../types.ts';
import { AF_INET, ECONNREFUSED, ENETUNREACH } from '../libc.ts';
import type { Readable } from '../poller.ts';
import { QueuedPort } from '../queued-link.ts';
import { type Outlet, UNLIMITED } from '../send-queue.ts';
import { familyOf, sockaddrLength } from '../socket-address.ts';
import type { ThreadIo } from '../thread-io.ts';
import type { UdpSocket } from '../udp-socket.ts';
import { EndTable } from './end-table.ts';
import { Ends, LocalEnd } from './ends.ts';
import { PortGroup } from './port-group.ts';
import { workerOf } from './steering.ts';

export class SinglePorts implements TransferPorts {
  readonly shortage = undefined;
  strays: Strays | undefined;
  readonly #io: ThreadIo;
  readonly #workers: number;
  readonly #onClosing: (fd: number) => void;
  readonly #keep: SocketKeep | undefined;
  /** By "address|port" listened on. They stay until the end: workers read their sockets. */
  readonly #groups = new Map<string, SharedPort>();

  /**
   * @param onClosing called with each worker's socket before it is closed. @param keep a parent that keeps copies of the
   *   sockets.
   */
  constructor(io: ThreadIo, workers: number, onClosing: (fd: number) => void, keep?: SocketKeep) {
    this.#io = io;
    this.#keep = keep;
    this.#workers = workers;
    this.#onClosing = onClosing;
  }

  /** Opens an address, or returns it if it has been open before. @throws Error with the system's code. */
  open(local: Address): SharedPort {
    const known = this.#groups.get(keyOf(local.address, local.port));
    if (known !== undefined) {
      // Requests that came while nobody listened are of no use any more.
      this.#io.discard(known.fd);
      return known;
    }
    const group = new PortGroup(this.#io.libc, local, this.#workers, this.#keep);
    const port = new SharedPort(this.#io, group, () => this.strays);
    this.#groups.set(keyOf(local.address, group.main.local.port), port);
    return port;
  }

  /** Nothing needs to be opened ahead of time. */
  stock(): void {}

  take(local: Address, peer: Address, _windowBytes: number, tag: number): TransferPort | NoPort {
    const wildcard = familyOf(local.address) === AF_INET ? '0.0.0.0' : '::';
    const port = this.#groups.get(keyOf(local.address, local.port)) ?? this.#groups.get(keyOf(wildcard, local.port));
    if (port === undefined || familyOf(peer.address) !== familyOf(local.address)) return 'unreachable';
    let ends: Ends;
    try {
      ends = new Ends(this.#io.libc, local.address, peer, port.group.isWildcard);
    } catch {
      // The interface named by an address's scope no longer exists.
      this.#io.queue.dropped(1, ENETUNREACH);
      return 'unreachable';
    }
    try {
      return port.take(local, ends, workerOf(ends.peerWords, 0, this.#workers), tag);
    } catch {
      return 'noDescriptor';
    }
  }

  /** Returns the datagrams of a batch that a dead thread has not delivered, oldest first. */
  unread(batch: BatchPlace): UnreadDatagram[] {
    const port = [...this.#groups.values()].find(({ group }) => group.workers.some(({ fd }) => fd === batch.fd));
    return port === undefined ? [] : port.unread(batch);
  }

  adopt(local: Address, peer: Address, tag: number): TransferPort | undefined {
    const port = this.take(local, peer, 0, tag);
    return typeof port === 'string' ? undefined : port;
  }

  close(): void {
    for (const port of this.#groups.values()) {
      for (const { fd } of port.group.workers) this.#onClosing(fd);
      port.close();
    }
    this.#groups.clear();
  }
}

function keyOf(address: string, port: number): string {
  return `${address}|${port}`;
}

/** One address listened on, with the transfers that run there. */
export class SharedPort implements Outlet {
  readonly group: PortGroup;
  readonly fd: number;
  readonly isShared = true;
  readonly sockaddrLength: number;
  readonly ringId = -1;
  segmented = 0;
  segmentLimit = UNLIMITED;
  readonly #io: ThreadIo;
  readonly #strays: () => Strays | undefined;
  readonly #transfers: EndTable<SinglePort>;
  readonly #watches: readonly ErrorWatch[];

  constructor(io: ThreadIo, group: PortGroup, strays: () => Strays | undefined) {
    this.#io = io;
    this.group = group;
    this.fd = group.main.fd;
    this.sockaddrLength = sockaddrLength(group.main.family);
    this.#strays = strays;
    this.#transfers = new EndTable(group.main.family);
    this.#watches = group.workers.map((socket) => new ErrorWatch(io, socket, this.onClosedPort));
  }

  /** @throws Error when this thread has no room for one more transfer. */
  take(local: Address, ends: Ends, worker: number, tag: number): TransferPort {
    const { peer, peerWords, control } = ends;
    const at = this.#io.takeDestination(peer, control);
    const { fd } = this.group.workers[worker]!;
    const parts = { local, at, controlLength: control.length, fd, worker, tag };
    const port = new SinglePort(this.#io, this, parts, () => {
      this.#io.releaseDestination(at);
      this.#transfers.delete(peerWords, 0, ends.local, 0, port);
    });
    this.#transfers.set(peerWords, 0, ends.local, 0, port);
    return port;
  }

  /** Passes on a report that the peer's port is closed: the kernel gives it to any of the sockets. */
  readonly onClosedPort = (errno: number, words: Int32Array, at: number): void => {
    if (errno !== ECONNREFUSED) return;
    for (const { tag } of this.#transfers.findAll(words, at)) this.#strays()?.onUnreachable(tag);
  };

  /**
   * Passes on a packet of a transfer that the filter could not give to its worker, such as one with extension headers.
   *
   * @returns false for any other datagram.
   */
  forward(bytes: Uint8Array, length: number, words: Int32Array, at: number, local: string): boolean {
    if (length < 4 || bytes[0] !== 0 || (bytes[1] !== OPCODE.ACK && bytes[1] !== OPCODE.ERROR)) return false;
    const transfer = this.#transfers.findAll(words, at).find((one) => one.local.address === local);
    if (transfer === undefined) return false;
    this.#strays()?.onPacket(transfer.tag, bytes[1], (bytes[2]! << 8) | bytes[3]!);
    return true;
  }

  unread({ memory, next, count }: BatchPlace): UnreadDatagram[] {
    const ring = this.#io.sharedRingAt(BigInt(memory));
    const local = new LocalEnd(this.group.main.family);
    const unread: UnreadDatagram[] = [];
    for (let slot = next; slot < count; slot++) {
      local.read(ring, slot);
      const transfer = this.#transfers.find(ring.words, ring.peerWord(slot), local.words, 0);
      if (transfer === undefined) continue;
      unread.push({ tag: transfer.tag, bytes: ring.datagrams[slot]!.slice(0, ring.length(slot)) });
    }
    return unread;
  }

  drainErrors(): void {
    this.#io.drainErrors(this.group.main, this.onClosedPort);
  }

  close(): void {
    for (const watch of this.#watches) watch.close();
    this.group.close();
  }
}

/** Reads the error queue of a worker's socket, and nothing else. */
class ErrorWatch implements Readable {
  readonly fd: number;
  readonly readsOnlyErrors = true;
  readonly #io: ThreadIo;
  readonly #socket: UdpSocket;
  readonly #onError: SharedPort['onClosedPort'];

  constructor(io: ThreadIo, socket: UdpSocket, onError: SharedPort['onClosedPort']) {
    this.#io = io;
    this.#socket = socket;
    this.#onError = onError;
    this.fd = socket.fd;
    io.poller.add(this);
  }

  onReadable(): void {}

  drainErrors(): void {
    this.#io.drainErrors(this.#socket, this.#onError);
  }

  close(): void {
    this.#io.poller.remove(this);
  }
}

interface SinglePortParts {
  readonly local: Address;
  /** Its record in this thread's send queue, and the length of its control message. */
  readonly at: number;
  readonly controlLength: number;
  /** The worker's socket. */
  readonly fd: number;
  readonly worker: number;
  readonly tag: number;
}

/** One transfer, until its worker has ended it. */
class SinglePort extends QueuedPort {
  readonly fd: number;
  readonly worker: number;
  readonly shared: 'bound' | 'wildcard';
  readonly tag: number;
  readonly peerWord = 0;
  readonly addressWord = 0;
  readonly local: Address;
  readonly outlet: SharedPort;
  readonly #forget: () => void;

  constructor(io: ThreadIo, outlet: SharedPort, parts: SinglePortParts, forget: () => void) {
    super(io, parts.at, parts.controlLength);
    this.outlet = outlet;
    this.fd = parts.fd;
    this.worker = parts.worker;
    this.shared = outlet.group.isWildcard ? 'wildcard' : 'bound';
    this.tag = parts.tag;
    this.local = parts.local;
    this.#forget = forget;
  }

  protected onReleased(): void {
    this.#forget();
  }
}
