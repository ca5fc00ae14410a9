/**
 * The engine that runs wherever Node.js does: node:dgram, a socket for each link. A socket of its own, connected to its
 * peer, has three advantages: the kernel keeps strangers away from it, its port is as random as the system's ephemeral
 * range, and a dead client shows at once (ECONNREFUSED reaches connected sockets only).
 */
import { createSocket, type Socket, type SocketOptions } from 'node:dgram';
import { isIPv6, SocketAddress } from 'node:net';
import { DATA_HEADER, encodeDataHeader } from '../protocol/encode.ts';
import { OPCODE } from '../protocol/opcode.ts';
import { MonotonicClock } from './clock.ts';
import type { LatencyHistogram } from './latencies.ts';
import { noSendErrors, sendErrno } from './send-errors.ts';
import { attachShared, type BytesView, type SharedHandle, type SharedView } from '../bytes/shared-bytes.ts';
import { SharedLinks } from './shared-links.ts';
import { isAnswerable, STRANGER_ANSWERS, UNKNOWN_TID } from './stranger.ts';
import type {
  Address,
  Clock,
  Engine,
  EngineHealth,
  Link,
  LinkOptions,
  LinkReceiver,
  ListeningPort,
  RequestReceiver,
} from './types.ts';

/**
 * Room for a storm's first second of requests, and for a window of large blocks. The kernel may grant less.
 * @limit Receive buffer that the portable engine requests from the kernel. Shows: `UdpRcvbufErrors` of the kernel.
 */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/** One datagram in this many is timed. */
const MEASURED_DATAGRAM = 8;

/**
 * The headers of all 65,536 DATA packets. A send that the kernel defers keeps a reference to its header, so headers are
 * never overwritten.
 */
const HEADERS = new Uint8Array(0x10000 * DATA_HEADER);
for (let block = 0; block < 0x10000; block++) encodeDataHeader(HEADERS.subarray(block * DATA_HEADER), block);

/**
 * Addresses here are already numeric. Node.js's own lookup would defer every send to a later turn of the event loop,
 * and a socket closed meanwhile (after the last ACK of a download) would not send at all.
 */
const lookup: NonNullable<SocketOptions['lookup']> = (address, _options, done) => {
  done(null, address, isIPv6(address) ? 6 : 4);
};

async function openSocket(
  local: string,
  port: number,
  options: Pick<SocketOptions, 'recvBufferSize'>,
): Promise<Socket> {
  const type = isIPv6(local) ? 'udp6' : 'udp4';
  const socket = createSocket({ type, ipv6Only: type === 'udp6', lookup, ...options });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind({ address: local, port, exclusive: true }, () => {
      socket.removeAllListeners('error');
      resolve();
    });
  });
  return socket;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
    socket.close();
  });
}

function connect(socket: Socket, peer: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.connect(peer.port, peer.address, (error?: Error | null) => {
      if (error === undefined || error === null) resolve();
      else reject(error);
    });
  });
}

/**
 * Sends a datagram, unless it is for port 0, which can't be reached though a datagram may claim to come from there (RFC
 * 768); Node.js throws at it.
 */
function sendTo(
  socket: Socket,
  parts: Uint8Array | Uint8Array[],
  { address, port }: Address,
  sent: (error: Error | null) => void,
): void {
  if (port !== 0) socket.send(parts, port, address, sent);
}

/** Returns an address in the system's spelling: peers are told apart by comparing texts. */
function canonical(text: string): string {
  const [address = text, zone] = text.split('%');
  if (!isIPv6(address)) return text;
  const written = new SocketAddress({ address, family: 'ipv6' }).address;
  return zone === undefined ? written : `${written}%${zone}`;
}

function boundTo(socket: Socket): Address {
  const { address, port } = socket.address();
  return { address, port };
}

export class PortableEngine implements Engine {
  readonly name = 'portable';
  readonly wildcards = false;
  readonly mapFile = undefined;
  readonly allocateFile = undefined;
  readonly advice = undefined;
  readonly clock: Clock = new MonotonicClock();
  turnaround: LatencyHistogram | undefined;
  readonly #sendErrors = noSendErrors();
  #delivered = 0;
  readonly #links = new Set<PortableLink>();
  readonly #listening = new Set<PortableListening>();
  readonly #singlePort: boolean;
  #closed = false;

  /** @param options.singlePort true if links to a fixed peer use the port that was asked. Default false. */
  constructor({ singlePort = false }: { readonly singlePort?: boolean } = {}) {
    this.#singlePort = singlePort;
  }

  async listen(local: Address, receive: RequestReceiver): Promise<ListeningPort> {
    const socket = await openSocket(local.address, local.port, { recvBufferSize: RECEIVE_BUFFER_BYTES });
    this.#expectOpen(socket);
    const port = new PortableListening(socket, this, receive, () => this.#listening.delete(port));
    this.#listening.add(port);
    return port;
  }

  async link(options: LinkOptions, receiver: LinkReceiver): Promise<Link> {
    const learn = options.peerPort === 'learn';
    if (this.#singlePort && !learn) return this.#openShared(options, receiver);
    const socket = await openSocket(options.local, 0, learn ? { recvBufferSize: RECEIVE_BUFFER_BYTES } : {});
    if (!learn) {
      try {
        await connect(socket, options.peer);
      } catch (cause) {
        socket.close();
        throw cause;
      }
    }
    this.#expectOpen(socket);
    const link = new PortableLink(socket, this, options, receiver, () => this.#links.delete(link));
    this.#links.add(link);
    return link;
  }

  #openShared({ local, localPort, peer }: LinkOptions, receiver: LinkReceiver): Link {
    for (const port of this.#listening) {
      if (port.local.address === local && port.local.port === localPort) return port.open(peer, receiver);
    }
    // The address has gone since the request.
    throw Object.assign(new Error(`Expected a port to listen at ${local}, got none`), { code: 'EADDRNOTAVAIL' });
  }

  health(): EngineHealth {
    const sendDrops = Object.values(this.#sendErrors).reduce((sum, count) => sum + count, 0);
    return { receiveDrops: 0, sendDrops, segmentFallbacks: 0, sendErrors: { ...this.#sendErrors } };
  }

  /**
   * Called by links: counts a datagram that could not be sent. A refusal reports an earlier datagram, not a failed
   * send.
   */
  noteError(error: NodeJS.ErrnoException | null | undefined): void {
    if (error === null || error === undefined || error.code === 'ECONNREFUSED') return;
    this.#sendErrors[sendErrno(error.code)]++;
  }

  /** Called by links: delivers a datagram. Its replies are with the kernel when this returns. */
  deliver(receiver: LinkReceiver, bytes: Uint8Array): void {
    const isTimed = this.turnaround !== undefined && this.#delivered++ % MEASURED_DATAGRAM === 0;
    const begunAt = isTimed ? performance.now() : 0;
    receiver.onDatagram(bytes, bytes.length);
    if (isTimed) this.turnaround?.observe(performance.now() - begunAt, 1);
  }

  attach(handle: SharedHandle): BytesView {
    return attachShared(handle);
  }

  /** Closes a socket that was still opening when the engine was closed. */
  #expectOpen(socket: Socket): void {
    if (!this.#closed) return;
    socket.close();
    throw Object.assign(new Error('The engine is closed'), { code: 'ECANCELED' });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const link of this.#links) link.close();
    await Promise.all([...this.#listening].map((port) => port.close()));
  }
}

class PortableListening implements ListeningPort {
  readonly local: Address;
  readonly #socket: Socket;
  readonly #engine: PortableEngine;
  readonly #forget: () => void;
  /** Links that share the port. The system reports no closed ports of peers to such a socket. */
  readonly #links = new SharedLinks();
  #closing: Promise<void> | undefined;

  constructor(socket: Socket, engine: PortableEngine, receive: RequestReceiver, forget: () => void) {
    this.#socket = socket;
    this.#engine = engine;
    this.#forget = forget;
    this.local = boundTo(socket);
    socket.on('message', (bytes, { address, port }) => {
      const isRequest = bytes[1] === OPCODE.RRQ || bytes[1] === OPCODE.WRQ;
      const receiver = isRequest ? undefined : this.#links.find({ address, port });
      if (receiver !== undefined) engine.deliver(receiver, bytes);
      else receive(bytes, bytes.length, { address, port }, this, engine.clock.now());
    });
    // Errors of single datagrams (an unreachable client, say) say nothing about the port.
    socket.on('error', () => {});
  }

  reply(bytes: Uint8Array, length: number, peer: Address): void {
    // Sends a copy: the send may be deferred, and the buffer is the caller's.
    if (this.#closing === undefined) sendTo(this.#socket, bytes.slice(0, length), peer, this.#sent);
  }

  /** Opens a link at this port. */
  open({ address, port }: Address, receiver: LinkReceiver): Link {
    const peer = { address: canonical(address), port };
    const send = (parts: Uint8Array[]): void => {
      if (this.#closing === undefined) sendTo(this.#socket, parts, peer, this.#sent);
    };
    return this.#links.open(this.local, peer, receiver, {
      data: (wireBlock, view, offset, length) => send(dataParts(wireBlock, view, offset, length)),
      control: (bytes, length) => send([bytes.slice(0, length)]),
    });
  }

  readonly #sent = (error: Error | null): void => this.#engine.noteError(error);

  close(): Promise<void> {
    this.#closing ??= closed(this.#socket).finally(this.#forget);
    return this.#closing;
  }
}

/** The two parts of a DATA packet. */
function dataParts(wireBlock: number, view: SharedView, offset: number, length: number): Uint8Array[] {
  const at = wireBlock * DATA_HEADER;
  return [HEADERS.subarray(at, at + DATA_HEADER), (view as BytesView).bytes.subarray(offset, offset + length)];
}

class PortableLink implements Link {
  readonly local: Address;
  readonly #socket: Socket;
  readonly #engine: PortableEngine;
  readonly #receiver: LinkReceiver;
  readonly #forget: () => void;
  readonly #connected: boolean;
  #peer: Address;
  #learning: boolean;
  #strangerAnswers = STRANGER_ANSWERS;
  #closed = false;

  constructor(
    socket: Socket,
    engine: PortableEngine,
    options: LinkOptions,
    receiver: LinkReceiver,
    forget: () => void,
  ) {
    this.#socket = socket;
    this.#engine = engine;
    this.#receiver = receiver;
    this.#forget = forget;
    this.#peer = { address: canonical(options.peer.address), port: options.peer.port };
    this.#learning = options.peerPort === 'learn';
    this.#connected = !this.#learning;
    this.local = boundTo(socket);
    socket.on('message', (bytes, from) => this.#onMessage(bytes, from));
    socket.on('error', this.#onError);
  }

  /** The kernel reports a refusal once, to the next receive or to the next send, whichever comes first. */
  readonly #onError = (error: NodeJS.ErrnoException | null): void => {
    this.#engine.noteError(error);
    // Any other error (no route just now, no buffers) is a lost packet.
    if (error?.code !== 'ECONNREFUSED') return;
    // It also precedes the peer's last packet, which may be the ACK of everything: a turn of the event loop later that
    // packet has been read.
    setImmediate(() => setImmediate(this.#reportRefusal));
  };

  readonly #reportRefusal = (): void => {
    if (!this.#closed) this.#receiver.onUnreachable();
  };

  #onMessage(bytes: Uint8Array, from: Address): void {
    if (this.#closed) return;
    if (from.address !== this.#peer.address) return;
    if (this.#learning) {
      this.#learning = false;
      this.#peer = { address: from.address, port: from.port };
    } else if (from.port !== this.#peer.port) {
      this.#rejectStranger(bytes, from);
      return;
    }
    this.#engine.deliver(this.#receiver, bytes);
  }

  /** RFC 1350 §4: another transfer's packet gets ERROR 5 and disturbs nothing. An ERROR is never answered. */
  #rejectStranger(bytes: Uint8Array, from: Address): void {
    if (!this.#connected) this.#receiver.onStranger?.(bytes, bytes.length);
    if (this.#connected || !isAnswerable(bytes, bytes.length) || this.#strangerAnswers-- <= 0) return;
    sendTo(this.#socket, UNKNOWN_TID, from, this.#sent);
  }

  /** Result of a send from an unconnected socket: it tells nothing about the peer. */
  readonly #sent = (error: Error | null): void => this.#engine.noteError(error);

  data(wireBlock: number, view: SharedView, offset: number, length: number): void {
    this.#send(dataParts(wireBlock, view, offset, length));
  }

  control(bytes: Uint8Array, length: number): void {
    this.#send([bytes.slice(0, length)]);
  }

  #send(parts: Uint8Array[]): void {
    if (this.#closed) return;
    if (this.#connected) this.#socket.send(parts, this.#onError);
    else sendTo(this.#socket, parts, this.#peer, this.#sent);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forget();
    this.#socket.close();
  }
}
