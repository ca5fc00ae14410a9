/**
 * The main thread's side of one thread that speaks HTTP: its worker, its connections and its requests. When the thread
 * dies, it ends those and nothing else. Knows no other thread.
 */
import { Worker } from 'node:worker_threads';
import type { Content } from '../content/types.ts';
import type { Address } from '../engine/types.ts';
import { Exchange } from './exchange.ts';
import type { KeyPair, Place, ThreadSetup, ToMain, ToThread } from './messages.ts';
import { HTTP_FAULTS, type HttpHost, type HttpView } from './types.ts';

const ENTRY = new URL('./thread.js', import.meta.url);
/** Heads and strings are short-lived; see YOUNG_GENERATION_MIB of the packet threads. */
const YOUNG_GENERATION_MIB = 8;

export interface HttpThreadOptions {
  readonly host: HttpHost;
  readonly setup: ThreadSetup;
  readonly entry: URL | undefined;
  readonly placeOf: (content: Content) => Place;
  readonly onConnection: (client: Address) => (() => void) | undefined;
  readonly onRequest: () => void;
  readonly onSent: (bytes: number) => void;
  /** Called for an address that the machine does not have yet, and that the thread waits for. */
  readonly onAhead: (local: Address) => void;
  readonly onMalformed: () => void;
  readonly onOverload: () => void;
  /** Called once when the thread has exited. @param reason of a thread that was not told to close. */
  readonly onExit: (reason: string | undefined) => void;
}

interface Connection {
  readonly client: Address;
  readonly local: string;
  readonly leave: () => void;
}

export class HttpThread {
  readonly #options: HttpThreadOptions;
  readonly #worker: Worker;
  readonly #connections = new Map<number, Connection>();
  /** Connections without a request, the longest idle one first. */
  readonly #idle = new Set<number>();
  readonly #exchanges = new Map<number, Exchange>();
  readonly #exited: Promise<void>;
  #isClosing = false;
  #reason = 'it exited';
  #onReady: (locals: readonly Address[]) => void = () => {};
  #onFailed: (error: Error) => void = () => {};
  #onDrained: () => void = () => {};
  /** The addresses that it listens on. Rejects when it can't, or dies before it does. */
  readonly ready: Promise<readonly Address[]>;
  /** Resolves after drain() when it has no connection, or is gone. */
  readonly drained: Promise<void>;

  constructor(options: HttpThreadOptions) {
    this.#options = options;
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = resolve;
      this.#onFailed = reject;
    });
    // A replacement's failure is reported by onExit.
    this.ready.catch(() => {});
    this.drained = new Promise((resolve) => {
      this.#onDrained = resolve;
    });
    this.#worker = new Worker(options.entry ?? ENTRY, {
      workerData: options.setup,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
    });
    this.#worker.on('message', (message: ToMain) => this.#take(message));
    this.#worker.on('error', (error: Error) => {
      this.#reason = error.stack ?? error.message;
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#lose();
        resolve();
      });
    });
    this.#worker.unref();
  }

  get sending(): number {
    let count = 0;
    for (const { isSending } of this.#exchanges.values()) if (isSending) count++;
    return count;
  }

  get requests(): number {
    return this.#exchanges.size;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Closes the connection that has been without a request for longest. @returns false when none is. */
  closeIdle(): boolean {
    const [connection] = this.#idle;
    if (connection === undefined) return false;
    this.#tell({ kind: 'refuse', connection });
    this.#close(connection);
    return true;
  }

  views(): HttpView[] {
    return [...this.#exchanges.values()].map(({ view }) => view);
  }

  useKeyPair(keyPair: KeyPair): void {
    this.#tell({ kind: 'keyPair', keyPair });
  }

  collect(): void {
    this.#tell({ kind: 'collect' });
  }

  drain(): void {
    // Until it has no connections, the process must not end.
    this.#worker.ref();
    this.#tell({ kind: 'drain' });
  }

  cut(): void {
    this.#tell({ kind: 'cut' });
  }

  /** Call after `drained`. */
  close(): Promise<void> {
    this.#isClosing = true;
    this.#worker.ref();
    this.#tell({ kind: 'close' });
    return this.#exited;
  }

  #tell(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  #take(message: ToMain): void {
    switch (message.kind) {
      case 'ready':
        return this.#onReady(message.locals);
      case 'ahead':
        return this.#options.onAhead(message.local);
      case 'failed':
        return this.#onFailed(Object.assign(new Error(message.message), { code: message.code }));
      case 'opened':
        return this.#open(message);
      case 'closed':
        return this.#close(message.connection);
      case 'malformed':
        return this.#options.onMalformed();
      case 'asked':
        return this.#ask(message);
      case 'needs':
        return this.#exchanges.get(message.request)?.needs(message.passed, message.arrived);
      case 'progress':
        for (const [request, bytes] of message.sent) this.#exchanges.get(request)?.progress(bytes);
        return;
      case 'ended':
        return this.#end(message);
      case 'drained':
        return this.#onDrained();
    }
  }

  #open({ connection, client, local }: Extract<ToMain, { kind: 'opened' }>): void {
    const leave = this.#options.onConnection(client);
    if (leave === undefined) {
      this.#tell({ kind: 'refuse', connection });
      return;
    }
    this.#connections.set(connection, { client, local, leave });
    this.#idle.add(connection);
  }

  #close(connection: number): void {
    this.#connections.get(connection)?.leave();
    this.#connections.delete(connection);
    this.#idle.delete(connection);
  }

  #end({ request, sent, ending }: Extract<ToMain, { kind: 'ended' }>): void {
    const exchange = this.#exchanges.get(request);
    if (exchange === undefined) return;
    exchange.end(sent, ending);
    this.#exchanges.delete(request);
    if (this.#connections.has(exchange.connection)) this.#idle.add(exchange.connection);
  }

  #ask({ request, connection, method, target, conditions }: Extract<ToMain, { kind: 'asked' }>): void {
    const { host, setup, placeOf, onOverload, onRequest, onSent } = this.#options;
    const from = this.#connections.get(connection);
    // The connection was refused: it is being closed, so its request gets no answer.
    if (from === undefined) return;
    onRequest();
    this.#idle.delete(connection);
    const exchange = new Exchange({
      host,
      connection,
      asked: { method, target, conditions, client: from.client, local: from.local },
      thread: {
        answer: (head, body) => this.#tell({ kind: 'answer', request, head, body }),
        arrived: (bytes) => this.#tell({ kind: 'arrived', request, bytes }),
        lost: () => this.#tell({ kind: 'lost', request }),
      },
      waitMs: setup.timeouts.waitMs,
      placeOf,
      onOverload,
      onSent,
    });
    this.#exchanges.set(request, exchange);
  }

  #lose(): void {
    for (const exchange of this.#exchanges.values()) exchange.end(0, 'cut', HTTP_FAULTS.threadLost);
    this.#exchanges.clear();
    for (const { leave } of this.#connections.values()) leave();
    this.#connections.clear();
    this.#idle.clear();
    this.#onFailed(new Error(this.#reason));
    this.#onDrained();
    this.#options.onExit(this.#isClosing ? undefined : this.#reason);
  }
}
