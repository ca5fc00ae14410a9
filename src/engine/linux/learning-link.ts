/** The client's side of a conversation: a socket of its own, whose peer's port is that of the first answer. */
import { MAX_CONTROL, encodeError } from '../../protocol/encode.ts';
import { ERROR_CODE, OPCODE } from '../../protocol/opcode.ts';
import type { SharedView } from '../shared-bytes.ts';
import type { Address, Link, LinkOptions, LinkReceiver } from '../types.ts';
import { AF_INET, ECONNREFUSED, IPV6_RECVERR, IP_RECVERR, SOCKADDR_ROOM, SOL_IP, SOL_IPV6 } from './libc.ts';
import type { Readable } from './poller.ts';
import type { Destination, Outlet } from './send-queue.ts';
import { fromSockaddr, sockaddrLength, toSockaddr } from './socket-address.ts';
import type { ThreadIo } from './thread-io.ts';
import { UdpSocket } from './udp-socket.ts';

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** Packets from strangers that one link answers with ERROR 5. */
const STRANGER_ANSWERS = 8;

export class LearningLink implements Link, Readable, Outlet, Destination {
  readonly fd: number;
  readonly sockaddrLength: number;
  readonly outlet: Outlet = this;
  readonly at: number;
  readonly controlLength = 0;
  queuedIn = -1;
  segmentLimit = 0;
  readonly #io: ThreadIo;
  readonly #socket: UdpSocket;
  readonly #receiver: LinkReceiver;
  readonly #onClosed: () => void;
  #peer: Address;
  #learning = true;
  #strangerAnswers = STRANGER_ANSWERS;
  #closed = false;

  /** @throws Error with the system's code. */
  constructor(io: ThreadIo, options: LinkOptions, receiver: LinkReceiver, onClosed: () => void) {
    this.#io = io;
    this.#receiver = receiver;
    this.#onClosed = onClosed;
    this.#peer = options.peer;
    const sockaddr = toSockaddr(io.libc, options.peer);
    this.#socket = new UdpSocket(io.libc, {
      local: { address: options.local, port: 0 },
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      packetInfo: false,
    });
    this.fd = this.#socket.fd;
    this.sockaddrLength = sockaddrLength(this.#socket.family);
    try {
      this.at = io.takeDestination(sockaddr);
    } catch (cause) {
      this.#socket.close();
      throw cause;
    }
    io.poller.add(this);
  }

  get local(): Address {
    return this.#socket.local;
  }

  onReadable(): void {
    const { ring } = this.#io;
    const count = ring.receive(this.fd);
    this.#io.batch(() => {
      for (let slot = 0; slot < count && !this.#closed; slot++) this.#onDatagram(slot);
    });
  }

  onErrorQueue(): void {
    this.drainErrors();
  }

  drainErrors(): void {
    const v4 = this.#socket.family === AF_INET;
    this.#io.drainErrors(this.fd, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, (errno) => {
      if (errno === ECONNREFUSED && !this.#closed) this.#receiver.onUnreachable();
    });
  }

  data(wireBlock: number, view: SharedView, offset: number, length: number): void {
    if (!this.#closed) this.#io.data(this, wireBlock, view, offset, length);
  }

  control(bytes: Uint8Array, length: number): void {
    if (!this.#closed) this.#io.control(this, bytes, length);
  }

  onUnreadable(): void {
    if (!this.#closed) this.#receiver.onUnreadable();
  }

  close(): void {
    if (this.#closed) return;
    if (this.#io.queue.holds(this)) this.#io.queue.flush();
    this.#closed = true;
    this.#io.releaseDestination(this.at);
    this.#io.poller.remove(this);
    this.#socket.close();
    this.#onClosed();
  }

  #onDatagram(slot: number): void {
    const { ring, queue, libc } = this.#io;
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
    this.#receiver.onDatagram(ring.datagrams[slot]!, ring.length(slot));
  }

  /** RFC 1350 §4: another transfer's packet gets ERROR 5 and disturbs nothing. An ERROR is never answered. */
  #rejectStranger(slot: number): void {
    const { ring, queue, libc } = this.#io;
    const isError = ring.length(slot) < 2 || ring.datagrams[slot]![1] === OPCODE.ERROR;
    if (isError || this.#strangerAnswers-- <= 0) return;
    const packet = new Uint8Array(MAX_CONTROL);
    const length = encodeError(packet, ERROR_CODE.UNKNOWN_TID, 'Unknown transfer ID');
    const at = ring.peerWord(slot) << 2;
    // The link's record is lent to the stranger for this one packet.
    queue.flush();
    queue.describe(this.at, ring.bytes.subarray(at, at + SOCKADDR_ROOM));
    queue.control(this, packet, length);
    queue.flush();
    queue.describe(this.at, toSockaddr(libc, this.#peer));
  }
}
