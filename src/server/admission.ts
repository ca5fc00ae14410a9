/**
 * From a request to a running transfer: gate, resolver, negotiation, lanes, pool. Lives in the main thread and never
 * sees DATA or ACK. What a client does wrong is answered or counted, not thrown.
 */
import type { Content } from '../content/types.ts';
import type { TransferReport } from '../engine/report.ts';
import { TRANSFER_STATE, WISH_TO_END } from '../pool/state-cells.ts';
import { MAX_CONTROL, encodeError, encodeOack } from '../protocol/encode.ts';
import { negotiate } from '../protocol/negotiate.ts';
import type { AskedOption } from '../protocol/request.ts';
import { Gate, transferKey } from './gate.ts';
import { Lanes } from './lanes.ts';
import { Launcher, type LauncherOptions } from './launcher.ts';
import { startRecord, transferRecord, transferView } from './records.ts';
import type { Resolved, Resolver } from './resolver.ts';
import { type Arrival, Transfer, mayBeProbe } from './transfer.ts';
import {
  IGNORED,
  type Ignored,
  REFUSAL_CODES,
  type Refusal,
  type RequestRecord,
  type ServerObserver,
  STUCK_MS,
  type TransferView,
} from './types.ts';

/** Files of at most this size go in the quick lane: configs, scripts, small loaders. */
const QUICK_BYTES = 64 * 1024;
/** How often waiting requests are looked at for clients that have given up. */
const SWEEP_MS = 1000;
/** While others wait, an address that has not answered its first reply holds a session no longer than this. */
const UNPROVEN_UNDER_PRESSURE_MS = 3000;

/** A request so soon before the end of its predecessor was sent after the last ACK. */
const JUST_ENDED_MS = 50;

const NO_OPTIONS: readonly AskedOption[] = [];

/** What a refused client is told. */
const MESSAGES: Readonly<Record<Refusal, string>> = {
  not_found: 'File not found',
  access: 'Access violation',
  too_large: 'File too large',
  write: 'Read-only server',
  mode: 'Unknown transfer mode',
  route: 'Access violation',
  render: 'Access violation',
};

export interface AdmissionOptions extends LauncherOptions {
  readonly resolver: Resolver;
  readonly observer: ServerObserver;
  /** The largest blksize that leaves a local address unfragmented, in bytes. */
  readonly maxBlksize: (local: string) => number;
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #gate: Gate<Transfer>;
  readonly #lanes = new Lanes<Transfer>();
  readonly #active = new Set<Transfer>();
  readonly #launcher: Launcher;
  readonly #ignored: Record<Ignored, number>;
  readonly #packet = new Uint8Array(MAX_CONTROL);
  #lastId = 0;
  #draining = false;
  #cancelled = false;
  #aborted = 0;
  #cancelSweep: (() => void) | undefined;
  #whenIdle: () => void = () => {};

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#gate = new Gate(options.pool.cells);
    this.#launcher = new Launcher(options, (transfer, report) => this.#ended(transfer, report));
    options.pool.onRoom = () => this.#pump();
    this.#ignored = Object.fromEntries(IGNORED.map((reason) => [reason, 0])) as Record<Ignored, number>;
  }

  get active(): number {
    return this.#active.size;
  }

  get queued(): number {
    return this.#lanes.size;
  }

  get ignored(): Readonly<Record<Ignored, number>> {
    return this.#ignored;
  }

  /** Looks at every transfer that runs. */
  running(): { readonly stuck: number; readonly nodes: number } {
    const { clock, pool } = this.#options;
    const now = clock.now();
    const nodes = new Set<string>();
    let stuck = 0;
    for (const { slot, peer } of this.#active) {
      nodes.add(peer.address);
      if (pool.cells.state(slot) === TRANSFER_STATE.running && pool.cells.silence(slot, now) >= STUCK_MS) stuck++;
    }
    return { stuck, nodes: nodes.size };
  }

  /** Every transfer there is. Those that were superseded before a worker had them are none. */
  views(): TransferView[] {
    const { clock, pool } = this.#options;
    const { cells } = pool;
    const now = clock.now();
    const views: TransferView[] = [];
    for (const transfer of this.#gate.values()) views.push(transferView(transfer, cells, now));
    for (const transfer of this.#active) if (transfer.abandoned) views.push(transferView(transfer, cells, now));
    return views;
  }

  /** Takes in one request. */
  admit(arrival: Arrival): void {
    const { request, peer, port } = arrival;
    if (peer.port === 0) return this.#ignore('source', arrival);
    if (this.#draining) return this.#ignore('draining', arrival);
    const mode = request.mode;
    if (request.operation === 'write') {
      this.#tellOf(arrival, 'refused');
      return this.#refuse(request.filename, arrival, 'write', 'write request');
    }
    if (mode !== 'octet' && mode !== 'netascii') {
      this.#tellOf(arrival, 'refused');
      return this.#refuse(request.filename, arrival, 'mode', 'unknown mode');
    }
    const now = this.#options.clock.now();
    const key = transferKey(peer, port.local.address);
    const known = this.#gate.find(key);
    switch (this.#gate.judge(known, request.text, now)) {
      case 'refresh':
        known!.lastRequestAt = now;
        return this.#ignore('repeated', arrival, known);
      case 'repeat':
        known!.lastRequestAt = now;
        this.#options.pool.cells.repeat(known!.slot);
        this.#hold(known!, arrival, now);
        return this.#ignore('repeated', arrival, known);
      case 'ignore':
        this.#hold(known!, arrival, now);
        return this.#ignore('repeated', arrival, known);
      case 'replace':
        this.#abandon(known!);
        break;
      case 'new':
        break;
    }
    const slot = this.#gate.takeSlot();
    if (slot === undefined) return this.#ignore('queueFull', arrival);
    const transfer = new Transfer(++this.#lastId, key, slot, arrival, mode, now);
    this.#options.pool.cells.reset(slot, TRANSFER_STATE.resolving, now);
    this.#gate.enter(transfer);
    this.#tellOf(arrival, 'admitted', transfer);
    this.#resolve(transfer);
  }

  /**
   * A client that has its file may ask for the same again before its worker has read the last ACK. The request is kept
   * for the moment that the worker needs.
   */
  #hold(known: Transfer, arrival: Arrival, now: number): void {
    known.again = arrival;
    known.againAt = now;
  }

  /** From now on nobody is admitted, and whoever waits is forgotten: they ask another server, or this one's successor. */
  drain(): void {
    this.#draining = true;
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
    for (const transfer of this.#lanes.takeSilent(Number.POSITIVE_INFINITY)) this.#drop(transfer, 'draining');
  }

  /** Resolves when nothing runs any more. Call after drain(). */
  idle(): Promise<void> {
    if (this.#active.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  /** Ends everything that runs. */
  cancelAll(): void {
    this.#cancelled = true;
    for (const { slot } of this.#active) this.#options.pool.cells.end(slot, WISH_TO_END.abort);
  }

  /** Transfers that cancelAll has cost so far: some end on their own before it reaches them. */
  get aborted(): number {
    return this.#aborted;
  }

  /** @param known whose request this repeats. */
  #ignore(reason: Ignored, arrival: Arrival, known?: Transfer): void {
    this.#ignored[reason]++;
    this.#tellOf(arrival, reason, known);
  }

  #tellOf({ request, peer, port }: Arrival, done: RequestRecord['done'], transfer?: Transfer): void {
    const { observer } = this.#options;
    if (observer.onRequest === undefined) return;
    const { operation, filename, mode, options } = request;
    const local = port.local.address;
    observer.onRequest({ client: peer, local, operation, filename, mode, options, done, transfer: transfer?.id });
  }

  /** ERROR from the port that was asked, at once and once. @param filename as it came. @param reason for our side. */
  #refuse(filename: string, { peer, port }: Pick<Arrival, 'peer' | 'port'>, kind: Refusal, reason: string): void {
    const code = REFUSAL_CODES[kind];
    port.reply(this.#packet, encodeError(this.#packet, code, MESSAGES[kind]), peer);
    const { observer } = this.#options;
    observer.onRefusal({ client: peer, local: port.local.address, filename, kind, code, reason });
  }

  /** The client has begun anew: what it asked before is of no use to anyone. */
  #abandon(transfer: Transfer): void {
    transfer.abandoned = true;
    this.#gate.leave(transfer);
    const { cells } = this.#options.pool;
    if (this.#active.has(transfer)) cells.end(transfer.slot, WISH_TO_END.supersede);
    // One that is being resolved is dropped when its source has answered.
    else if (cells.state(transfer.slot) === TRANSFER_STATE.queued) {
      this.#lanes.delete(transfer);
      this.#release(transfer);
    }
  }

  /** Gives back what a transfer holds. Only for one that no worker has. */
  #release(transfer: Transfer): void {
    this.#gate.leave(transfer);
    transfer.content?.release();
    this.#gate.freeSlot(transfer.slot);
  }

  /** No answer for one that was admitted. @param detail for our side. */
  #drop(transfer: Transfer, reason: Ignored, detail?: string): void {
    this.#ignored[reason]++;
    const { id, peer, port, filename } = transfer;
    this.#options.observer.onDrop?.({
      transfer: id,
      client: peer,
      local: port.local.address,
      filename,
      reason,
      detail,
    });
    this.#release(transfer);
  }

  #resolve(transfer: Transfer): void {
    const { filename, peer, local, mode } = transfer;
    const answer = this.#options.resolver.resolve({ filename, mode, client: peer.address, local });
    if ('kind' in answer) this.#onAnswer(transfer, answer);
    else void answer.then((late) => this.#onAnswer(transfer, late));
  }

  #onAnswer(transfer: Transfer, answer: Resolved): void {
    const { filename } = transfer;
    if (answer.kind === 'content') transfer.content = answer;
    if (transfer.abandoned) return this.#release(transfer);
    if (this.#draining) return this.#drop(transfer, 'draining');
    switch (answer.kind) {
      case 'content':
        return this.#enqueue(transfer, answer);
      case 'missing':
        this.#refuse(filename, transfer, 'not_found', 'no such file');
        break;
      case 'denied':
        this.#refuse(
          filename,
          transfer,
          answer.tooLarge === true ? 'too_large' : (answer.by ?? 'access'),
          answer.reason,
        );
        break;
      case 'busy':
        // Any error code would make some loader give up or start over; silence makes all of them ask again.
        this.#options.observer.onWarning('content unavailable', { reason: answer.reason });
        return this.#drop(transfer, 'busy', answer.reason);
    }
    this.#release(transfer);
  }

  #enqueue(transfer: Transfer, content: Content): void {
    const { options, port, mode, slot } = transfer;
    const { limits, maxBlksize, pool } = this.#options;
    const { settled, oack } = negotiate(
      options,
      {
        maxBlksize: limits.maxBlksize ?? maxBlksize(port.local.address),
        maxWindowsize: limits.maxWindowsize,
        acknowledgeTimeout: limits.acknowledgeTimeout,
      },
      content.handle.length,
      mode,
    );
    transfer.options = NO_OPTIONS;
    transfer.settled = settled;
    if (oack.length > 0) transfer.opening = this.#packet.slice(0, encodeOack(this.#packet, oack));
    transfer.queuedAt = this.#options.clock.now();
    transfer.quick = content.handle.length <= QUICK_BYTES || mayBeProbe(options);
    pool.cells.setState(slot, TRANSFER_STATE.queued);
    this.#lanes.add(transfer);
    this.#pump();
    this.#scheduleSweep();
  }

  #pump(): void {
    while (this.#active.size < this.#options.limits.sessions) {
      const transfer = this.#lanes.next(this.#launcher.hasPorts);
      if (transfer === undefined || !this.#run(transfer)) return;
    }
  }

  /** Starts the next transfer, unless its address has no port for it. @returns false when no worker can take it. */
  #run(transfer: Transfer): boolean {
    const launch = this.#launcher.launch(transfer);
    if (launch === 'noRoom') return false;
    if (launch === 'usedUp' || launch === 'noDescriptor') return true;
    this.#lanes.delete(transfer);
    if (launch === 'unreachable') {
      // It must not wait: it would be the first in its lane, and whoever is behind it would wait as well.
      this.#drop(transfer, 'unreachable');
      return true;
    }
    this.#active.add(transfer);
    this.#options.observer.onStart?.(startRecord(transfer));
    transfer.opening = undefined;
    return true;
  }

  #ended(transfer: Transfer, report: TransferReport): void {
    const { again, againAt } = transfer;
    this.#active.delete(transfer);
    this.#record(transfer, report);
    this.#release(transfer);
    if (this.#draining) {
      if (this.#active.size === 0) this.#whenIdle();
      return;
    }
    if (again !== undefined && !transfer.abandoned && this.#options.clock.now() - againAt < JUST_ENDED_MS) {
      this.admit(again);
    }
    this.#pump();
  }

  #record(transfer: Transfer, report: TransferReport): void {
    const superseded = report.outcome === 'aborted' && transfer.abandoned;
    if (this.#cancelled && report.outcome === 'aborted' && !superseded) this.#aborted++;
    this.#options.observer.onTransfer(transferRecord(transfer, report, superseded));
  }

  #scheduleSweep(): void {
    if (this.#cancelSweep !== undefined || this.#lanes.size === 0) return;
    const { clock } = this.#options;
    this.#cancelSweep = clock.wake(clock.now() + SWEEP_MS, () => {
      this.#cancelSweep = undefined;
      this.#sweep();
      this.#scheduleSweep();
    });
  }

  /** Lets go of clients that have given up, and of sessions held by addresses that never answered. */
  #sweep(): void {
    const { clock, limits, pool } = this.#options;
    const now = clock.now();
    for (const transfer of this.#lanes.takeSilent(now - limits.laneExpiryMs)) this.#drop(transfer, 'expired');
    // A port that rested, or that somebody else had, may be free by now.
    this.#launcher.tryAgain();
    this.#pump();
    for (const { slot, startedAt, lastRequestAt } of this.#active) {
      // A client that waited long has had our reply only since the start.
      if (now - Math.max(startedAt, lastRequestAt) < UNPROVEN_UNDER_PRESSURE_MS) continue;
      if (pool.cells.state(slot) === TRANSFER_STATE.unproven) pool.cells.end(slot, WISH_TO_END.abort);
    }
  }
}
