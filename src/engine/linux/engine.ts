/**
 * The engine for Linux: few sockets for many transfers, datagrams by the batch. A thread has one receive ring, one
 * send queue and one poller; each local address has a few sockets with random ports, over which its transfers are
 * spread at random.
 */
import { MonotonicClock } from '../clock.ts';
import type { LatencyHistogram } from '../latencies.ts';
import type { MapFile, SharedHandle, SharedView } from '../../bytes/shared-bytes.ts';
import type {
  Address,
  Engine,
  EngineHealth,
  Link,
  LinkOptions,
  LinkReceiver,
  ListeningPort,
  RequestReceiver,
} from '../types.ts';
import { LearningLink } from './learning-link.ts';
import { loadLibc } from './libc.ts';
import { LinkSocket } from './link-socket.ts';
import { attachAddress } from './linux-view.ts';
import { LinuxListening } from './listening.ts';
import { copyFile, mapFile } from './map-file.ts';
import { MultiAddressSocket } from './multi-address-socket.ts';
import { toSockaddr } from './socket-address.ts';
import { ThreadIo } from './thread-io.ts';

/** A port that has been seen can be aimed at, so none is used for new transfers longer than this. */
const PORT_LIFE_MS = 600_000;
/** Sockets for simulated nodes. */
const MULTI_ADDRESS_SOCKETS = 4;
const MAX_LINKS = 65_536;

export interface LinuxEngineOptions {
  /** Sockets per local address over which a thread spreads its transfers. Default 4. */
  readonly portsPerWorker?: number;
  /** Conversations at once in this thread. Default 65,536. */
  readonly links?: number;
}

export class LinuxEngine implements Engine {
  readonly clock = new MonotonicClock();
  readonly name = 'linux';
  readonly wildcards = true;
  readonly #io: ThreadIo;
  readonly #portsPerWorker: number;
  /** The sockets that take new links, by local address. */
  readonly #sockets = new Map<string, LinkSocket[]>();
  /** Sockets past their time, until their last link has ended. */
  readonly #retired = new Set<LinkSocket>();
  readonly #learning = new Set<LearningLink>();
  readonly #listening = new Set<LinuxListening>();
  /** Sockets that speak for loopback addresses. */
  readonly #multiAddress: MultiAddressSocket[] = [];
  /** Drops of sockets that are closed. */
  #closedDrops = 0;
  #closed = false;

  /** @throws Error when this machine can't run it: see loadLibc. */
  constructor(options: LinuxEngineOptions = {}) {
    this.#io = new ThreadIo(loadLibc(), options.links ?? MAX_LINKS, this.clock);
    this.#portsPerWorker = options.portsPerWorker ?? 4;
  }

  async listen(local: Address, receive: RequestReceiver): Promise<ListeningPort> {
    this.#expectOpen();
    const listening = new LinuxListening(this.#io, local, receive, () => this.#listening.delete(listening));
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
    const sockaddr = new Int32Array(toSockaddr(this.#io.libc, options.peer).buffer);
    const socket = this.#choose(options.local, sockaddr);
    return socket.open(sockaddr, receiver);
  }

  /** The memory of a closed engine is gone: whoever came late must not write to it. */
  #expectOpen(): void {
    if (this.#closed) throw Object.assign(new Error('The engine is closed'), { code: 'ECANCELED' });
  }

  /** A client's conversation from a loopback address: the address picks the link, so sockets can be few. */
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

  get advice(): string | undefined {
    const cut = [...this.#listening].some(({ receiveBufferCut }) => receiveBufferCut);
    return cut ? 'the kernel grants small receive buffers: raise net.core.rmem_max to 16777216 or more' : undefined;
  }

  health(): EngineHealth {
    const sockets = [
      ...this.#listening,
      ...[...this.#sockets.values()].flat(),
      ...this.#retired,
      ...this.#multiAddress,
    ];
    const { segmentFallbacks, dropped, errors } = this.#io.queue.counts;
    const open = sockets.reduce((sum, { drops }) => sum + drops, 0);
    return { receiveDrops: this.#closedDrops + open, sendDrops: dropped, segmentFallbacks, sendErrors: { ...errors } };
  }

  set turnaround(histogram: LatencyHistogram | undefined) {
    this.#io.turnaround = histogram;
  }

  readonly mapFile: MapFile = (fd, length) => mapFile(this.#io.libc, fd, length);

  readonly copyFile: MapFile = (fd, length) => copyFile(this.#io.libc, fd, length);

  attach(handle: SharedHandle): SharedView {
    return attachAddress(this.#io.libc, handle);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const listening of this.#listening) await listening.close();
    for (const link of this.#learning) link.close();
    for (const socket of [...[...this.#sockets.values()].flat(), ...this.#retired, ...this.#multiAddress])
      socket.close();
    this.#io.close();
  }

  /** A socket at random that has no link to this peer yet: a client that begins anew is answered from another port. */
  #choose(local: string, sockaddr: Int32Array): LinkSocket {
    const sockets = this.#current(local);
    const first = Math.floor(Math.random() * sockets.length);
    for (let turn = 0; turn < sockets.length; turn++) {
      const socket = sockets[(first + turn) % sockets.length]!;
      if (!socket.has(sockaddr, this.clock.now())) return socket;
    }
    // This client has begun anew on every port already.
    const extra = this.#openSocket(local, this.clock.now());
    this.#retired.add(extra);
    return extra;
  }

  /** The sockets of a local address, those past their time replaced. */
  #current(local: string): LinkSocket[] {
    const now = this.clock.now();
    let sockets = this.#sockets.get(local);
    if (sockets === undefined) {
      sockets = Array.from({ length: this.#portsPerWorker }, () => this.#openSocket(local, now));
      this.#sockets.set(local, sockets);
    }
    for (const [index, socket] of sockets.entries()) {
      if (now - socket.openedAt < PORT_LIFE_MS) continue;
      sockets[index] = this.#openSocket(local, now);
      this.#retired.add(socket);
      this.#closeIfDone(socket);
    }
    return sockets;
  }

  #openSocket(local: string, now: number): LinkSocket {
    return new LinkSocket(this.#io, local, now, this.#closeIfDone);
  }

  readonly #closeIfDone = (socket: LinkSocket): void => {
    if (socket.links > 0 || !this.#retired.delete(socket)) return;
    this.#closedDrops += socket.drops;
    socket.close();
  };
}
