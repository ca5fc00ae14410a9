/** The client's link: a socket of its own. The first reply's port becomes the peer's port. */
import { STRANGER_ANSWERS, UNKNOWN_TID, isAnswerable } from '../stranger.ts';
import type { Address, LinkOptions, LinkReceiver } from '../types.ts';
import { ECONNREFUSED, SOCKADDR_ROOM } from './libc.ts';
import type { Readable } from './poller.ts';
import { QueuedLink } from './queued-link.ts';
import type { Outlet } from './send-queue.ts';
import { fromSockaddr, sockaddrLength, toSockaddr } from './socket-address.ts';
import type { ThreadIo } from './thread-io.ts';
import { UdpSocket } from './udp-socket.ts';

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

export class LearningLink extends QueuedLink implements Readable, Outlet {
  readonly fd: number;
  readonly sockaddrLength: number;
  readonly outlet: Outlet = this;
  readonly ringId = -1;
  segmented = 0;
  segmentLimit = 0;
  readonly #socket: UdpSocket;
  #peer: Address;
  #learning = true;
  #strangerAnswers = STRANGER_ANSWERS;

  private constructor(
    io: ThreadIo,
    socket: UdpSocket,
    at: number,
    peer: Address,
    receiver: LinkReceiver,
    onClosed: () => void,
  ) {
    super(io, at, 0, receiver, () => {
      io.poller.remove(this);
      socket.close();
      onClosed();
    });
    this.#socket = socket;
    this.#peer = peer;
    this.fd = socket.fd;
    this.sockaddrLength = sockaddrLength(socket.family);
    io.poller.add(this);
  }

  /** @throws Error with the system's code. */
  static open(io: ThreadIo, options: LinkOptions, receiver: LinkReceiver, onClosed: () => void): LearningLink {
    const { local, peer } = options;
    const sockaddr = toSockaddr(io.libc, peer);
    const socket = new UdpSocket(io.libc, {
      local: { address: local, port: 0 },
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      packetInfo: false,
    });
    try {
      return new LearningLink(io, socket, io.takeDestination(sockaddr), peer, receiver, onClosed);
    } catch (cause) {
      socket.close();
      throw cause;
    }
  }

  get local(): Address {
    return this.#socket.local;
  }

  onReadable(): void {
    const { ring } = this.io;
    const count = ring.receive(this.fd);
    this.io.batch(count, () => {
      for (let slot = 0; slot < count && !this.closed; slot++) this.#onDatagram(slot);
    });
  }

  drainErrors(): void {
    this.io.drainErrors(this.#socket, (errno) => {
      if (errno === ECONNREFUSED && !this.closed) this.receiver.onUnreachable();
    });
  }

  #onDatagram(slot: number): void {
    const { ring, queue, libc } = this.io;
    const at = ring.peerWord(slot) << 2;
    const from = fromSockaddr(libc, ring.bytes, at);
    if (from.address !== this.#peer.address) return;
    if (this.#learning) {
      this.#learning = false;
      this.#peer = from;
      queue.describe(this.at, ring.bytes.subarray(at, at + SOCKADDR_ROOM));
    } else if (from.port !== this.#peer.port) {
      this.#rejectStranger(slot);
      return;
    }
    this.receiver.onDatagram(ring.datagrams[slot]!, ring.length(slot));
  }

  #rejectStranger(slot: number): void {
    const { ring, queue, libc } = this.io;
    this.receiver.onStranger?.(ring.datagrams[slot]!, ring.length(slot));
    if (!isAnswerable(ring.datagrams[slot]!, ring.length(slot)) || this.#strangerAnswers-- <= 0) return;
    const at = ring.peerWord(slot) << 2;
    // The link's record is lent to the stranger for this one packet.
    queue.flush();
    queue.describe(this.at, ring.bytes.subarray(at, at + SOCKADDR_ROOM));
    queue.control(this, UNKNOWN_TID, UNKNOWN_TID.length);
    queue.flush();
    queue.describe(this.at, toSockaddr(libc, this.#peer));
  }
}
