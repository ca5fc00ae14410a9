/**
 * Serves HTTP: listens, keeps its threads alive, counts connections, and stops them. Runs in the main thread; every
 * request goes to the server around it.
 */
import { availableParallelism } from 'node:os';
import { onSharedGivenUp } from '../bytes/shared-bytes.ts';
import type { Content } from '../content/types.ts';
import { StreamSystem } from '../engine/stream-system.ts';
import type { SocketKeep } from '../engine/socket-keep.ts';
import type { Address } from '../engine/types.ts';
import { formatAddress } from '../text/address-text.ts';
import { HttpThread } from './http-thread.ts';
import { KeyFiles } from './key-files.ts';
import type { HttpTimeouts, Listening, Place } from './messages.ts';
import type { HttpAddress, HttpFigures, HttpHost, HttpOptions, HttpView } from './types.ts';

const DEFAULT_TIMEOUTS: HttpTimeouts = {
  /** @limit Time for the head of a request, and for a TLS handshake. Setting: library only. Shows: status 408. */
  headMs: 20_000,
  /** @limit Silence after which an idle connection ends. Setting: library only. */
  keepAliveMs: 75_000,
  /**
   * @limit Time without progress after which an answer ends. Setting: library only. Shows:
   *   `reveille_transfers_total{outcome="timeout"}`.
   */
  stallMs: 120_000,
  /**
   * @limit Time for which a request waits for its content. Setting: library only. Shows: status 503, and
   *   `reveille_http_overloaded_total`.
   */
  waitMs: 3000,
  keyFilesMs: 5000,
};
/** @limit HTTP connections at once. Setting: `httpConnections`. Shows: `reveille_http_connections_refused_total`. */
export const DEFAULT_CONNECTIONS = 10_000;
/** Wait before a thread that died at its start is replaced, ms. */
const START_AGAIN_MS = 1000;
/** Bytes of given-up shared buffers at which each thread collects garbage, for some 10 ms. */
const COLLECTED_BYTES = 64 * 1024 ** 2;

export function defaultHttpThreads(): number {
  return Math.min(2, availableParallelism());
}

export class HttpService {
  readonly #host: HttpHost;
  readonly #options: HttpOptions;
  readonly #timeouts: HttpTimeouts;
  /**
   * System calls for listening and sending; undefined if Node.js listens by itself, in one thread, and contents are
   * shared memory.
   */
  readonly #system: StreamSystem | undefined;
  /** Connections at once. */
  readonly #most: number;
  readonly #listening: Listening[] = [];
  readonly #threads = new Set<HttpThread>();
  #keys: KeyFiles | undefined;
  #connections = 0;
  #requests = 0;
  #sentBytes = 0;
  #malformed = 0;
  #refused = 0;
  #overloaded = 0;
  #lost = 0;
  #aborted = 0;
  #isStopping = false;
  #givenUpBytes = 0;
  #forgetGivenUp: () => void = () => {};
  #cancelStarts = new Set<() => void>();

  private constructor(host: HttpHost, options: HttpOptions, hasSystem: boolean, keep: SocketKeep | undefined) {
    this.#host = host;
    this.#options = options;
    this.#timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
    this.#system = hasSystem ? new StreamSystem(keep) : undefined;
    const { connections = DEFAULT_CONNECTIONS } = options;
    this.#most = this.#system?.roomFor(connections) ?? connections;
    if (this.#most < connections) {
      const reason = `${connections} connections may be open at once, but there are descriptors for ${this.#most} only`;
      host.onWarning('fewer descriptors than HTTP connections', { reason });
    }
  }

  /**
   * Listens and starts the threads.
   *
   * @param hasSystem true where the Linux engine runs.
   * @param keep listening sockets that outlive this process.
   * @throws Error with a one-line message: an address can't be listened on, a certificate does not go with its key.
   */
  static async start(
    host: HttpHost,
    options: HttpOptions,
    hasSystem: boolean,
    keep?: SocketKeep,
  ): Promise<HttpService> {
    const service = new HttpService(host, options, hasSystem, keep);
    try {
      await service.#start();
    } catch (cause) {
      void service.drain();
      service.cut();
      await service.close();
      // The advice for the operator depends on the protocol whose port failed.
      throw cause instanceof Error ? Object.assign(cause, { isHttp: true }) : cause;
    }
    return service;
  }

  /** The addresses that are listened on, with their ports. */
  get addresses(): readonly HttpAddress[] {
    return this.#listening.map(({ isSecure, local }) => ({ ...local, isSecure }));
  }

  /** Requests that were ended by cut(), so far. */
  get aborted(): number {
    return this.#aborted;
  }

  figures(): HttpFigures {
    const threads = [...this.#threads];
    const sum = (count: (thread: HttpThread) => number): number =>
      threads.reduce((total, thread) => total + count(thread), 0);
    const sending = sum((thread) => thread.sending);
    return {
      connections: this.#connections,
      connectionsLimit: this.#most,
      waiting: sum((thread) => thread.requests) - sending,
      sending,
      requestsTotal: this.#requests,
      sentBytesTotal: this.#sentBytes,
      malformedTotal: this.#malformed,
      refusedTotal: this.#refused,
      overloadedTotal: this.#overloaded,
      threadsLostTotal: this.#lost,
    };
  }

  views(): HttpView[] {
    return [...this.#threads].flatMap((thread) => thread.views());
  }

  /** Accepts nothing more. Idle connections end, the others after their answer. @returns when none is left. */
  async drain(): Promise<void> {
    this.#isStopping = true;
    for (const cancel of this.#cancelStarts) cancel();
    this.#forgetGivenUp();
    this.#keys?.close();
    for (const { fd } of this.#listening.splice(0)) if (fd !== undefined) this.#system!.close(fd);
    for (const thread of this.#threads) thread.drain();
    await Promise.all([...this.#threads].map(({ drained }) => drained));
  }

  /** Ends every connection. Call after drain(). */
  cut(): void {
    for (const thread of this.#threads) {
      this.#aborted += thread.sending;
      thread.cut();
    }
  }

  /** Ends the threads. Call when drain() has resolved. */
  async close(): Promise<void> {
    await Promise.all([...this.#threads].map((thread) => thread.close()));
  }

  async #start(): Promise<void> {
    const { listen, listenSecure = [], tls, threads = defaultHttpThreads() } = this.#options;
    if (listenSecure.length > 0) {
      if (tls === undefined) throw new Error('HTTPS needs a certificate and its key: tlsCertificate and tlsKey');
      this.#keys = await KeyFiles.open(tls, {
        onChanged: (keyPair) => {
          for (const thread of this.#threads) thread.useKeyPair(keyPair);
        },
        onWarning: this.#host.onWarning.bind(this.#host),
        lookMs: this.#timeouts.keyFilesMs,
      });
    }
    if (listenSecure.length > 0 && this.#system?.canCopy() === false) {
      throw new Error('HTTPS needs the system call process_vm_readv, which is forbidden here');
    }
    for (const local of listen) this.#listen(local, false);
    for (const local of listenSecure) this.#listen(local, true);
    // Threads cannot share a listening socket of Node.js.
    const count = this.#system === undefined ? 1 : threads;
    const started = Array.from({ length: count }, () => this.#startThread());
    const [locals] = await Promise.all(started.map(({ ready }) => ready));
    // A replacement takes the port that the first thread got.
    for (const [index, local] of locals!.entries()) {
      this.#listening[index] = { ...this.#listening[index]!, local };
    }
    // With addresses, threads keep no shared buffer alive.
    if (this.#system === undefined) this.#forgetGivenUp = onSharedGivenUp((bytes) => this.#onGivenUp(bytes));
  }

  /** @throws Error with the address in its message. */
  #listen(local: Address, isSecure: boolean): void {
    if (this.#system === undefined) {
      this.#listening.push({ isSecure, local, fd: undefined });
      return;
    }
    try {
      const stream = this.#system.listen(local, isSecure ? 'https' : 'http');
      this.#listening.push({ isSecure, local: stream.local, fd: stream.fd });
      if (stream.isAhead) this.#onAhead(local);
    } catch (cause) {
      throw withAddress(cause, local);
    }
  }

  #startThread(): HttpThread {
    let isReady = false;
    const thread: HttpThread = new HttpThread({
      host: this.#host,
      setup: {
        // The thread closes its descriptors, whether it ends or dies.
        listening: this.#listening.map((listening) => ({
          ...listening,
          fd: listening.fd === undefined ? undefined : this.#system!.duplicate(listening.fd),
        })),
        keyPair: this.#keys?.keyPair,
        timeouts: this.#timeouts,
      },
      entry: this.#options.thread,
      placeOf: this.#placeOf,
      onConnection: this.#admit,
      onRequest: () => {
        this.#requests++;
      },
      onSent: (bytes) => {
        this.#sentBytes += bytes;
      },
      onAhead: this.#onAhead,
      onMalformed: () => {
        this.#malformed++;
      },
      onOverload: () => {
        this.#overloaded++;
      },
      onExit: (reason) => {
        this.#threads.delete(thread);
        if (reason === undefined || this.#isStopping) return;
        this.#lost++;
        this.#host.onWarning('HTTP thread lost', { reason });
        if (isReady) this.#startThread();
        else this.#startLater();
      },
    });
    this.#threads.add(thread);
    thread.ready.then(
      () => {
        isReady = true;
      },
      () => {},
    );
    return thread;
  }

  #startLater(): void {
    const { clock } = this.#host;
    const cancel = clock.wake(clock.now() + START_AGAIN_MS, () => {
      this.#cancelStarts.delete(cancel);
      if (!this.#isStopping) this.#startThread();
    });
    this.#cancelStarts.add(cancel);
  }

  readonly #onAhead = (local: Address): void => {
    this.#host.onWarning('waiting for an address that this machine does not have yet', { ...local, for: 'http' });
  };

  readonly #placeOf = ({ handle }: Content): Place => {
    if (this.#system !== undefined) {
      return { address: this.#system.addressOf(handle), fd: 'fd' in handle ? handle.fd : undefined };
    }
    if (!('buffer' in handle)) throw new Error('Expected content in shared memory, got a mapped file');
    return { memory: handle };
  };

  readonly #admit = (client: Address): (() => void) | undefined => {
    const leave = this.#host.admit(client);
    // Idle connections, which anybody can open, must not keep others out.
    if (leave === undefined || (this.#connections >= this.#most && !this.#closeIdle())) {
      leave?.();
      this.#refused++;
      return undefined;
    }
    this.#connections++;
    return () => {
      this.#connections--;
      leave();
    };
  };

  #closeIdle(): boolean {
    for (const thread of this.#threads) if (thread.closeIdle()) return true;
    return false;
  }

  #onGivenUp(bytes: number): void {
    this.#givenUpBytes += bytes;
    if (this.#givenUpBytes < COLLECTED_BYTES) return;
    this.#givenUpBytes = 0;
    for (const thread of this.#threads) thread.collect();
  }
}

function withAddress(cause: unknown, local: Address): unknown {
  if (cause instanceof Error) cause.message = `${formatAddress(local)}: ${cause.message}`;
  return cause;
}
