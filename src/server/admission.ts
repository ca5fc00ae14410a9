/**
 * Takes a request to a running transfer: gate, resolver, negotiation, lanes, pool. Runs in the main thread and never
 * sees DATA or ACK. Mistakes of a client are answered or counted, not thrown.
 */
import type { Content } from '../content/types.ts';
import type { TransferReport } from '../engine/report.ts';
import { Jitter } from '../session/jitter.ts';
import { TRANSFER_STATE, WISH_TO_END } from '../pool/state-cells.ts';
import { Crowd } from './clients/crowd.ts';
import { JustEnded } from './clients/just-ended.ts';
import { firstBlock } from './feeder.ts';
import { Gate, isNobodysPort, transferKey } from './gate.ts';
import { Lanes } from './lanes.ts';
import { type AdmissionOptions, Launcher } from './launcher.ts';
import { hasAcknowledged, startRecord, transferRecord } from './records.ts';
import { MemoryQueue } from './memory-queue.ts';
import { MemoryHolders, underPressure } from './pressure.ts';
import { Refuser, refusalOf, servedMode } from './refuser.ts';
import { RequestTally } from './request-tally.ts';
import type { Resolved } from './resolver.ts';
import { Resumer } from './resumer.ts';
import { Succession } from './succession.ts';
import { settle } from './settle.ts';
import { Sweep } from './sweep.ts';
import { type Arrival, Transfer } from './transfer.ts';
import type { Ignored } from './types.ts';

/** A request this soon before the end of the previous transfer was sent after the last ACK. */
const JUST_ENDED_MS = 250;

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #gate: Gate<Transfer>;
  readonly #lanes = new Lanes<Transfer>();
  readonly running = new Set<Transfer>();
  readonly #launcher: Launcher;
  readonly #refuser: Refuser;
  /** The clients of all protocols. */
  readonly crowd: Crowd<Transfer>;
  readonly resumer: Resumer;
  readonly #succession: Succession<Transfer>;
  readonly #thirsty: MemoryQueue<Transfer>;
  readonly #sweep: Sweep;
  readonly #memoryHolders: MemoryHolders;
  readonly #tally: RequestTally;
  #lastId = 0;
  readonly nextId = (): number => ++this.#lastId;
  #draining = false;
  #cancelled = false;
  #aborted = 0;
  #whenIdle: () => void = () => {};

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#gate = new Gate(options.pool.cells, options.singlePort === true ? new JustEnded() : undefined);
    this.#thirsty = new MemoryQueue(new Jitter(options.seed));
    this.#memoryHolders = new MemoryHolders(options.clock, options.pool.cells, this.#isKnown);
    this.#refuser = new Refuser(options.observer);
    this.#tally = new RequestTally(options.observer);
    this.crowd = new Crowd({ ...options, hasAnswered: this.#hasAnswered });
    this.#succession = new Succession({
      clock: options.clock,
      hasAnswered: this.#hasAnswered,
      end: (former) => this.#isRunning(former) && this.#abandon(former),
    });
    this.#sweep = new Sweep({
      clock: options.clock,
      isNeeded: () => (this.#draining ? this.running.size > 0 : this.#someWait || this.crowd.isCrowded),
      search: () => this.#endHopeless(),
    });
    this.#launcher = new Launcher(options, (transfer, report) => this.#ended(transfer, report));
    options.pool.onRoom = () => this.#pump();
    this.resumer = new Resumer(options, this.#gate, this.#launcher, this.nextId, {
      begun: (transfer) => this.#begun(transfer),
      join: (transfer) => this.#join(transfer),
      release: (transfer) => this.#release(transfer),
    });
  }

  get active(): number {
    return this.running.size;
  }

  get queued(): number {
    return this.#lanes.size;
  }

  get ignored(): Readonly<Record<Ignored, number>> {
    return this.#tally.ignored;
  }

  /** Every transfer but those superseded before they reached a worker. */
  get transfers(): ReadonlySet<Transfer> {
    return new Set([...this.#gate.values(), ...this.running]);
  }

  admit(arrival: Arrival): void {
    const { request, peer, port, arrivedAt } = arrival;
    if (isNobodysPort(peer.port)) return this.#tally.ignore('source', arrival);
    if (!this.#options.mayAsk(peer.address)) return this.#tally.ignore('client', arrival);
    if (this.#draining) return this.#tally.ignore('draining', arrival);
    const mode = servedMode(request);
    if (typeof mode !== 'string') {
      this.#tally.tell(arrival, 'refused');
      return this.#refuser.refuse(request.filename, arrival, mode.refusal, mode.reason);
    }
    const now = this.#options.clock.now();
    const key = transferKey(peer, port.local.address);
    const known = this.#gate.find(key);
    const verdict = this.#gate.judge(key, request.text, arrivedAt);
    if (verdict !== 'new' && verdict !== 'replace') {
      if (verdict !== 'ignore') known!.lastRequestAt = now;
      if (verdict === 'repeat') this.#options.pool.cells.repeat(known!.slot);
      if (verdict !== 'refresh') known?.hold(arrival, now);
      return this.#tally.ignore('repeated', arrival, known);
    }
    const full = this.crowd.refusal(peer.address, now);
    if (full !== undefined) return this.#tally.ignoreFull(full, arrival);
    const slot = this.#gate.takeSlot();
    if (slot === undefined) return this.#tally.ignore('queueFull', arrival);
    const predecessor = known === undefined ? undefined : this.#giveWay(known, now);
    const transfer = new Transfer(this.nextId(), key, slot, arrival, mode, now);
    this.#options.pool.cells.reset(slot, TRANSFER_STATE.resolving, now);
    this.#gate.enter(transfer);
    if (predecessor !== undefined) this.#succession.enter(transfer, predecessor);
    if (this.#options.singlePort === true && known !== undefined) {
      this.#succession.follow(transfer, known, this.running.has(known));
    }
    this.#tally.tell(arrival, 'admitted', transfer);
    this.#resolve(transfer);
  }

  /** Gives up an unproven transfer for others. Its worker keeps it if an ACK is there, unread; see #record. */
  #giveUp(transfer: Transfer): void {
    if (transfer.abandoned || transfer.givenUp) return;
    transfer.givenUp = true;
    if (this.running.has(transfer)) return this.#options.pool.cells.end(transfer.slot, WISH_TO_END.giveUp);
    this.#tally.drop(transfer, 'unanswered');
    this.#abandon(transfer);
  }

  /**
   * Makes room for another request from the same port.
   *
   * @returns the transfer that goes on until the new one has been answered: the new request may be forged.
   */
  #giveWay(known: Transfer, now: number): Transfer | undefined {
    // A stalled transfer would resend its block into the middle of the new one; on a shared port any other would too.
    const isAlive = this.running.has(known) && this.#hasAnswered(known) && this.#gate.isAlive(known, now);
    if (isAlive && this.#options.singlePort !== true) {
      this.#gate.leave(known);
      return known;
    }
    const predecessor = this.#succession.take(known);
    this.#abandon(known);
    return predecessor !== undefined && this.#isRunning(predecessor) ? predecessor : undefined;
  }

  /** Tells whether a worker has the transfer and is to go on with it. */
  #isRunning(transfer: Transfer): boolean {
    return this.running.has(transfer) && !transfer.abandoned;
  }

  readonly #isKnown = ({ peer }: Transfer): boolean => this.crowd.isKnown(peer.address, this.#options.clock.now());

  readonly #hasAnswered = ({ slot }: Transfer): boolean =>
    this.#options.pool.cells.state(slot) >= TRANSFER_STATE.running;

  /** Stops admitting and drops what waits: clients ask again. @param goesOnElsewhere another process has the transfers. */
  drain(goesOnElsewhere = false): void {
    this.#draining = true;
    this.#sweep.cancel();
    this.#sweep.schedule();
    this.#succession.close();
    for (const transfer of this.#lanes.takeSilent(Number.POSITIVE_INFINITY)) this.#drop(transfer, 'draining');
    for (const transfer of this.#thirsty.takeSilent(Number.POSITIVE_INFINITY)) this.#drop(transfer, 'draining');
    if (!goesOnElsewhere) return;
    this.#sweep.cancel();
    this.#launcher.leave();
  }

  /** Resolves when nothing runs any more. Call after drain(). */
  idle(): Promise<void> {
    if (this.running.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  /** Ends every running transfer. */
  cancelAll(): void {
    this.#cancelled = true;
    for (const { slot } of this.running) this.#options.pool.cells.end(slot, WISH_TO_END.abort);
  }

  get aborted(): number {
    return this.#aborted;
  }

  /** Ends a transfer whose client has started over: its former request is of no use. */
  #abandon(transfer: Transfer): void {
    transfer.abandoned = true;
    this.#gate.leave(transfer);
    this.crowd.leave(transfer);
    const { cells } = this.#options.pool;
    if (this.running.has(transfer)) cells.end(transfer.slot, WISH_TO_END.supersede);
    // A transfer that is still being resolved is dropped once its source has answered.
    else if (this.#thirsty.delete(transfer)) this.#release(transfer);
    else if (cells.state(transfer.slot) === TRANSFER_STATE.queued) {
      this.#lanes.delete(transfer);
      this.#release(transfer);
    }
  }

  /** Frees a transfer's resources. Only for a transfer that no worker has. */
  #release(transfer: Transfer, isAnswered = false): void {
    if (transfer.released) return;
    transfer.released = true;
    this.#gate.end(transfer, this.#options.clock.now());
    transfer.content?.release(isAnswered);
    this.#gate.freeSlot(transfer.slot);
    this.crowd.leave(transfer);
    const predecessor = this.#succession.take(transfer);
    // The client answered nothing of the new transfer: requests from its port belong to the former one again.
    if (predecessor !== undefined && this.#isRunning(predecessor) && this.#gate.find(transfer.key) === undefined) {
      this.#gate.enter(predecessor);
    }
    if (transfer.content !== undefined) this.#askAgain();
    this.#succession.released(transfer);
  }

  /** Memory may have become free: retries one waiting transfer. */
  readonly #askAgain = (): void => {
    if (this.#thirsty.size === 0 || this.#draining) return;
    const next = this.#thirsty.take(this.#isKnown);
    if (next !== undefined) this.#resolve(next);
  };

  /** Postpones a transfer whose file does not fit into memory, and takes memory from unproven transfers. */
  #awaitMemory(transfer: Transfer): void {
    transfer.hasWaited = true;
    const surplus = this.#thirsty.add(transfer, this.#isKnown);
    if (surplus !== undefined) this.#drop(surplus, 'busy');
    this.#sweep.schedule();
    for (const other of this.#memoryHolders.look(this.running)) this.#giveUp(other);
  }

  /** Drops an admitted request without an answer. @param detail for our logs only. */
  #drop(transfer: Transfer, reason: Ignored, detail?: string): void {
    this.#tally.drop(transfer, reason, detail);
    this.#release(transfer);
  }

  #resolve(transfer: Transfer): void {
    const { filename, peer, local, mode } = transfer;
    const answer = this.#options.resolver.resolve({ filename, mode, client: peer.address, local });
    if ('kind' in answer) this.#onAnswer(transfer, answer);
    else void answer.then((late) => this.#onAnswer(transfer, late));
  }

  #onAnswer(transfer: Transfer, answer: Resolved): void {
    const former = this.#succession.formerOf(transfer);
    // A closure here would cost every request memory, also one that waits for nothing.
    if (former !== undefined) return this.#succession.postpone(former, this.#onAnswer.bind(this, transfer, answer));
    if (answer.kind === 'content') transfer.content = answer;
    // There was enough memory for this file: the next transfer may fit as well, for instance of the same file.
    if (transfer.hasWaited && !(answer.kind === 'busy')) queueMicrotask(this.#askAgain);
    if (this.#isUnwanted(transfer)) return;
    switch (answer.kind) {
      case 'content':
        return this.#enqueue(transfer, answer);
      case 'missing':
        this.#refuser.refuse(transfer.filename, transfer, 'not_found', 'no such file');
        break;
      case 'denied':
        this.#refuser.refuse(transfer.filename, transfer, refusalOf(answer), answer.reason);
        break;
      case 'busy':
        if (answer.isShortOfMemory === true) return this.#awaitMemory(transfer);
        // Any error code would make some loader give up or start over; silence makes all of them ask again.
        this.#tally.warnUnavailable(transfer, answer.reason);
        return this.#drop(transfer, 'busy', answer.reason);
    }
    this.#release(transfer);
  }

  #enqueue(transfer: Transfer, content: Content): void {
    const { limits, blksizes, clock } = this.#options;
    const maxWindowsize = this.crowd.maxWindowsize(transfer.peer.address, clock.now());
    settle(transfer, content, { ...limits, maxWindowsize, maxBlksize: blksizes.of(transfer) });
    const late = firstBlock(transfer);
    if (late === undefined) this.#queue(transfer);
    else void late.then(() => !this.#isUnwanted(transfer) && this.#queue(transfer));
  }

  /** Releases a transfer that is no longer wanted. @returns whether it has been released. */
  #isUnwanted(transfer: Transfer): boolean {
    if (transfer.abandoned) this.#release(transfer);
    else if (this.#draining) this.#drop(transfer, 'draining');
    return transfer.released;
  }

  #queue(transfer: Transfer): void {
    transfer.queuedAt = this.#options.clock.now();
    this.#options.pool.cells.setState(transfer.slot, TRANSFER_STATE.queued);
    this.#lanes.add(transfer);
    this.#join(transfer);
    this.#pump();
    this.#sweep.schedule();
  }

  #join(transfer: Transfer): void {
    const surplus = this.crowd.enter(transfer, this.#options.clock.now());
    if (surplus !== undefined) this.#giveUp(surplus);
  }

  #begun(transfer: Transfer): void {
    this.running.add(transfer);
    this.#options.observer.onStart?.(startRecord(transfer));
    transfer.opening = undefined;
  }

  #pump(): void {
    while (this.running.size < this.#options.limits.sessions) {
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
    if (launch === 'started') {
      this.#begun(transfer);
    } else {
      // The transfer must not stay: at the head of its lane it would block those behind it.
      this.#drop(transfer, launch === 'stale' ? 'busy' : launch);
    }
    return true;
  }

  #ended(transfer: Transfer, report: TransferReport): void {
    const { again, againAt } = transfer;
    this.running.delete(transfer);
    this.#record(transfer, report);
    if (report.outcome === 'complete') this.#onComplete(transfer);
    this.#release(transfer, hasAcknowledged(transfer, report));
    if (this.#draining) {
      if (this.running.size > 0) return;
      this.#sweep.cancel();
      return this.#whenIdle();
    }
    if (again !== undefined && !transfer.abandoned && this.#options.clock.now() - againAt < JUST_ENDED_MS) {
      this.admit(again);
    }
    this.#pump();
  }

  /** The client has confirmed the last block: its address is proven, and its former transfer is no longer wanted. */
  #onComplete(transfer: Transfer): void {
    this.crowd.completed(transfer, this.#options.clock.now());
    const former = this.#succession.take(transfer);
    if (former !== undefined && this.#isRunning(former)) this.#abandon(former);
  }

  #record(transfer: Transfer, report: TransferReport): void {
    const isAborted = report.outcome === 'aborted';
    transfer.givenUp = isAborted && this.#options.pool.cells.wishToEnd(transfer.slot) === WISH_TO_END.giveUp;
    if (transfer.givenUp) this.#tally.ignored.unanswered++;
    const superseded = isAborted && (transfer.abandoned || transfer.givenUp);
    if (this.#cancelled && isAborted && !superseded) this.#aborted++;
    this.#options.observer.onTransfer(transferRecord(transfer, report, superseded));
  }

  /** True while requests wait for a session, a port or memory. */
  get #someWait(): boolean {
    return this.#lanes.size + this.#thirsty.size > 0;
  }

  /** Drops clients that have given up, and unproven transfers that hold sessions others need. */
  #endHopeless(): void {
    const { clock, limits, pool } = this.#options;
    const now = clock.now();
    for (const transfer of this.#lanes.takeSilent(now - limits.laneExpiryMs)) this.#drop(transfer, 'expired');
    for (const transfer of this.#thirsty.takeSilent(now - limits.laneExpiryMs)) this.#drop(transfer, 'busy');
    this.#askAgain();
    // A port in quarantine, or one used by another program, may be free by now.
    this.#launcher.tryAgain();
    this.#pump();
    const isCrowded = this.crowd.lookWhetherCrowded();
    const pressure = { someWait: this.#someWait, isCrowded, isDraining: this.#draining, minRate: limits.minRate };
    for (const transfer of underPressure(this.running, pressure, pool.cells, now)) {
      if (this.#hasAnswered(transfer)) pool.cells.end(transfer.slot, WISH_TO_END.abort);
      else this.#giveUp(transfer);
    }
  }
}
