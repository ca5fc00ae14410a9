/**
 * A handwritten TFTP server, lockstep with blksize and tsize, with one deliberate fault. It shares no code with the
 * storm that must detect the fault.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

export interface Planted {
  /** One byte of every `corruptOneIn` is wrong. */
  readonly corruptOneIn?: number;
  /** From block 3 on, every other block comes from another port. */
  readonly wrongPort?: boolean;
  /** Each request is answered from two ports. */
  readonly twoPorts?: boolean;
  /** Every `every`-th request for the file `name` gets `content`, which belongs to another version. */
  readonly mixed?: { readonly name: string; readonly every: number; readonly content: Buffer };
  readonly neverResends?: boolean;
  readonly actsOnDuplicateAcks?: boolean;
  /** Bytes by which the announced tsize is too large. */
  readonly tsizeOff?: number;
  /** Number of requests after which the server falls silent for good. */
  readonly diesAfter?: number;
}

const RESEND_MS = 150;
const RESENDS = 20;

export class PlantedServer {
  readonly #files: ReadonlyMap<string, Buffer>;
  readonly #planted: Planted;
  readonly #listening = createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 });
  readonly #open = new Set<Sending>();
  readonly #spoiled = new Set<Sending>();
  #requests = 0;
  #sent = 0;
  readonly #asked = new Map<string, number>();

  private constructor(files: ReadonlyMap<string, Buffer>, planted: Planted) {
    this.#files = files;
    this.#planted = planted;
  }

  static async start(files: ReadonlyMap<string, Buffer>, planted: Planted = {}): Promise<PlantedServer> {
    const server = new PlantedServer(files, planted);
    server.#listening.on('message', (bytes, peer) => server.#onRequest(bytes, peer.address, peer.port));
    server.#listening.bind(0, '127.0.0.1');
    await once(server.#listening, 'listening');
    return server;
  }

  get port(): number {
    return this.#listening.address().port;
  }

  /** Number of transfers with a wrong byte. */
  get spoiled(): number {
    return this.#spoiled.size;
  }

  /** Counts payload bytes over all transfers, and corrupts one byte in every `corruptOneIn`. */
  spoil(payload: Buffer, sending: Sending): Buffer {
    const { corruptOneIn } = this.#planted;
    if (corruptOneIn === undefined) return payload;
    const before = Math.floor(this.#sent / corruptOneIn);
    this.#sent += payload.length;
    if (Math.floor(this.#sent / corruptOneIn) === before || payload.length === 0) return payload;
    this.#spoiled.add(sending);
    const spoiled = Buffer.from(payload);
    spoiled[0]! ^= 0xff;
    return spoiled;
  }

  forget(sending: Sending): void {
    this.#open.delete(sending);
  }

  async close(): Promise<void> {
    for (const sending of this.#open) sending.end();
    this.#listening.close();
    await once(this.#listening, 'close');
  }

  #contentOf(name: string): Buffer | undefined {
    const { mixed } = this.#planted;
    const turn = (this.#asked.get(name) ?? 0) + 1;
    this.#asked.set(name, turn);
    return mixed !== undefined && mixed.name === name && turn % mixed.every === 0
      ? mixed.content
      : this.#files.get(name);
  }

  #onRequest(bytes: Buffer, address: string, port: number): void {
    this.#requests++;
    if (this.#planted.diesAfter !== undefined && this.#requests > this.#planted.diesAfter) {
      for (const sending of this.#open) sending.end();
      return;
    }
    const [name = '', , ...options] = bytes.toString('latin1', 2).split('\0');
    const content = this.#contentOf(name.replace(/^\/+/, ''));
    if (content === undefined) {
      this.#listening.send(Buffer.from('\0\x05\0\x01none\0', 'latin1'), port, address);
      return;
    }
    this.#open.add(new Sending(this, this.#planted, content, options, address, port));
  }
}

class Sending {
  readonly #server: PlantedServer;
  readonly #planted: Planted;
  readonly #content: Buffer;
  readonly #address: string;
  readonly #port: number;
  readonly #sockets: Socket[];
  #blksize = 512;
  #acked = -1;
  #last: Buffer = Buffer.alloc(0);
  #resends = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    server: PlantedServer,
    planted: Planted,
    content: Buffer,
    options: readonly string[],
    address: string,
    port: number,
  ) {
    this.#server = server;
    this.#planted = planted;
    this.#content = content;
    this.#address = address;
    this.#port = port;
    this.#sockets = Array.from({ length: planted.wrongPort === true || planted.twoPorts === true ? 2 : 1 }, () => {
      const socket = createSocket('udp4');
      socket.on('message', (bytes) => this.#onPacket(bytes));
      socket.on('error', () => this.end());
      socket.bind(0, '127.0.0.1');
      return socket;
    });
    const oack = this.#grant(options);
    if (oack === undefined) this.#acknowledged(0);
    else this.#send(oack);
    if (planted.twoPorts === true) this.#sockets[1]!.send(this.#last, port, address);
  }

  #grant(options: readonly string[]): Buffer | undefined {
    const granted: string[] = [];
    for (let at = 0; at + 1 < options.length; at += 2) {
      const name = options[at]!.toLowerCase();
      if (name === 'blksize') this.#blksize = Number(options[at + 1]);
      if (name === 'blksize') granted.push(name, String(this.#blksize));
      if (name === 'tsize') granted.push(name, String(this.#content.length + (this.#planted.tsizeOff ?? 0)));
    }
    return granted.length === 0 ? undefined : Buffer.from(`\0\x06${granted.join('\0')}\0`, 'latin1');
  }

  #onPacket(bytes: Buffer): void {
    const opcode = bytes.readUInt16BE(0);
    if (opcode === 5) this.end();
    if (opcode !== 4) return;
    const wire = bytes.readUInt16BE(2);
    const block = this.#acked + 1;
    if (wire === (block & 0xffff)) this.#acknowledged(block);
    else if (this.#planted.actsOnDuplicateAcks === true && wire === (this.#acked & 0xffff)) this.#put();
  }

  #acknowledged(block: number): void {
    this.#acked = block;
    const offset = block * this.#blksize;
    if (offset > this.#content.length) {
      this.end();
      return;
    }
    const payload = this.#server.spoil(this.#content.subarray(offset, offset + this.#blksize), this);
    const number = (block + 1) & 0xffff;
    this.#resends = 0;
    this.#send(Buffer.concat([Buffer.from([0, 3, number >> 8, number & 0xff]), payload]));
  }

  #send(packet: Buffer): void {
    this.#last = packet;
    this.#put();
  }

  #put(): void {
    const other = this.#planted.wrongPort === true && this.#acked >= 3 && this.#acked % 2 === 0 && this.#resends === 0;
    this.#sockets[other ? 1 : 0]!.send(this.#last, this.#port, this.#address);
    clearTimeout(this.#timer);
    if (this.#planted.neverResends === true) return;
    this.#timer = setTimeout(() => {
      if (this.#resends++ < RESENDS) this.#put();
      else this.end();
    }, RESEND_MS);
  }

  end(): void {
    clearTimeout(this.#timer);
    for (const socket of this.#sockets.splice(0)) socket.close();
    this.#server.forget(this);
  }
}
