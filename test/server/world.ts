/**
 * A server and its clients on a virtual network: admission, pool, driver and sessions as in production, on virtual
 * time.
 */
import type { Answer, BootRequest, Source } from '../../src/content/types.ts';
import { MemorySource } from '../../src/content/memory-source.ts';
import { type Faults, MemoryNetwork } from '../../src/engine/memory.ts';
import type { Address, Engine } from '../../src/engine/types.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import { InlinePool } from '../../src/pool/inline-pool.ts';
import { DEFAULT_LIMITS, TftpServer } from '../../src/server/server.ts';
import type { RefusalRecord, ServerLimits, ServerObserver, TransferRecord } from '../../src/server/types.ts';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';
import * as packet from '../support/bytes.ts';
import { seededBytes } from '../support/content.ts';

export const SERVER: Address = { address: '10.0.0.1', port: 69 };

export interface WorldOptions {
  readonly seed?: number;
  readonly faults?: Partial<Faults>;
  readonly files?: Readonly<Record<string, Uint8Array>>;
  readonly limits?: Partial<ServerLimits>;
  /** Source that is asked before the files: slow, busy or broken. */
  readonly source?: Source;
  /** Observer callbacks that extend or replace the default ones. */
  readonly observer?: Partial<ServerObserver>;
  readonly mayAsk?: (address: string) => boolean;
  readonly isShared?: (address: string) => boolean;
  readonly maxBlksizeOf?: (address: string) => number | undefined;
  /** Default false. */
  readonly singlePort?: boolean;
}

export class World {
  readonly clock = new VirtualClock();
  readonly network: MemoryNetwork;
  readonly pool: InlinePool;
  readonly server: TftpServer;
  readonly transfers: TransferRecord[] = [];
  readonly refusals: RefusalRecord[] = [];
  readonly warnings: string[] = [];
  readonly warningDetails: unknown[] = [];
  /** Number of contents handed out and not yet released. */
  held = 0;
  /** How long requests have waited in the server's socket when it reads them, ms. */
  requestsWaitMs = 0;

  private constructor(options: WorldOptions) {
    const limits: ServerLimits = { ...DEFAULT_LIMITS, queue: 1000, sessions: 100, ...options.limits };
    this.network = new MemoryNetwork(this.clock, options.seed ?? 1, options.faults);
    const { singlePort = false } = options;
    // One engine, because transfers at one port use the socket that listens.
    const engine = this.#readingLate(this.network.engine({ singlePort }));
    this.pool = new InlinePool(singlePort ? engine : this.network.engine(), limits.sessions + limits.queue);
    const files = new MemorySource(new Map(Object.entries(options.files ?? {})));
    const sources = options.source === undefined ? [files] : [options.source, files];
    this.server = new TftpServer({
      listen: [SERVER],
      sources: sources.map((source) => this.#counted(source)),
      limits,
      observer: {
        onTransfer: (record) => this.transfers.push(record),
        onRefusal: (record) => this.refusals.push(record),
        onWarning: (message, detail) => {
          this.warnings.push(message);
          this.warningDetails.push(detail);
        },
        ...options.observer,
      },
      engine,
      pool: this.pool,
      singlePort,
      seed: options.seed ?? 1,
      ...(options.mayAsk === undefined ? {} : { mayAsk: options.mayAsk }),
      ...(options.isShared === undefined ? {} : { isShared: options.isShared }),
      ...(options.maxBlksizeOf === undefined ? {} : { maxBlksizeOf: options.maxBlksizeOf }),
      localAddresses: () => [{ address: SERVER.address, family: 4, mtu: 1500, isLoopback: false }],
    });
  }

  static async start(options: WorldOptions = {}): Promise<World> {
    const world = new World(options);
    await world.server.start();
    return world;
  }

  /** Lets `ms` of virtual time pass. */
  async pass(ms: number): Promise<void> {
    await this.clock.runAsync(this.clock.now() + ms);
  }

  client(address = '10.0.0.9', port = 2000): RawClient {
    return new RawClient(this.network, { address, port });
  }

  /** Makes requests seem to have arrived before the engine delivers them. */
  #readingLate(engine: Engine): Engine {
    const listen = engine.listen.bind(engine);
    engine.listen = (local, receive) =>
      listen(local, (bytes, length, peer, port, arrivedAt) => {
        receive(bytes, length, peer, port, arrivedAt - this.requestsWaitMs);
      });
    return engine;
  }

  #counted(source: Source): Source {
    return {
      open: async (request: BootRequest): Promise<Answer> => {
        const answer = await source.open(request);
        if (answer.kind !== 'content') return answer;
        this.held++;
        let released = false;
        return {
          ...answer,
          release: (isAnswered) => {
            if (!released) this.held--;
            released = true;
            answer.release(isAnswered);
          },
        };
      },
    };
  }
}

export interface Received {
  readonly at: number;
  readonly from: Address;
  readonly bytes: Uint8Array;
  /** Packet as a line for comparison: "OACK blksize=1468", "DATA 1 +512", "ERROR 1 File not found". */
  readonly text: string;
}

/** A client that sends only what the test tells it to. */
export class RawClient {
  readonly received: Received[] = [];
  readonly unreachable: Address[] = [];
  onReceived: (text: string) => void = () => {};
  readonly #network: MemoryNetwork;
  readonly #address: Address;

  constructor(network: MemoryNetwork, address: Address) {
    this.#network = network;
    this.#address = address;
    network.bind(address, {
      receive: (bytes, from) => {
        const text = describePacket(bytes);
        this.received.push({ at: network.clock.now(), from, bytes, text });
        this.onReceived(text);
      },
      unreachable: (from) => this.unreachable.push(from),
    });
  }

  /** Sends a request to the server's port. */
  ask(
    name: string,
    options: Readonly<Record<string, number | string>> = {},
    mode = 'octet',
    operation: 'read' | 'write' = 'read',
  ): void {
    const asked = Object.entries(options).map(([key, value]) => [key, String(value)] as const);
    this.send(SERVER, operation === 'read' ? packet.rrq(name, mode, asked) : packet.wrq(name, mode, asked));
  }

  ack(block: number, to: Address = this.last.from): void {
    this.send(to, packet.ack(block));
  }

  error(code: number, to: Address = this.last.from): void {
    this.send(to, packet.error(code, 'no'));
  }

  send(to: Address, bytes: Uint8Array | readonly number[]): void {
    this.#network.send(Uint8Array.from(bytes), this.#address, to);
  }

  close(): void {
    this.#network.unbind(this.#address);
  }

  get last(): Received {
    return this.received.at(-1)!;
  }

  get texts(): string[] {
    return this.received.map(({ text }) => text);
  }
}

function describePacket(bytes: Uint8Array): string {
  const number = (bytes[2]! << 8) | bytes[3]!;
  const strings = (from: number): string[] => Buffer.from(bytes.subarray(from)).toString('latin1').split('\0');
  switch (bytes[1]) {
    case 3:
      return `DATA ${number} +${bytes.length - 4}`;
    case 5:
      return `ERROR ${number} ${strings(4)[0]}`;
    case 6: {
      const words = strings(2).slice(0, -1);
      const pairs = words.flatMap((word, at) => (at % 2 === 0 ? [`${word}=${words[at + 1]}`] : []));
      return `OACK ${pairs.join(' ')}`;
    }
    default:
      return `opcode ${bytes[1]}`;
  }
}

/** A source whose answers wait until letGo() is called. @param answer default: 300 bytes for any name. */
export function gatedSource(answer?: Answer): Source & { letGo(): void; asked: number } {
  const waiting: (() => void)[] = [];
  return {
    asked: 0,
    async open(_request: BootRequest): Promise<Answer> {
      this.asked++;
      await new Promise<void>((resolve) => waiting.push(resolve));
      return answer ?? { kind: 'content', handle: shareBytes(seededBytes(1, 300)), label: 'small', release: () => {} };
    },
    letGo(): void {
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
}
