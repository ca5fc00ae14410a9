/**
 * The engine for Linux, by system calls. A thread has one receive ring, one send queue and one poller; each transfer
 * has a socket of its own with a random port. The listening thread owns those sockets (transfer-ports.ts); without one,
 * a thread opens them itself.
 */
import { MonotonicClock } from '../clock.ts';
import type { Estate } from '../estate.ts';
import type { LatencyHistogram } from '../latencies.ts';
import type { SocketKeep } from '../socket-keep.ts';
import type { AllocateFile, MapFile, SharedHandle, SharedView } from '../../bytes/shared-bytes.ts';
import type {
  Address,
  BorrowedPort,
  Engine,
  EngineHealth,
  Link,
  LinkOptions,
  LinkReceiver,
  ListeningPort,
  Place,
  RequestReceiver,
  TransferPorts,
  UnreadDatagram,
  Wakes,
} from '../types.ts';
import { LearningLink } from './learning-link.ts';
import { EADDRINUSE, loadLibc, systemError, withEstate } from './libc.ts';
import { attachAddress, type LinuxView } from './linux-view.ts';
import { LinuxListening } from './listening.ts';
import { allocateFile, mapFile } from './map-file.ts';
import { MultiAddressSocket } from './multi-address-socket.ts';
import type { QueuedLink } from './queued-link.ts';
import { PortChoice, type PortRange } from './port-range.ts';
import { toSockaddr } from './socket-address.ts';
import { ThreadIo } from './thread-io.ts';
import { TransferLink } from './transfer-link.ts';
import { Ends } from './single-port/ends.ts';
import { SharedSocket } from './single-port/shared-socket.ts';
import { SinglePorts } from './single-port/single-ports.ts';
import { LinuxTransferPorts, mostDescriptors } from './transfer-ports.ts';
import { TransferSockets } from './transfer-sockets.ts';
import { routeMtu } from './udp-socket.ts';
import { unreadDatagrams } from './uring.ts';
import { UringLinks } from './uring-links.ts';
import { Wake, ring } from './wake.ts';

/** Sockets shared by simulated nodes. */
const MULTI_ADDRESS_SOCKETS = 4;
/** @limit Links of one thread. Shows: `reveille_transfers_total{outcome="aborted"}`. */
const MAX_LINKS = 65_536;
/**
 * @limit Descriptors below which no spare thread waits: transfers end with the worker that dies. Shows:
 * `reveille_transfers_lost_total{reason="engine"}`.
 */
const SPARE_DESCRIPTORS = 256;
/** Placeholder: only the thread that took a port knows its address. */
const SOMEBODYS: Address = { address: '', port: 0 };

export interface LinuxEngineOptions {
  /** Ports of transfers. Default: the system's ephemeral ports. */
  readonly dataPorts?: PortRange;
  /** Number of workers whose transfers share the listening port. Default: each transfer has a port of its own. */
  readonly singlePort?: number;
  /** Descriptors for HTTP connections, which ports of transfers must leave. Default 0. */
  readonly reserved?: number;
  /** True where files are sent by sendfile(2) too, which needs descriptors of them. Default false. */
  readonly sendsFiles?: boolean;
  /** Maximum of sockets that transferPorts opens. Default: the process's limit, less some for other uses. */
  readonly descriptors?: number;
  /** True reads and writes adopted ports by io_uring where available, false by a call for each. Default true. */
  readonly uring?: boolean;
  /** The list of what the thread holds, for the main thread to settle. Default: none. */
  readonly estate?: Estate;
  /** Listening sockets that outlive this process. Default: none does. */
  readonly keep?: SocketKeep | undefined;
  /** Maximum of links at once in this thread. Default 65,536. */
  readonly links?: number;
}

export class LinuxEngine implements Engine {
  readonly #sendsFiles: boolean;
  readonly clock = new MonotonicClock((fn) => this.#io.poller.aside(fn));
  readonly name = 'linux';
  readonly wildcards = true;
  readonly #io: ThreadIo;
  readonly #maxLinks: number;
  readonly #keep: SocketKeep | undefined;
  readonly #choice: PortChoice;
  readonly transferPorts: TransferPorts;
  readonly #singlePorts: SinglePorts | undefined;
  /** Ports of other threads that this thread's transfers share, by descriptor. */
  readonly #shared = new Map<number, SharedSocket>();
  beforeDelivery: (() => void) | undefined;
  /** Ports of links that this thread opens itself, by local address. */
  readonly #sockets = new Map<string, TransferSockets>();
  readonly #links = new Set<TransferLink>();
  readonly #wakes = new Set<Wake>();
  readonly #learning = new Set<LearningLink>();
  readonly #listening = new Set<LinuxListening>();
  /** Sockets that send from any loopback address. */
  readonly #multiAddress: MultiAddressSocket[] = [];
  #uringLinks: UringLinks | undefined;
  #mayUring: boolean;
  readonly settle: Engine['settle'];
  #closed = false;

  /** @throws Error when this machine can't run it: see loadLibc. */
  constructor(options: LinuxEngineOptions = {}) {
    this.#sendsFiles = options.sendsFiles ?? false;
    this.#keep = options.keep;
    this.#maxLinks = options.links ?? MAX_LINKS;
    const { estate } = options;
    const libc = estate === undefined ? loadLibc() : withEstate(loadLibc(), estate);
    this.#io = new ThreadIo(libc, this.#maxLinks, this.clock);
    this.#mayUring = options.uring ?? true;
    this.settle = mostDescriptors(libc) < SPARE_DESCRIPTORS ? undefined : this.#settle;
    this.#choice = new PortChoice(options.dataPorts);
    this.#singlePorts =
      options.singlePort === undefined
        ? undefined
        : new SinglePorts(this.#io, options.singlePort, this.#forgetShared, options.keep);
    this.transferPorts =
      this.#singlePorts ??
      new LinuxTransferPorts(this.#io, this.#choice, options.descriptors, options.reserved, options.keep);
  }

  async listen(local: Address, receive: RequestReceiver): Promise<ListeningPort> {
    this.#expectOpen();
    const forget = (): void => void this.#listening.delete(listening);
    const shared = this.#singlePorts?.open(local);
    const listening =
      shared === undefined
        ? LinuxListening.open(this.#io, local, receive, forget, this.#keep)
        : new LinuxListening(this.#io, shared.group.main, receive, forget, { sharing: shared });
    this.#listening.add(listening);
    return listening;
  }

  async link(options: LinkOptions, receiver: LinkReceiver): Promise<Link> {
    this.#expectOpen();
    if (options.peerPort === 'learn') {
      const { shared } = options;
      if (shared !== undefined && options.local.startsWith('127.')) return this.#openNode(options, shared, receiver);
      const link = LearningLink.open(this.#io, options, receiver, () => this.#learning.delete(link));
      this.#learning.add(link);
      return link;
    }
    const sockaddr = toSockaddr(this.#io.libc, options.peer);
    return this.#openOwn(options.local, options.peer, sockaddr, receiver);
  }

  adopt(port: BorrowedPort, { local, peer }: Pick<LinkOptions, 'local' | 'peer'>, receiver: LinkReceiver): Link {
    this.#expectOpen();
    if (port.shared !== undefined) {
      const ends = new Ends(this.#io.libc, local, peer, port.shared === 'wildcard');
      return this.#sharedSocket(port.fd, ends).open(ends, receiver);
    }
    const uring = this.#useUring();
    if (uring !== undefined) return uring.open(port.fd, port.token ?? 0, SOMEBODYS, receiver, () => {});
    return this.#openLink(port.fd, SOMEBODYS, port, receiver, this.#forget);
  }

  #sharedSocket(fd: number, { family }: Ends): SharedSocket {
    let socket = this.#shared.get(fd);
    if (socket === undefined) {
      socket = new SharedSocket(this.#io, fd, family, () => this.beforeDelivery?.());
      this.#shared.set(fd, socket);
    }
    return socket;
  }

  readonly #forgetShared = (fd: number): void => {
    this.#shared.get(fd)?.close();
    this.#shared.delete(fd);
  };

  /** Creates io_uring for the first adopted port; where the system has none, each socket is read by itself. */
  #useUring(): UringLinks | undefined {
    if (this.#uringLinks !== undefined || !this.#mayUring) return this.#uringLinks;
    try {
      this.#uringLinks = new UringLinks(this.#io);
    } catch {
      this.#mayUring = false;
    }
    return this.#uringLinks;
  }

  #openLink(
    fd: number,
    local: Address,
    peer: Omit<BorrowedPort, 'fd'>,
    receiver: LinkReceiver,
    onClosed: (link: QueuedLink) => void,
  ): TransferLink {
    if (this.#links.size >= this.#maxLinks) {
      throw Object.assign(new Error(`Expected at most ${this.#maxLinks} links in a thread`), { code: 'EMFILE' });
    }
    const link = new TransferLink(this.#io, fd, local, peer, receiver, onClosed);
    this.#links.add(link);
    return link;
  }

  readonly #forget = (link: QueuedLink): void => {
    this.#links.delete(link as TransferLink);
  };

  /** Opens links of threads without assigned ports: downloads, and tests. */
  #openOwn(local: string, peer: Address, sockaddr: Uint8Array, receiver: LinkReceiver): TransferLink {
    let sockets = this.#sockets.get(local);
    if (sockets === undefined) {
      sockets = new TransferSockets(this.#io.libc, local, this.#choice, { left: Number.POSITIVE_INFINITY }, () =>
        this.clock.now(),
      );
      this.#sockets.set(local, sockets);
    }
    const socket = sockets.take(sockaddr, peer, 0);
    if (typeof socket === 'string') throw systemError('connect', sockets.lastErrno || EADDRINUSE);
    this.#io.discard(socket.fd);
    const words = new Int32Array(sockaddr.buffer);
    const ends = { peerWord: words[0]!, addressWord: words[1]! };
    return this.#openLink(socket.fd, socket.local, ends, receiver, (link) => {
      this.#forget(link);
      sockets.giveBack(socket, peer);
    });
  }

  readonly wakes: Wakes = {
    listen: (onWake) => {
      const wake = new Wake(this.#io, onWake);
      this.#wakes.add(wake);
      return wake.fd;
    },
    ring: (name) => ring(this.#io.libc, name),
  };

  locate(handle: SharedHandle): Place {
    return attachAddress(this.#io.libc, handle);
  }

  viewAt({ low, high, length }: Place): SharedView {
    const view: LinuxView = { low, high, length, memory: undefined };
    return view;
  }

  /** A closed engine's memory is unmapped: late calls must not write to it. */
  #expectOpen(): void {
    if (this.#closed) throw Object.assign(new Error('The engine is closed'), { code: 'ECANCELED' });
  }

  /** Opens a client's link from a loopback address: the address identifies the link, so few sockets suffice. */
  #openNode(options: LinkOptions, first: number, receiver: LinkReceiver): Link {
    const local = new Int32Array(toSockaddr(this.#io.libc, { address: options.local, port: 0 }).buffer);
    while (this.#multiAddress.length < MULTI_ADDRESS_SOCKETS) this.#multiAddress.push(new MultiAddressSocket(this.#io));
    for (let turn = 0; turn < this.#multiAddress.length; turn++) {
      const socket = this.#multiAddress[(first + turn) % this.#multiAddress.length]!;
      if (!socket.has(local)) return socket.open(options, local, receiver);
    }
    const socket = new MultiAddressSocket(this.#io);
    this.#multiAddress.push(socket);
    return socket.open(options, local, receiver);
  }

  routeMtu(local: string, peer: Address): number | undefined {
    return routeMtu(this.#io.libc, local, peer);
  }

  get advice(): string | undefined {
    const cut = [...this.#listening].some(({ receiveBufferCut }) => receiveBufferCut);
    return cut ? 'the kernel limits receive buffers: raise net.core.rmem_max to at least 16777216' : undefined;
  }

  health(): EngineHealth {
    const sockets = [...this.#listening, ...this.#multiAddress, ...this.#shared.values()];
    const { segmentFallbacks, dropped, errors } = this.#io.queue.counts;
    const open = sockets.reduce((sum, { drops }) => sum + drops, 0);
    return { receiveDrops: open, sendDrops: dropped, segmentFallbacks, sendErrors: { ...errors } };
  }

  set turnaround(histogram: LatencyHistogram | undefined) {
    this.#io.turnaround = histogram;
  }

  readonly mapFile: MapFile = (fd, length) => mapFile(this.#io.libc, fd, length, this.#sendsFiles);

  readonly allocateFile: AllocateFile = (length) => allocateFile(this.#io.libc, length, this.#sendsFiles);

  attach(handle: SharedHandle): SharedView {
    return attachAddress(this.#io.libc, handle);
  }

  readonly #settle = (estate: Estate): UnreadDatagram[] => {
    const { libc } = this.#io;
    const { ring: place, batch } = estate;
    const unread = place === undefined ? [] : unreadDatagrams(libc, place);
    if (batch !== undefined) unread.push(...(this.#singlePorts?.unread(batch) ?? []));
    for (const fd of estate.fds) libc.close(fd);
    for (const { address, length } of estate.mappings) libc.munmap(BigInt(address), length);
    estate.clear();
    return unread;
  };

  catchUp(): void {
    if (!this.#closed) this.#io.poller.catchUp();
  }

  mute(): void {
    this.#io.queue.isMute = true;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const listening of this.#listening) await listening.close();
    for (const link of this.#learning) link.close();
    for (const link of this.#links) link.close();
    this.#uringLinks?.close();
    for (const socket of this.#multiAddress) socket.close();
    for (const socket of this.#shared.values()) socket.close();
    for (const wake of this.#wakes) wake.close();
    for (const sockets of this.#sockets.values()) sockets.close();
    this.transferPorts.close();
    this.#io.close();
  }
}
