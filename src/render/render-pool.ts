/**
 * Render threads and what waits for them. Templates go in batches, handlers and fetches many at a time; what is for known
 * nodes goes first, then what somebody asks for again who was turned down. A thread that stands still or dies is replaced; what was on it runs again, and where nobody can tell
 * whose fault it was, one at a time on a thread of its own: so a hang costs only its own request. Knows no nodes.
 */
import type { TablesClock } from '../boot-set/node/address-tables.ts';
import {
  type Asker,
  type Failed,
  type Job,
  type JobResult,
  type PackedInventory,
  reasonOf,
  type ThreadSetup,
  type Work,
} from './jobs.ts';
import {
  ALONE_MS,
  LOAD_MS,
  RETURNING_WAITING,
  STILL_MS,
  STRANGERS_WAITING,
  WAITING,
  WAITING_ALONE,
  WAITING_EACH,
} from './limits.ts';
import { RenderThread } from './render-thread.ts';
import type { RenderFailure } from './types.ts';

/** A message between threads costs more than most templates; but a slow template holds up the rest of its batch. */
const BATCH = 16;
/** Templates on one thread, waiting or running: two batches, so that it never waits for the next. */
const TEMPLATES_PER_THREAD = 2 * BATCH;
const ASYNC_PER_THREAD = 256;
/**
 * Of strangers there is less on a thread, so that known nodes find it soon: of templates two small batches, of handlers
 * three quarters, of fetches three quarters of the connections to an upstream.
 */
const STRANGERS = { batch: 8, template: 8, handler: 192, fetch: 24 } as const;
/** The part of those that run alone that strangers may be. */
const STRANGERS_ALONE = 0.75;
const LOOK_MS = 100;
/** Work that has been on so many lost threads runs alone. */
const MAX_TRIES = 3;

export interface RenderPoolOptions {
  readonly threads: number;
  readonly setup: Omit<ThreadSetup, 'cells'>;
  readonly clock: TablesClock;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
  readonly worker?: URL | undefined;
  readonly stillMs?: number | undefined;
}

/** Whose work is done first. */
type Rank = 'known' | 'returning' | 'stranger';

interface Pending {
  readonly id: number;
  readonly work: Work;
  readonly resolve: (result: JobResult) => void;
  readonly since: number;
  readonly rank: Rank;
  tries: number;
}

/** What waits for a thread. */
class Queue {
  readonly templates: Pending[] = [];
  /** Handlers and fetches. */
  readonly others: Pending[] = [];

  get size(): number {
    return this.templates.length + this.others.length;
  }

  of({ kind }: Work): Pending[] {
    return kind === 'template' ? this.templates : this.others;
  }
}

function failed(failure: RenderFailure, reason: string): Failed {
  return { kind: 'failed', failure, reason };
}

/** Known nodes first. */
function takeNext(list: Pending[]): Pending | undefined {
  const known = list.findIndex(({ rank }) => rank === 'known');
  return list.splice(Math.max(0, known), 1)[0];
}

export class RenderPool {
  readonly #options: RenderPoolOptions;
  readonly #stillMs: number;
  readonly #threads: RenderThread[];
  #lone: RenderThread | undefined;
  #loneBusy = false;
  /** In the order in which they have their turn. */
  readonly #queues: Readonly<Record<Rank, Queue>> = {
    known: new Queue(),
    returning: new Queue(),
    stranger: new Queue(),
  };
  /** Work of each known node that is not done. */
  readonly #perNode = new Map<string, number>();
  /** Of nobody known, also on threads. */
  readonly #waitingUnknown = { returning: 0, stranger: 0 };
  /** Innocent ones first, those of slow routes after them. */
  readonly #aloneFirst: Pending[] = [];
  readonly #aloneLast: Pending[] = [];
  /** Routes whose last work took all its time: theirs runs alone until some of it ends well. */
  readonly #slow = new Set<number>();
  #lastId = 0;
  #running = 0;
  #lost = 0;
  #cancelLook: (() => void) | undefined;
  #closed = false;

  constructor(options: RenderPoolOptions) {
    this.#options = options;
    this.#stillMs = options.stillMs ?? STILL_MS;
    this.#threads = Array.from({ length: options.threads }, () => this.#newThread());
  }

  get waiting(): number {
    const { known, returning, stranger } = this.#queues;
    const queued = known.size + returning.size + stranger.size;
    return queued + this.#aloneFirst.length + this.#aloneLast.length + this.#running;
  }

  get threadsLost(): number {
    return this.#lost;
  }

  /** Waits until every thread has loaded what it is for. @throws Error in one line. */
  async load(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => this.#ask(thread, { kind: 'load' })));
  }

  /** @throws Error in one line: file, line, what was expected. */
  async readInventory(file: string): Promise<PackedInventory> {
    const result = await this.#ask(this.#threads[0]!, { kind: 'inventory', file });
    if (result.kind !== 'inventory') throw new Error(`unexpected answer of a render thread: ${result.kind}`);
    return result.inventory;
  }

  /** Whether work for nobody known would be taken. @param returns see Asker.returns. */
  hasRoomForStranger(returns: boolean): boolean {
    return this.#rankOfStranger(returns) !== undefined;
  }

  #rankOfStranger(returns: boolean): 'returning' | 'stranger' | undefined {
    const { returning, stranger } = this.#waitingUnknown;
    if (returns && returning < RETURNING_WAITING) return 'returning';
    return stranger < STRANGERS_WAITING ? 'stranger' : undefined;
  }

  /** Never rejects. */
  run(work: Work, { node, returns }: Asker): Promise<JobResult> {
    if (this.waiting >= WAITING) return Promise.resolve(failed('queueFull', `${WAITING} others wait`));
    const others = node === undefined ? WAITING_EACH : (this.#perNode.get(node) ?? 0);
    const rank = others < WAITING_EACH ? 'known' : this.#rankOfStranger(returns);
    if (rank === undefined) {
      return Promise.resolve(failed('strangers', `${STRANGERS_WAITING} others wait that nobody knows`));
    }
    return new Promise((settle) => {
      this.#lastId = (this.#lastId % 0x7fffffff) + 1;
      if (rank !== 'known') this.#waitingUnknown[rank]++;
      else this.#perNode.set(node!, others + 1);
      const resolve = (result: JobResult): void => {
        if (rank !== 'known') this.#waitingUnknown[rank]--;
        else this.#leave(node!);
        settle(result);
      };
      const since = this.#options.clock.now();
      const pending: Pending = { id: this.#lastId, work, resolve, since, rank, tries: 0 };
      if (this.#slow.has(work.route)) this.#putAlone(pending, this.#aloneLast);
      else this.#queueOf(pending).push(pending);
      this.#dispatch();
    });
  }

  #leave(node: string): void {
    const left = this.#perNode.get(node)! - 1;
    if (left > 0) this.#perNode.set(node, left);
    else this.#perNode.delete(node);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelLook?.();
    const queues = Object.values(this.#queues).flatMap(({ templates, others }) => [templates, others]);
    const lists = [...queues, this.#aloneFirst, this.#aloneLast];
    for (const { resolve } of lists.flat()) resolve(failed('crashed', 'the server stops'));
    for (const list of lists) list.length = 0;
    await Promise.all([...this.#threads, ...(this.#lone === undefined ? [] : [this.#lone])].map((one) => one.close()));
  }

  #newThread(): RenderThread {
    const { setup, worker, onWarning } = this.#options;
    const onStray = (reason: string): void => onWarning('a handler failed after its answer', { reason });
    return new RenderThread({ setup, onStray, worker });
  }

  async #ask(thread: RenderThread, job: Job): Promise<JobResult> {
    const { clock } = this.#options;
    let cancel = (): void => {};
    const late = new Promise<never>((_, reject) => {
      cancel = clock.wake(clock.now() + LOAD_MS, () => reject(new Error(`not loaded within ${LOAD_MS / 1000} s`)));
    });
    try {
      const [result] = await Promise.race([thread.run([job]), late]);
      if (result!.kind === 'wrong') throw new Error(result!.message);
      return result!;
    } finally {
      cancel();
    }
  }

  #putAlone(pending: Pending, list: Pending[]): void {
    const isKnown = pending.rank === 'known';
    const most = isKnown ? WAITING_ALONE : WAITING_ALONE * STRANGERS_ALONE;
    if (this.#aloneFirst.length + this.#aloneLast.length >= most) {
      const failure = isKnown ? 'queueFull' : 'strangers';
      pending.resolve(failed(failure, `${most} others wait to run alone`));
    } else list.push(pending);
  }

  #dispatch(): void {
    if (this.#closed) return;
    const { known, returning, stranger } = this.#queues;
    this.#giveTemplates(known, BATCH, TEMPLATES_PER_THREAD);
    this.#giveOthers(known, { handler: ASYNC_PER_THREAD, fetch: ASYNC_PER_THREAD });
    for (const queue of [returning, stranger]) {
      this.#giveTemplates(queue, STRANGERS.batch, STRANGERS.template);
      this.#giveOthers(queue, STRANGERS);
    }
    if (!this.#loneBusy && this.#aloneFirst.length + this.#aloneLast.length > 0) void this.#runAlone();
    if (this.#running > 0) this.#watch();
  }

  /** @param most on a thread that is given more. */
  #giveTemplates({ templates }: Queue, batch: number, most: number): void {
    while (templates.length > 0) {
      const thread = this.#threads.reduce((a, b) => (b.templates < a.templates ? b : a));
      if (thread.templates >= most) break;
      // Shared out when there are few.
      const size = Math.min(batch, Math.ceil(templates.length / this.#threads.length));
      this.#give(thread, templates.splice(0, size));
    }
  }

  #giveOthers({ others }: Queue, most: Readonly<Record<'handler' | 'fetch', number>>): void {
    while (others.length > 0) {
      const thread = this.#threads.reduce((a, b) => (b.active < a.active ? b : a));
      const { kind } = others[0]!.work;
      if (thread.active - thread.templates >= most[kind as 'handler' | 'fetch']) break;
      this.#give(thread, others.splice(0, 1));
    }
  }

  #queueOf({ work, rank }: Pending): Pending[] {
    return this.#queues[rank].of(work);
  }

  #give(thread: RenderThread, batch: readonly Pending[]): void {
    this.#running += batch.length;
    thread
      .run(batch.map(({ id, work }) => ({ ...work, id })))
      .then(
        (results) => {
          for (const [index, pending] of batch.entries()) this.#settle(pending, results[index]!);
        },
        (error: unknown) => this.#onLost(thread, batch, error),
      )
      .finally(() => {
        this.#running -= batch.length;
        this.#dispatch();
      });
  }

  #settle({ work, resolve }: Pending, result: JobResult): void {
    // Waiting for something is no harm to others; a template that takes its time is.
    if (work.kind === 'template' && result.kind === 'failed' && result.failure === 'timeout')
      this.#slow.add(work.route);
    resolve(result);
  }

  /** What was on a thread that is no more. The first of it to be told replaces the thread. */
  #onLost(thread: RenderThread, batch: readonly Pending[], error: unknown): void {
    const culprit = thread.current;
    this.#replace(thread, error);
    for (const pending of batch) {
      if (pending.id === culprit) this.#blame(pending, error);
      else if (this.#closed) pending.resolve(failed('crashed', 'the server stops'));
      else if (culprit === 0 || ++pending.tries >= MAX_TRIES) this.#putAlone(pending, this.#aloneFirst);
      else this.#queueOf(pending).unshift(pending);
    }
  }

  #blame({ work, resolve }: Pending, error: unknown): void {
    this.#slow.add(work.route);
    const hung = /terminat/i.test(reasonOf(error));
    resolve(
      hung
        ? failed('timeout', `stood still for ${this.#stillMs} ms; its thread was ended`)
        : failed('crashed', `ended its thread: ${reasonOf(error)}`),
    );
  }

  #replace(thread: RenderThread, error: unknown): void {
    const index = this.#threads.indexOf(thread);
    if (index < 0 || this.#closed) return;
    this.#lost++;
    this.#threads[index] = this.#newThread();
    thread.close().catch(() => {});
    // Whoever is to blame gets a line of its own.
    if (thread.current === 0) this.#options.onWarning('a render thread was lost', { reason: reasonOf(error) });
  }

  async #runAlone(): Promise<void> {
    this.#loneBusy = true;
    for (;;) {
      const pending = takeNext(this.#aloneFirst) ?? takeNext(this.#aloneLast);
      if (pending === undefined || this.#closed) break;
      if (this.#options.clock.now() - pending.since > ALONE_MS) {
        pending.resolve(failed('timeout', `waited longer than ${ALONE_MS} ms to run alone`));
        continue;
      }
      // oxlint-disable-next-line no-await-in-loop -- one at a time is the point.
      await this.#one(pending);
    }
    this.#loneBusy = false;
  }

  async #one(pending: Pending): Promise<void> {
    this.#lone ??= this.#newThread();
    const thread = this.#lone;
    this.#running++;
    this.#watch();
    try {
      const [result] = await thread.run([{ ...pending.work, id: pending.id }]);
      if (result!.kind !== 'failed') this.#slow.delete(pending.work.route);
      this.#settle(pending, result!);
    } catch (error) {
      // It was alone.
      this.#lone = undefined;
      thread.close().catch(() => {});
      if (!this.#closed) this.#lost++;
      this.#blame(pending, error);
    } finally {
      this.#running--;
    }
  }

  /** Looks for threads that stand still, as long as there is work. */
  #watch(): void {
    if (this.#cancelLook !== undefined || this.#closed) return;
    const { clock } = this.#options;
    this.#cancelLook = clock.wake(clock.now() + LOOK_MS, () => {
      this.#cancelLook = undefined;
      const now = clock.now();
      for (const thread of [...this.#threads, ...(this.#lone === undefined ? [] : [this.#lone])]) {
        // Its work comes back by an error.
        if (thread.isStill(now, this.#stillMs)) thread.close().catch(() => {});
      }
      if (this.#running > 0) this.#watch();
    });
  }
}
