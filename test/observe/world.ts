/**
 * A simulated server with its own clock: nodes ask, download, fall silent. The live state receives what a server would
 * report.
 */
import type { HttpAddress } from '../../src/http/types.ts';
import { escapeText } from '../../src/text/escape.ts';
import { LiveState, type LiveStateParts } from '../../src/observe/live-state.ts';
import type {
  Ignored,
  RequestRecord,
  ServerStats,
  StartRecord,
  TransferRecord,
  TransferView,
} from '../../src/server/types.ts';
import { serverStats } from '../support/reveille.ts';

export const LOCAL = '10.0.255.1';

export function option(name: string, value: string): RequestRecord['options'][number] {
  return { name: name as RequestRecord['options'][number]['name'], spelling: name, value };
}

export interface Sending {
  readonly id: number;
  readonly start: StartRecord;
  view: TransferView;
  movedAt: number;
  readonly at: number;
}

export class ObservedWorld {
  now = 1_700_000_000_000;
  readonly state: LiveState;
  readonly sending = new Map<number, Sending>();
  stats: ServerStats = serverStats();
  ready = true;
  http: readonly HttpAddress[] = [];
  #id = 0;
  #ports = new Map<string, number>();

  constructor(parts: Partial<LiveStateParts> = {}) {
    const isReady = (): boolean => this.ready;
    this.state = new LiveState({
      server: () => ({
        get ready() {
          return isReady();
        },
        addresses: [{ address: '0.0.0.0', port: 69 }],
        httpAddresses: this.http,
        engine: 'linux',
        stats: () => ({ ...this.stats, transfersActive: this.sending.size }),
        transfers: () => [...this.sending.values()].map((one) => this.#viewOf(one)),
      }),
      channels: () => [],
      fleet: () => [],
      cache: () => ({ heldBytes: 0, idleBytes: 0, shelvedBytes: 0, entries: 0, hits: 0, misses: 0, evictions: 0 }),
      known: () => undefined,
      show: escapeText,
      version: '1.2.3',
      workers: 2,
      singlePort: false,
      history: () => ({ deaths: 0, upgrades: 0, cause: undefined }),
      now: () => this.now,
      ...parts,
    });
  }

  #viewOf({ view, movedAt, at }: Sending): TransferView {
    return { ...view, silentMs: this.now - movedAt, sinceMs: this.now - at };
  }

  /** Advances time second by second, as the server's timer would. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 1000) {
      this.now += Math.min(1000, left);
      this.state.tick();
    }
  }

  /** @returns the number of the transfer. */
  ask(
    address: string,
    filename: string,
    options: Readonly<Record<string, number>> = { blksize: 1468 },
    port?: number,
  ): number {
    const own = port ?? (this.#ports.get(address) ?? 2000) + 1;
    this.#ports.set(address, own);
    const id = ++this.#id;
    this.stats = { ...this.stats, requestsTotal: this.stats.requestsTotal + 1 };
    this.state.observer.onRequest({
      protocol: 'tftp',
      client: { address, port: own },
      local: LOCAL,
      operation: 'read',
      filename,
      mode: 'octet',
      options: Object.entries(options).map(([name, value]) => option(name, String(value))),
      done: 'admitted',
      transfer: id,
    });
    return id;
  }

  /** A request over HTTP. @returns the number of the transfer. */
  get(address: string, filename: string, port = 40_000): number {
    const id = ++this.#id;
    this.state.observer.onRequest({
      protocol: 'http',
      client: { address, port },
      local: LOCAL,
      operation: 'read',
      filename,
      mode: 'octet',
      options: [],
      done: 'admitted',
      transfer: id,
    });
    return id;
  }

  /** A request over HTTP that gets an error. */
  answer(address: string, filename: string, code: number, reason = 'no such file', port = 40_000): void {
    this.get(address, filename, port);
    const client = { address, port };
    const kind = code === 403 ? 'access' : 'not_found';
    this.state.onRefusal({ protocol: 'http', client, local: LOCAL, filename, kind, code, reason });
  }

  /** A request over HTTP that gets a 503, or whose client has gone before. */
  drop(address: string, filename: string, reason: 'busy' | 'unanswered'): void {
    const transfer = this.get(address, filename);
    const client = { address, port: 40_000 };
    this.state.observer.onDrop({
      protocol: 'http',
      transfer,
      client,
      local: LOCAL,
      filename,
      reason,
      detail: undefined,
    });
  }

  /** A request over HTTP whose head has been sent. */
  sendHttp(address: string, filename: string, port = 40_000): Sending {
    return this.#begin(this.get(address, filename, port), address, port, filename, {
      protocol: 'http',
      blksize: 0,
      windowsize: 0,
    });
  }

  /** A request that is not acted on. */
  ignore(address: string, filename: string, reason: Ignored): void {
    const port = (this.#ports.get(address) ?? 2000) + 1;
    this.#ports.set(address, port);
    this.state.observer.onRequest({
      protocol: 'tftp',
      client: { address, port },
      local: LOCAL,
      operation: 'read',
      filename,
      mode: 'octet',
      options: [],
      done: reason,
      transfer: undefined,
    });
  }

  repeat(address: string, filename: string, transfer: number): void {
    const port = this.#ports.get(address)!;
    this.state.observer.onRequest({
      protocol: 'tftp',
      client: { address, port },
      local: LOCAL,
      operation: 'read',
      filename,
      mode: 'octet',
      options: [],
      done: 'repeated',
      transfer,
    });
  }

  refuse(address: string, filename: string, code = 1, reason = 'no such file'): void {
    this.ask(address, filename);
    const client = { address, port: this.#ports.get(address)! };
    this.state.onRefusal({
      protocol: 'tftp',
      client,
      local: LOCAL,
      filename,
      kind: code === 1 ? 'not_found' : 'access',
      code,
      reason,
    });
  }

  send(
    address: string,
    filename: string,
    change: Partial<StartRecord> & { options?: Readonly<Record<string, number>> } = {},
  ): Sending {
    const { options, ...rest } = change;
    const id = this.ask(address, filename, options);
    return this.#begin(id, address, this.#ports.get(address)!, filename, rest);
  }

  #begin(id: number, address: string, port: number, filename: string, change: Partial<StartRecord>): Sending {
    const start: StartRecord = {
      protocol: 'tftp',
      id,
      client: { address, port },
      local: LOCAL,
      file: filename,
      origin: 'file',
      size: 1_000_000,
      mode: 'octet',
      blksize: 1468,
      windowsize: 4,
      waitedMs: 1,
      queuedMs: 0,
      ...change,
    };
    this.state.onStart(start);
    const view: TransferView = { ...start, state: 'running', bytes: 0, retransmits: 0, silentMs: 0, sinceMs: 0 };
    const sending: Sending = { id, start, view, movedAt: this.now, at: this.now };
    this.sending.set(id, sending);
    return sending;
  }

  progress(sending: Sending, bytes: number, change: Partial<TransferView> = {}): void {
    sending.view = { ...sending.view, bytes, ...change };
    sending.movedAt = this.now;
  }

  end(sending: Sending, outcome: TransferRecord['outcome'] = 'complete', change: Partial<TransferRecord> = {}): void {
    this.sending.delete(sending.id);
    this.state.onTransfer({
      ...sending.start,
      outcome,
      startedAt: 0,
      durationMs: sending.movedAt - sending.at,
      blocks: 1,
      bytes: outcome === 'complete' ? sending.start.size : sending.view.bytes,
      retransmits: sending.view.retransmits,
      stale: 0,
      timeouts: 0,
      errorCode: undefined,
      errorText: '',
      fault: undefined,
      firstReplyMs: 1,
      ...change,
    });
  }

  /** Requests a file and gets all of it, in `tookMs` milliseconds. */
  fetch(address: string, filename: string, change: Partial<StartRecord> = {}, tookMs = 100): void {
    const sending = this.send(address, filename, change);
    this.now += tookMs;
    this.progress(sending, sending.start.size);
    this.end(sending);
  }
}
