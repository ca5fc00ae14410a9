/**
 * A TFTP client that moves at the pace of its test, made of a socket and handwritten bytes. It shares no code with the
 * tested code, so the two can't be wrong in the same way.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import type { Address } from '../../src/index.ts';

export const DATA = 3;
export const ACK = 4;
export const ERROR = 5;
export const OACK = 6;

/** How long a test waits for a packet that must arrive, in milliseconds. */
const PATIENCE_MS = 10_000;

/** @param options names and values, alternating. @param name one character per byte. */
export function readRequest(name: string, options: readonly string[] = [], mode = 'octet'): Buffer {
  return Buffer.from(`\0\x01${[name, mode, ...options].map((string) => `${string}\0`).join('')}`, 'latin1');
}

export function ack(block: number): Buffer {
  return Buffer.from([0, ACK, block >> 8, block & 0xff]);
}

export function errorPacket(code: number, message: string): Buffer {
  return Buffer.from(`\0\x05\0${String.fromCharCode(code)}${message}\0`, 'latin1');
}

export interface Datagram {
  readonly bytes: Buffer;
  readonly from: Address;
}

export function opcode({ bytes }: Datagram): number {
  return bytes.readUInt16BE(0);
}

/** Block number of DATA and ACK, or error code of ERROR. */
export function number({ bytes }: Datagram): number {
  return bytes.readUInt16BE(2);
}

/** Text of an ERROR, without its NUL. */
export function text({ bytes }: Datagram): string {
  return bytes.toString('latin1', 4, bytes.length - 1);
}

export class RawClient {
  readonly #socket;
  readonly #arrived: Datagram[] = [];
  #stirred: () => void = () => {};

  private constructor(local: string) {
    this.#socket = createSocket({ type: isIPv6(local) ? 'udp6' : 'udp4', recvBufferSize: 4 * 1024 * 1024 });
    this.#socket.on('message', (bytes, { address, port }) => {
      this.#arrived.push({ bytes, from: { address, port } });
      this.#stirred();
    });
  }

  /** @param local source address of the requests. */
  static async open(local = '127.0.0.1'): Promise<RawClient> {
    const client = new RawClient(local);
    client.#socket.bind(0, local);
    await once(client.#socket, 'listening');
    return client;
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** Datagrams that have arrived and have not been taken, oldest first. */
  get arrived(): readonly Datagram[] {
    return this.#arrived;
  }

  /** Resolves when the system has accepted the datagram. */
  send(bytes: Uint8Array, to: Address): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(bytes, to.port, to.address, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  /** Takes the oldest datagram, or waits for the next one. @throws Error if none arrives. */
  async receive(): Promise<Datagram> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    while (this.#arrived.length === 0) {
      await new Promise<void>((resolve, reject) => {
        this.#stirred = resolve;
        signal.onabort = (): void => reject(new Error(`Expected a datagram within ${PATIENCE_MS} ms`));
      });
    }
    signal.onabort = null;
    return this.#arrived.shift()!;
  }

  async close(): Promise<void> {
    this.#socket.close();
    await once(this.#socket, 'close');
  }
}

/** A lockstep download without options that moves only when told to. */
export class PacedDownload {
  readonly #client: RawClient;
  readonly #server: Address;
  readonly #request: Buffer;
  readonly #parts: Buffer[] = [];
  #from: Address | undefined;
  #over = false;

  constructor(client: RawClient, server: Address, name: string) {
    this.#client = client;
    this.#server = server;
    this.#request = readRequest(name);
  }

  /** Address and port that answered. */
  get from(): Address {
    if (this.#from === undefined) throw new Error('Expected the download to be under way');
    return this.#from;
  }

  /** Number of blocks taken so far. The last one has not been acknowledged. */
  get blocks(): number {
    return this.#parts.length;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Sends the request, and takes block 1. */
  async start(): Promise<void> {
    await this.#client.send(this.#request, this.#server);
    await this.#takeNext();
  }

  /** Acknowledges one block after the other, until `blocks` more have been taken or the file is over. */
  async advance(blocks: number): Promise<void> {
    for (let count = 0; count < blocks && !this.#over; count++) {
      await this.#acknowledge();
      await this.#takeNext();
    }
  }

  /** Takes and acknowledges the remaining blocks. @returns the whole content. */
  async finish(): Promise<Buffer> {
    await this.advance(Number.POSITIVE_INFINITY);
    await this.#acknowledge();
    return Buffer.concat(this.#parts);
  }

  #acknowledge(): Promise<void> {
    return this.#client.send(ack(this.#parts.length & 0xffff), this.from);
  }

  /** Skips copies. A copy of an acknowledged block means that the ACK was lost, so the ACK is repeated. */
  async #takeNext(): Promise<void> {
    const wanted = (this.#parts.length + 1) & 0xffff;
    for (;;) {
      const datagram = await this.#client.receive();
      if (opcode(datagram) !== DATA) {
        throw new Error(`Expected DATA ${wanted}, got packet ${opcode(datagram)} saying '${text(datagram)}'`);
      }
      this.#from ??= datagram.from;
      if (number(datagram) === wanted) {
        const payload = datagram.bytes.subarray(4);
        this.#parts.push(payload);
        this.#over = payload.length < 512;
        return;
      }
      if (this.#parts.length > 0 && number(datagram) === (this.#parts.length & 0xffff)) await this.#acknowledge();
    }
  }
}
