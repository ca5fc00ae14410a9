/**
 * A small TFTP server that keeps to the protocol, except for the faults it is given. It uses plain sockets and
 * handwritten bytes, and shares no code with the server and the checks that it helps to test.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Address } from '../../src/engine/types.ts';

export type Fault =
  /** Every ACK that does not advance draws the window again (Sorcerer's Apprentice Syndrome). */
  | 'answersRepeats'
  /** The server answers an ERROR with an ERROR. */
  | 'answersErrors'
  /** Every OACK contains an option that the client did not request. */
  | 'grantsUnasked'
  /** The server never resends a lost packet. */
  | 'neverResends'
  /** The server resends forever to a client that never answers. */
  | 'neverGivesUp'
  /** A request with an unknown mode kills the server. */
  | 'diesOfMode'
  /** An ERROR 8 kills the server. */
  | 'diesOfError8'
  /** The server omits the last block when that block would be empty. */
  | 'omitsEmptyBlock'
  /** Blocks have 1,000 bytes, whatever blksize the client requests. */
  | 'raisesBlksize';

const RESEND_MS = 250;
const RESENDS = 4;
const MAX_WINDOWSIZE = 16;

interface Request {
  readonly opcode: number;
  readonly name: string;
  readonly mode: string;
  readonly options: readonly (readonly [string, string])[];
}

function packet(opcode: number, number: number, rest: Uint8Array | string = ''): Buffer {
  return Buffer.concat([Buffer.from([0, opcode, number >> 8, number & 0xff]), Buffer.from(rest)]);
}

function errorPacket(code: number, message: string): Buffer {
  return packet(5, code, `${message}\0`);
}

/** @returns undefined if the bytes are not a request. */
function readRequest(bytes: Buffer): Request | undefined {
  const opcode = bytes.length < 2 ? 0 : bytes.readUInt16BE(0);
  if (opcode !== 1 && opcode !== 2) return undefined;
  const texts = bytes.toString('latin1', 2).split('\0');
  // The text after the last NUL is unterminated, so it does not count.
  texts.pop();
  if (texts.length < 2) return undefined;
  const options = new Map<string, [string, string]>();
  for (let at = 2; at + 1 < texts.length; at += 2) {
    const name = texts[at]!.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
    if (!options.has(name)) options.set(name, [texts[at]!, texts[at + 1]!]);
  }
  return { opcode, name: texts[0]!, mode: texts[1]!.toLowerCase(), options: [...options.values()] };
}

/** ERROR packet that refuses the request; undefined if the request is valid. */
function refusalOf(request: Request, content: Buffer | undefined): Buffer | undefined {
  if (request.opcode === 2) return errorPacket(2, 'Nothing is taken');
  if (request.mode !== 'octet') return errorPacket(4, 'Octet alone is sent');
  return content === undefined ? errorPacket(1, 'There is no such file') : undefined;
}

interface Session {
  readonly request: string;
  close(): void;
}

export class FaultyServer {
  readonly #socket: Socket = createSocket('udp4');
  readonly #files: ReadonlyMap<string, Buffer>;
  readonly #faults: ReadonlySet<Fault>;
  readonly #sessions = new Map<number, Session>();
  readonly #open = new Set<Session>();
  #dead = false;

  private constructor(files: Readonly<Record<string, Buffer>>, faults: readonly Fault[]) {
    this.#files = new Map(Object.entries(files));
    this.#faults = new Set(faults);
    this.#socket.on('message', (bytes, peer) => this.#onRequest(bytes, peer));
  }

  static async open(files: Readonly<Record<string, Buffer>>, faults: readonly Fault[]): Promise<FaultyServer> {
    const server = new FaultyServer(files, faults);
    server.#socket.bind(0, '127.0.0.1');
    await once(server.#socket, 'listening');
    return server;
  }

  get address(): Address {
    return this.#socket.address();
  }

  close(): void {
    for (const session of this.#open) session.close();
    this.#socket.close();
  }

  /** Stops receiving and sending. The listening port stays open, like that of a server that hangs. */
  #die(): void {
    this.#dead = true;
    for (const session of this.#open) session.close();
  }

  #onRequest(bytes: Buffer, peer: RemoteInfo): void {
    if (this.#dead) return;
    const reply = (answer: Buffer): void => this.#socket.send(answer, peer.port, peer.address);
    if (this.#faults.has('answersErrors') && bytes[0] === 0 && bytes[1] === 5) reply(errorPacket(4, 'What error?'));
    const request = readRequest(bytes);
    if (request === undefined) return;
    if (this.#faults.has('diesOfMode') && request.mode === 'octets') return this.#die();
    const content = this.#files.get(Buffer.from(request.name, 'latin1').toString('utf8'));
    const refusal = refusalOf(request, content);
    if (refusal !== undefined) return reply(refusal);
    const text = bytes.toString('latin1');
    const former = this.#sessions.get(peer.port);
    if (former?.request === text) return;
    former?.close();
    this.#serve(request, text, content!, peer);
  }

  #serve(request: Request, text: string, content: Buffer, peer: RemoteInfo): void {
    const faults = this.#faults;
    const granted: [string, string][] = [];
    let blksize = 512;
    let windowsize = 1;
    for (const [spelling, value] of request.options) {
      const number = /^[0-9]{1,10}$/.test(value) ? Number(value) : -1;
      const name = spelling.toLowerCase();
      if (name === 'blksize' && number >= 8 && number <= 65_464) {
        blksize = faults.has('raisesBlksize') ? 1000 : number;
        granted.push([spelling, String(blksize)]);
      } else if (name === 'windowsize' && number >= 1 && number <= 65_535) {
        windowsize = Math.min(number, MAX_WINDOWSIZE);
        granted.push([spelling, String(windowsize)]);
      } else if (name === 'tsize' && number >= 0) granted.push([spelling, String(content.length)]);
    }
    if (granted.length > 0 && faults.has('grantsUnasked')) granted.push(['retries', '5']);
    const oack = Buffer.from(`\0\x06${granted.map(([name, value]) => `${name}\0${value}\0`).join('')}`, 'latin1');

    const socket = createSocket('udp4');
    const lastBlock =
      faults.has('omitsEmptyBlock') && content.length > 0 && content.length % blksize === 0
        ? content.length / blksize
        : Math.floor(content.length / blksize) + 1;
    let base = granted.length > 0 ? -1 : 0;
    let highest = 0;
    let resends = 0;
    let timer: NodeJS.Timeout | undefined;
    let open = true;
    const send = (bytes: Buffer): void => socket.send(bytes, peer.port, peer.address);
    const sendWindow = (): void => {
      const end = Math.min(lastBlock, base + windowsize);
      for (let block = base + 1; block <= end; block++) {
        send(packet(3, block & 0xffff, content.subarray((block - 1) * blksize, block * blksize)));
      }
      highest = Math.max(highest, end);
    };
    const sendCurrent = (): void => (base < 0 ? send(oack) : sendWindow());
    const session: Session = {
      request: text,
      close: () => {
        if (!open) return;
        open = false;
        clearTimeout(timer);
        this.#open.delete(session);
        if (this.#sessions.get(peer.port) === session) this.#sessions.delete(peer.port);
        socket.close();
      },
    };
    const schedule = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (!faults.has('neverGivesUp') && ++resends > RESENDS * 4) return session.close();
        if (!faults.has('neverResends')) sendCurrent();
        schedule();
      }, RESEND_MS);
    };
    socket.on('message', (bytes, from) => {
      const opcode = bytes.length < 2 ? 0 : bytes.readUInt16BE(0);
      const stranger = from.port !== peer.port;
      if (opcode === 5) {
        if (faults.has('diesOfError8') && bytes[3] === 8) return this.#die();
        if (faults.has('answersErrors')) socket.send(errorPacket(0, 'No, you'), from.port, from.address);
        // The socket closes after the answer has been sent.
        if (!stranger) setImmediate(() => session.close());
        return;
      }
      if (stranger) return socket.send(errorPacket(5, 'Unknown transfer'), from.port, from.address);
      if (opcode !== 4 || bytes.length < 4) return;
      const wire = bytes.readUInt16BE(2);
      const ahead = (wire - (base & 0xffff) + 0x10000) % 0x10000;
      const block = base < 0 ? (wire === 0 ? 0 : -1) : base + (ahead > 0x7fff ? ahead - 0x10000 : ahead);
      if (block <= base || block > highest) {
        if (faults.has('answersRepeats') && base >= 0 && block <= base) sendWindow();
        return;
      }
      base = block;
      resends = 0;
      if (base === lastBlock) return session.close();
      sendWindow();
      schedule();
    });
    this.#sessions.set(peer.port, session);
    this.#open.add(session);
    socket.bind(0, '127.0.0.1', () => {
      if (!open) return;
      sendCurrent();
      schedule();
    });
  }
}
