/** The whole server: listener, admission, pool; its start and its graceful shutdown. */
import { randomInt } from 'node:crypto';
import type { Source } from '../content/types.ts';
import { createEngine, resolveEngine } from '../engine/create.ts';
import { addErrors } from '../engine/send-errors.ts';
import type { SocketKeep } from '../engine/socket-keep.ts';
import type { Address, Engine, RequestReceiver } from '../engine/types.ts';
import { DEFAULT_CONNECTIONS, HttpService } from '../http/service.ts';
import type { HttpAddress, HttpHost, HttpOptions } from '../http/types.ts';
import { InlinePool } from '../pool/inline-pool.ts';
import type { Pool } from '../pool/pool.ts';
import { Inheritance } from '../pool/inheritance.ts';
import { addLosses } from '../pool/figures.ts';
import { ThreadPool } from '../pool/thread-pool.ts';
import { OPCODE } from '../protocol/opcode.ts';
import { MALFORMED, type Malformed } from '../protocol/packet.ts';
import type { LocalAddress } from './addresses.ts';
import { Admission } from './admission.ts';
import { BlksizeLimits } from './blksize-limits.ts';
import { httpHost, httpView, isStuck } from './http-host.ts';
import { Listener } from './listener.ts';
import { PathMtus } from './path-mtu.ts';
import { runningOf, transferView } from './records.ts';
import { RequestReader } from './request-reader.ts';
import { Resolver } from './resolver.ts';
import type { Server, ServerLimits, ServerObserver, ServerOptions, ServerStats, TransferView } from './types.ts';

export const DEFAULT_LIMITS: ServerLimits = {
  /**
   * @limit Transfers at once. Setting: `sessions`. Shows: `reveille_transfers_queued`,
   * `reveille_transfer_wait_seconds`.
   */
  sessions: 10_000,
  /**
   * @limit Requests that are looked up or wait. Setting: `queue`. Shows:
   * `reveille_requests_ignored_total{reason="queueFull"}`.
   */
  queue: 65_536,
  /**
   * @limit Silence of a client after which its waiting request is dropped. Setting: library only. Shows:
   * `reveille_requests_ignored_total{reason="expired"}`.
   */
  laneExpiryMs: 10_000,
  /** @limit Largest `windowsize` granted, blocks. Setting: `maxWindowsize`. Shows: `windowsize` in the log. */
  maxWindowsize: 64,
  maxBlksize: undefined,
  acknowledgeTimeout: false,
  /**
   * @limit Time without progress after which a transfer ends. Setting: `patience`, also of a route. Shows:
   * `reveille_transfers_total{outcome="timeout"}`.
   */
  patienceMs: 90_000,
  /**
   * @limit Rate in bytes per second below which a transfer ends while others wait for a session. Setting: `minRate`.
   * Shows: `reveille_transfers_total{outcome="aborted"}`.
   */
  minRate: 0,
  /**
   * @limit Half-open transfers: in all, of a network, of an address. Setting: `halfOpen`, `halfOpenPerNetwork`,
   * `halfOpenPerAddress`. Shows: `reveille_requests_ignored_total{reason="unanswered"}`.
   */
  halfOpen: { total: 2048, perPrefix: 512, perAddress: 64 },
  /**
   * @limit Transfers of one address. Setting: `sessionsPerAddress`. Shows:
   * `reveille_requests_ignored_total{reason="addressFull"}`.
   */
  sessionsPerAddress: 256,
  /**
   * @limit Transfers of one IPv4 /24. Setting: `sessionsPerNetwork4`. Shows:
   * `reveille_requests_ignored_total{reason="prefixFull"}`.
   */
  sessionsPerPrefix4: 2048,
  /**
   * @limit Transfers of one IPv6 /64. Setting: `sessionsPerNetwork6`. Shows:
   * `reveille_requests_ignored_total{reason="prefixFull"}`.
   */
  sessionsPerPrefix6: 8192,
};

/** The parts of a server: startServer builds them, tests on virtual time build others. */
export interface ServerParts
  extends Pick<
    ServerOptions,
    'listen' | 'limits' | 'observer' | 'mayAsk' | 'isShared' | 'maxBlksizeOf' | 'http' | 'keep'
  > {
  readonly sources: readonly Source[];
  readonly engine: Engine;
  readonly pool: Pool;
  readonly seed: number;
  /** Transfers of the process before, and the memory for the next one. Default: transfers end with the process. */
  readonly inheritance?: Inheritance | undefined;
  readonly listenOnEachAddress?: boolean;
  readonly answerBroadcast?: boolean;
  readonly singlePort?: boolean;
  readonly localAddresses?: () => LocalAddress[];
}

/**
 * Starts a server on threads of its own. @throws Error when no address can be listened on, or a thread or source can't
 * start.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { listen, limits, observer, workers } = options;
  const choice = await resolveEngine(options.engine);
  if (choice.reason !== undefined) observer.onWarning('the portable engine is used', { reason: choice.reason });
  const { dataPorts, singlePort = false } = options;
  const engineOptions = {
    ...(dataPorts === undefined ? {} : { dataPorts }),
    ...(singlePort ? { singlePort: workers } : {}),
    ...(options.http === undefined
      ? {}
      : { reserved: options.http.connections ?? DEFAULT_CONNECTIONS, sendsFiles: true }),
  };
  const engine = createEngine(choice.kind, engineOptions, options.keep);
  const slots = limits.sessions + limits.queue;
  const { keep } = options;
  const inheritance =
    choice.kind === 'linux' && keep?.hasKeeper === true
      ? Inheritance.open(keep, slots, (message, detail) => observer.onWarning(message, detail))
      : undefined;
  // Node.js lets no two threads use one socket.
  const isOneThread = singlePort && choice.kind === 'portable';
  if (isOneThread) observer.onWarning('with singlePort the portable engine runs all transfers on one thread', {});
  const pool = isOneThread
    ? new InlinePool(engine, slots)
    : await ThreadPool.start({
        workers,
        slots,
        region: inheritance?.region,
        engine,
        kind: choice.kind,
        engineOptions,
        onWorkerLost: (reason, { resumed, lost }) => observer.onWarning('worker lost', { reason, resumed, lost }),
        ...(options.worker === undefined ? {} : { worker: options.worker }),
      }).catch(async (cause: unknown) => {
        await engine.close();
        throw cause;
      });
  let sources: readonly Source[];
  try {
    sources = await (typeof options.sources === 'function' ? options.sources(engine) : options.sources);
  } catch (cause) {
    await pool.close();
    await engine.close();
    throw cause;
  }
  const server = new TftpServer({
    listen,
    sources,
    limits,
    observer,
    ...(options.mayAsk === undefined ? {} : { mayAsk: options.mayAsk }),
    ...(options.isShared === undefined ? {} : { isShared: options.isShared }),
    ...(options.maxBlksizeOf === undefined ? {} : { maxBlksizeOf: options.maxBlksizeOf }),
    ...(options.http === undefined ? {} : { http: options.http }),
    keep,
    inheritance,
    listenOnEachAddress: options.listenOnEachAddress ?? false,
    answerBroadcast: options.answerBroadcast ?? false,
    singlePort,
    engine,
    pool,
    seed: randomInt(1, 0x7fffffff),
  });
  try {
    await server.start();
  } catch (cause) {
    await server.stop(0);
    throw cause;
  }
  return server;
}

type MalformedRequest = Malformed | 'notRequest';

export class TftpServer implements Server {
  readonly #pool: Pool;
  readonly #engine: Engine;
  readonly #sessions: number;
  readonly #listener: Listener;
  readonly #reader = new RequestReader();
  readonly #onWarning: ServerObserver['onWarning'];
  readonly #admission: Admission;
  readonly #httpHost: HttpHost;
  readonly #httpOptions: HttpOptions | undefined;
  readonly #keep: SocketKeep | undefined;
  readonly #inheritance: Inheritance | undefined;
  #http: HttpService | undefined;
  readonly #malformed = Object.fromEntries([...MALFORMED, 'notRequest'].map((reason) => [reason, 0])) as Record<
    MalformedRequest,
    number
  >;
  #requests = 0;
  #ready = false;
  /** True once another process goes on with the transfers. */
  #hasLeft = false;
  #stopping: Promise<number> | undefined;
  #cutAt = Number.POSITIVE_INFINITY;
  #cancelCut: (() => void) | undefined;

  constructor(parts: ServerParts) {
    const { engine, pool, listen, sources, limits, observer, seed, localAddresses } = parts;
    this.#engine = engine;
    this.#sessions = limits.sessions;
    this.#pool = pool;
    this.#onWarning = observer.onWarning.bind(observer);
    const mtus = new PathMtus({
      clock: engine.clock,
      ...(engine.routeMtu === undefined ? {} : { routeMtu: engine.routeMtu.bind(engine) }),
    });
    this.#listener = new Listener({
      engine,
      listen,
      listenOnEachAddress: parts.listenOnEachAddress ?? false,
      answerBroadcast: parts.answerBroadcast,
      receive: this.#receive,
      onWarning: this.#onWarning,
      onAddresses: (present) => mtus.update(present),
      onListening: observer.onListening?.bind(observer),
      ...(localAddresses === undefined ? {} : { localAddresses }),
    });
    const resolver = new Resolver(sources);
    const mayAsk = parts.mayAsk ?? ((): boolean => true);
    this.#admission = new Admission({
      clock: engine.clock,
      pool,
      ports: engine.transferPorts,
      attach: (handle) => engine.attach(handle),
      resolver,
      limits,
      recoveries: parts.inheritance?.begin(),
      observer,
      mayAsk,
      isShared: parts.isShared ?? (() => false),
      singlePort: parts.singlePort,
      blksizes: new BlksizeLimits({
        clock: engine.clock,
        cells: pool.cells,
        mtus,
        maxBlksize: limits.maxBlksize,
        maxBlksizeOf: parts.maxBlksizeOf ?? (() => undefined),
        onWarning: this.#onWarning,
      }),
      seed,
    });
    this.#httpOptions = parts.http;
    this.#keep = parts.keep;
    this.#inheritance = parts.inheritance;
    this.#httpHost = httpHost({ clock: engine.clock, admission: this.#admission, resolver, observer, mayAsk });
  }

  get addresses(): readonly Address[] {
    return this.#listener.addresses;
  }

  get httpAddresses(): readonly HttpAddress[] {
    return this.#http?.addresses ?? [];
  }

  get engine(): Engine['name'] {
    return this.#engine.name;
  }

  get ready(): boolean {
    return this.#ready && this.#listener.addresses.length > 0;
  }

  async start(): Promise<void> {
    this.#keep?.takeOver();
    await this.#listener.start();
    // No packet is read before the turn ends in which the ports were opened.
    this.#resume();
    if (this.#httpOptions !== undefined) {
      const hasSystem = this.#engine.name === 'linux';
      this.#http = await HttpService.start(this.#httpHost, this.#httpOptions, hasSystem, this.#keep);
    }
    this.#stockPorts();
    const { advice } = this.#engine;
    if (advice !== undefined) this.#onWarning(advice, {});
    this.#ready = true;
  }

  /** Goes on with the transfers of the process before. Contents that must be read first do not delay the start. */
  #resume(): void {
    const inheritance = this.#inheritance;
    if (inheritance === undefined) return;
    const { resumer } = this.#admission;
    const left = inheritance.take(this.#onWarning);
    void resumer.resume(left, this.#keep?.deathsAtOnce).then(() => {
      inheritance.settle();
      const { resumed, lost } = resumer;
      if (left.length > 0) this.#onWarning('transfers of another process', { resumed, lost: { ...lost } });
    });
  }

  /** Opens ports for a storm that may begin at any moment; a wildcard's addresses share them. */
  #stockPorts(): void {
    const { transferPorts } = this.#engine;
    if (transferPorts === undefined) return;
    // Nodes are waiting already where another process has answered them.
    transferPorts.stock(this.#listener.localAddresses(), this.#sessions, this.#admission.active === 0);
    const { shortage } = transferPorts;
    if (shortage !== undefined) this.#onWarning('fewer ports for transfers than sessions', { reason: shortage });
  }

  stats(): ServerStats {
    const { packets, latencies, sendErrors, workers } = this.#pool.figures();
    const health = this.#engine.health();
    const { stuck, nodes } = runningOf(this.#admission.running, this.#pool.cells, this.#engine.clock.now());
    const http = this.#http?.figures();
    const views = this.#http?.views() ?? [];
    const now = this.#engine.clock.now();
    for (const { transfer } of views) if (transfer !== undefined) nodes.add(transfer.client.address);
    return {
      http,
      transfersActive: this.#admission.active + (http?.sending ?? 0),
      transfersStuck: stuck + views.filter((view) => isStuck(view, now)).length,
      nodesBooting: nodes.size,
      transfersQueued: this.#admission.queued,
      requestsTotal: this.#requests + (http?.requestsTotal ?? 0),
      ignoredTotal: this.#admission.ignored,
      malformedTotal: this.#malformed,
      requestDropsTotal: health.receiveDrops,
      packets: { ...packets, sendDrops: packets.sendDrops + health.sendDrops },
      latencies,
      sendErrorsTotal: addErrors(sendErrors, health.sendErrors),
      workers,
      workersLostTotal: this.#pool.workersLost,
      transfersResumedTotal: this.#pool.takeovers.resumed,
      transfersLostTotal: addLosses(this.#pool.takeovers.lost, this.#admission.resumer.lost),
    };
  }

  transfers(): TransferView[] {
    const now = this.#engine.clock.now();
    const own = [...this.#admission.transfers].map((transfer) => transferView(transfer, this.#pool.cells, now));
    return [...own, ...(this.#http?.views() ?? []).map((view) => httpView(view, now))];
  }

  stop(drainMs: number): Promise<number> {
    this.#ready = false;
    this.#stopping ??= this.#stop();
    this.#cutAfter(drainMs);
    return this.#stopping;
  }

  async #stop(): Promise<number> {
    // The listening ports stay open meanwhile: a closed one would answer with ICMP, and EDK2 gives up on that.
    if (!this.#hasLeft) this.#admission.drain();
    if (this.#hasLeft) this.#engine.transferPorts?.close();
    await Promise.all([this.#hasLeft ? undefined : this.#admission.idle(), this.#http?.drain()]);
    this.#cancelCut?.();
    await this.#http?.close();
    await this.#pool.close();
    await this.#listener.close();
    await this.#engine.close();
    return this.#admission.aborted + (this.#http?.aborted ?? 0);
  }

  async handOver(): Promise<void> {
    this.#ready = false;
    this.#hasLeft = true;
    this.#keep?.leave();
    await this.#listener.close();
    this.#admission.drain(true);
    await this.#pool.leave?.();
  }

  /** Ends what still runs after `drainMs`, unless an earlier end is already set. */
  #cutAfter(drainMs: number): void {
    const { clock } = this.#engine;
    const at = clock.now() + drainMs;
    if (at >= this.#cutAt) return;
    this.#cutAt = at;
    this.#cancelCut?.();
    this.#cancelCut = clock.wake(at, () => {
      this.#admission.cancelAll();
      this.#http?.cut();
    });
  }

  readonly #receive: RequestReceiver = (bytes, length, peer, port, arrivedAt) => {
    const isTransferPacket = length >= 2 && bytes[0] === 0 && bytes[1]! >= OPCODE.DATA && bytes[1]! <= OPCODE.OACK;
    // Such a packet is never answered: answers to answers keep two servers busy forever (CVE-2024-2169).
    const request = isTransferPacket ? 'notRequest' : this.#reader.read(bytes, length);
    if (typeof request === 'string') {
      this.#malformed[request]++;
      return;
    }
    this.#requests++;
    this.#admission.admit({ request, peer, port, arrivedAt });
  };
}
