/** The test's side of a server in a separate process (server-process.mjs). */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Address, TransferRecord } from '../../src/index.ts';
import type { ServerOptions, ServerStats } from '../../src/server/types.ts';

const SCRIPT = fileURLToPath(new URL('./server-process.mjs', import.meta.url));

/**
 * V8's young generation grows with use, up to 48 MiB per thread, even if nothing is kept. These flags fix it at one
 * small size, so that the process's memory shows what is kept.
 */
const EXEC_ARGV = ['--expose-gc', '--min-semi-space-size=1', '--max-semi-space-size=1'];

/** Resources that the process holds after a forced collection in each of its threads. */
export interface Usage {
  readonly rssBytes: number;
  /** Heap in use, summed over all threads. */
  readonly heapBytes: number;
  /** Without io_uring's and eventfd's: a thread opens its own with its first transfer, or when it warms up as the spare. */
  readonly descriptors: number;
  /** Descriptors of epoll: each thread has as many from its start. */
  readonly pollers: number;
  /** Descriptors of io_uring, one for each thread that has opened it. */
  readonly rings: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ForkOptions {
  /** Default: auto. */
  readonly engine?: ServerOptions['engine'];
  /** Default: false. */
  readonly singlePort?: boolean;
  /** Limit of each thread's heap. Default: Node.js's. */
  readonly heapMiB?: number;
}

interface Warning {
  readonly message: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

type Message =
  | { kind: 'ready'; addresses: readonly Address[] }
  | { kind: 'transfer'; record: TransferRecord }
  | ({ kind: 'warning' } & Warning)
  | { kind: 'answer'; id: number; value: unknown };

export class ForkedServer {
  /** Finished transfers, oldest first. */
  readonly transfers: TransferRecord[] = [];
  readonly warnings: Warning[] = [];
  /** Resolves when the process has ended. */
  readonly exit: Promise<Exit>;
  readonly #process: ChildProcess;
  readonly #answers = new Map<number, (value: unknown) => void>();
  #calls = 0;
  #addresses: readonly Address[] = [];
  #ready: () => void = () => {};
  #onTransfer: () => void = () => {};

  private constructor(root: string, workers: number, { engine = 'auto', singlePort = false, heapMiB }: ForkOptions) {
    this.#process = fork(SCRIPT, [JSON.stringify({ root, workers, engine, singlePort })], {
      execArgv: heapMiB === undefined ? EXEC_ARGV : [...EXEC_ARGV, `--max-old-space-size=${heapMiB}`],
    });
    this.#process.on('message', (message) => this.#onMessage(message as Message));
    this.exit = once(this.#process, 'exit').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }));
  }

  /** Serves a folder on a free port of 127.0.0.1. */
  static async start(root: string, workers: number, options: ForkOptions = {}): Promise<ForkedServer> {
    const server = new ForkedServer(root, workers, options);
    const ready = new Promise<void>((resolve) => {
      server.#ready = resolve;
    });
    await Promise.race([ready, server.#failure()]);
    return server;
  }

  get address(): Address {
    return this.#addresses[0]!;
  }

  stats(): Promise<ServerStats> {
    return this.#call('stats');
  }

  /** Resolves when no transfer runs. */
  async idle(): Promise<void> {
    for (;;) {
      const ended = this.#nextTransfer();
      // oxlint-disable-next-line no-await-in-loop -- each turn waits for the end of a transfer.
      if ((await this.stats()).transfersActive === 0) return;
      // oxlint-disable-next-line no-await-in-loop -- as above.
      await Promise.race([ended, this.#failure()]);
    }
  }

  /** Resolves when this many transfers have ended since the start. */
  async ended(count: number): Promise<void> {
    while (this.transfers.length < count) {
      // oxlint-disable-next-line no-await-in-loop -- each turn waits for the end of a transfer.
      await Promise.race([this.#nextTransfer(), this.#failure()]);
    }
  }

  #nextTransfer(): Promise<void> {
    return new Promise((resolve) => {
      this.#onTransfer = resolve;
    });
  }

  usage(): Promise<Usage> {
    return this.#call('usage');
  }

  /** Number of running transfers in each worker. */
  running(): Promise<number[]> {
    return this.#call('running');
  }

  /** Makes the busiest worker throw. @returns the number of transfers it was running. */
  crash(): Promise<number> {
    return this.#call('crash');
  }

  /** Makes the busiest worker run out of memory at the next packet. @returns the number of transfers it was running. */
  exhaust(): Promise<number> {
    return this.#call('exhaust');
  }

  /** Makes every thread that starts from now on die when it takes over a transfer. */
  poison(): Promise<void> {
    return this.#call('poison');
  }

  /** Resolves with the time of the death that crash() caused, ms of CLOCK_MONOTONIC. */
  death(): Promise<number> {
    return this.#call('death');
  }

  /** @returns the number of aborted transfers. */
  stop(drainMs: number): Promise<number> {
    return this.#call('stop', { drainMs });
  }

  /** Kills the process in any state, for the end of a test that may have failed. */
  async end(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.exit;
  }

  async #failure(): Promise<never> {
    const { code, signal } = await this.exit;
    throw new Error(`Expected the server's process to live, it ended with ${signal ?? code}`);
  }

  #call<T>(kind: string, details: object = {}): Promise<T> {
    const id = ++this.#calls;
    const answer = new Promise<T>((resolve) => {
      this.#answers.set(id, resolve as (value: unknown) => void);
    });
    // Errors of send() are ignored: if the process has ended, its exit shows that.
    this.#process.send({ ...details, id, kind }, () => {});
    return Promise.race([answer, this.#failure()]);
  }

  #onMessage(message: Message): void {
    switch (message.kind) {
      case 'ready':
        this.#addresses = message.addresses;
        this.#ready();
        break;
      case 'transfer':
        this.transfers.push(message.record);
        this.#onTransfer();
        break;
      case 'warning':
        this.warnings.push(message);
        break;
      case 'answer':
        this.#answers.get(message.id)?.(message.value);
        this.#answers.delete(message.id);
        break;
    }
  }
}
