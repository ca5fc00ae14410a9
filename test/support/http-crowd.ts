/** Crowds of HTTP clients on loopback, each with an address of its own: slow readers, idle connections, slow senders. */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Address } from '../../src/engine/types.ts';
import { RawHttp } from './raw-http.ts';

/** Connections that are opened at once. */
const AT_ONCE = 200;
const TICKS_PER_SECOND = 50;

/** Addresses 127.`row`.0.0 and up. */
export function crowdAddress(row: number, index: number): string {
  return `127.${row}.${(index >> 8) & 255}.${index & 255}`;
}

/** Calls `each` for 0 to `count` - 1, {@link AT_ONCE} at a time, in order. */
export async function inTurns(count: number, each: (index: number) => Promise<void>, atOnce = AT_ONCE): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      await each(next++);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, work));
}

/** Clients that each ask for a large file and read `bytesPerSecond` of it. */
export class SlowReaders {
  /** Connections that have ended before stop(). */
  lost = 0;
  /** Bytes that all of them have read. */
  bytes = 0;
  readonly #sockets: Socket[] = [];
  readonly #timer: NodeJS.Timeout;
  #turn = 0;

  private constructor(bytesPerSecond: number) {
    this.#timer = setInterval(() => this.#read(bytesPerSecond), 1000 / TICKS_PER_SECOND);
  }

  /** Resolves when all have the first bytes of their answer. */
  static async start(to: Address, target: string, count: number, bytesPerSecond: number): Promise<SlowReaders> {
    const readers = new SlowReaders(bytesPerSecond);
    await inTurns(count, async (index) => {
      const socket = connect({ host: to.address, port: to.port, localAddress: crowdAddress(30, index) });
      const isOver = new Promise<void>((resolve) => {
        socket.once('readable', resolve);
        socket.once('close', resolve);
      });
      socket.on('error', () => {});
      socket.on('close', () => {
        readers.lost++;
      });
      socket.write(`GET ${target} HTTP/1.1\r\n\r\n`);
      await isOver;
      readers.#sockets.push(socket);
    });
    return readers;
  }

  /** @returns the number of connections that were lost. */
  stop(): number {
    const { lost } = this;
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.resetAndDestroy();
    return lost;
  }

  /** Each reads once a second. */
  #read(bytes: number): void {
    const share = Math.ceil(this.#sockets.length / TICKS_PER_SECOND);
    for (let turn = 0; turn < share; turn++) {
      const socket = this.#sockets[this.#turn++ % this.#sockets.length]!;
      const part = socket.read(Math.min(bytes, socket.readableLength)) as Buffer | null;
      this.bytes += part?.length ?? 0;
    }
  }
}

/** Connections that send a request now and then, and are idle in between. */
export class IdleClients {
  /** Connections whose first request got no file. */
  refused = 0;
  readonly #clients: RawHttp[] = [];

  /** Opens `count` connections, and sends one request on each. */
  static async start(to: Address, target: string, count: number): Promise<IdleClients> {
    const idle = new IdleClients();
    await inTurns(count, async (index) => {
      const client = new RawHttp(to, { local: crowdAddress(40, index) });
      idle.#clients.push(client);
      if (!(await getsFile(client, target))) idle.refused++;
    });
    return idle;
  }

  /** Sends a request on each connection. @returns how many got no file. */
  async ask(target: string): Promise<number> {
    let failed = 0;
    await inTurns(this.#clients.length, async (index) => {
      if (!(await getsFile(this.#clients[index]!, target))) failed++;
    });
    return failed;
  }

  stop(): void {
    for (const client of this.#clients) client.socket.resetAndDestroy();
  }
}

async function getsFile(client: RawHttp, target: string): Promise<boolean> {
  try {
    return (await client.send(`GET ${target} HTTP/1.1\r\n\r\n`).answer()).status === 200;
  } catch {
    return false;
  }
}

/** Clients that begin with `opening` and then send one byte a second, until the server ends the connection. */
export class SlowSenders {
  open = 0;
  readonly #sockets: Socket[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(to: Address, row: number, count: number, opening: string) {
    for (let index = 0; index < count; index++) {
      const socket = connect({ host: to.address, port: to.port, localAddress: crowdAddress(row, index) });
      socket.on('error', () => {});
      socket.on('data', () => {});
      socket.on('close', () => {
        this.open--;
      });
      socket.write(opening);
      this.open++;
      this.#sockets.push(socket);
    }
    this.#timer = setInterval(() => {
      for (const socket of this.#sockets) if (socket.writable) socket.write('a');
    }, 1000);
  }

  /** Waits until the server has ended them all. @returns how long it took, s; Infinity after `mostSeconds`. */
  async ended(mostSeconds: number): Promise<number> {
    const begun = performance.now();
    const seconds = (): number => (performance.now() - begun) / 1000;
    // oxlint-disable-next-line no-await-in-loop -- looks again a little later.
    while (this.open > 0 && seconds() < mostSeconds) await delay(100);
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
    return this.open > 0 ? Number.POSITIVE_INFINITY : seconds();
  }
}
