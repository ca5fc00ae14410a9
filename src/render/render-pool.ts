/**
 * Schedules work on render threads. Templates run in batches, handlers and fetches concurrently. Known nodes come
 * first, then clients that were turned down and ask again, then strangers. A thread that hangs or dies is replaced and
 * its work runs again; when the culprit is unknown, each job runs alone on a separate thread, so that a hang costs only
 * its own request. Knows no nodes.
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

/**
 * Templates per message: a message between threads costs more than most templates, but a slow template delays the rest
 * of its batch.
 */
const BATCH = 16;
/** Cap on templates on one thread, waiting or running: two batches, so that the thread never idles between them. */
const TEMPLATES_PER_THREAD = 2 * BATCH;
const ASYNC_PER_THREAD = 256;
/**
 * Caps on strangers' work per thread, low enough to leave room for known nodes: two small batches of templates, three
 * quarters of the handlers, and three quarters of the connections to an upstream.
 */
const STRANGERS = { batch: 8, template: 8, handler: 192, fetch: 24 } as const;
/** Share of the queue for work that runs alone that strangers may fill. */
const STRANGERS_ALONE = 0.75;
const LOOK_MS = 100;
/** Work that was on this many lost threads runs alone. */
const MAX_TRIES = 3;

export interface RenderPoolOptions {
  readonly threads: number;
  readonly setup: Omit<ThreadSetup, 'cells'>;
  readonly clock: TablesClock;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
  readonly worker?: URL | undefined;
  readonly stillMs?: number | undefined;
}

/** Priority of work. */
type Rank = 'known' | 'returning' | 'stranger';

interface Pending {
  readonly id: number;
  readonly work: Work;
  readonly resolve: (result: JobResult) => void;
  readonly since: number;
  readonly rank: Rank;
  tries: number;
}

/** Work waiting for a thread. */
class Queue {
  readonly templates: Pending[] = [];
  /** Waiting handlers and fetches. */
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

/** Takes the first job of a known node, else the first job. */
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
  /** Queues in order of priority. */
  readonly #queues: Readonly<Record<Rank, Queue>> = {
    known: new Queue(),
    returning: new Queue(),
    stranger: new Queue(),
  };
  /** Number of unfinished jobs of each known node. */
  readonly #perNode = new Map<string, number>();
  /** Unfinished jobs for unknown nodes, waiting or running. */
  readonly #waitingUnknown = { returning: 0, stranger: 0 };
  /** Work to run alone: jobs from lost threads first, jobs of slow routes last. */
  readonly #aloneFirst: Pending[] = [];
  readonly #aloneLast: Pending[] = [];
  /** Routes whose last work hung or ran out of time: their jobs run alone until one succeeds. */
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

  /** Waits until every thread has loaded its templates and handlers. @throws Error with a one-line message. */
  async load(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => this.#ask(thread, { kind: 'load' })));
  }

  /** @throws Error with a one-line message: file, line, what was expected. */
  async readInventory(file: string): Promise<PackedInventory> {
    const result = await this.#ask(this.#threads[0]!, { kind: 'inventory', file });
    if (result.kind !== 'inventory') throw new Error(`unexpected answer of a render thread: ${result.kind}`);
    return result.inventory;
  }

  /** Returns true when work for an unknown node would be accepted. @param returns see Asker.returns. */
  hasRoomForStranger(returns: boolean): boolean {
    return this.#rankOfStranger(returns) !== undefined;
  }

  #rankOfStranger(returns: boolean): 'returning' | 'stranger' | undefined {
    const { returning, stranger } = this.#waitingUnknown;
    if (returns && returning < RETURNING_WAITING) return 'returning';
    return stranger < STRANGERS_WAITING ? 'stranger' : undefined;
  }

  /** Runs work and resolves with its result. Never rejects. */
  run(work: Work, { node, returns }: Asker): Promise<JobResult> {
    if (this.waiting >= WAITING)
      return Promise.resolve(failed('queueFull', `${WAITING} other configs are waiting to be rendered`));
    const others = node === undefined ? WAITING_EACH : (this.#perNode.get(node) ?? 0);
    const rank = others < WAITING_EACH ? 'known' : this.#rankOfStranger(returns);
    if (rank === undefined) {
      return Promise.resolve(failed('strangers', `${STRANGERS_WAITING} other requests of unknown nodes are waiting`));
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
    for (const { resolve } of lists.flat()) resolve(failed('crashed', 'the server is stopping'));
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
      pending.resolve(failed(failure, `${most} other configs are waiting to run alone`));
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

  /** @param most cap on templates per thread. */
  #giveTemplates({ templates }: Queue, batch: number, most: number): void {
    while (templates.length > 0) {
      const thread = this.#threads.reduce((a, b) => (b.templates < a.templates ? b : a));
      if (thread.templates >= most) break;
      // A short queue is shared among the threads.
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
    // A slow handler or fetch only waits and blocks no other work; a slow template does.
    if (work.kind === 'template' && result.kind === 'failed' && result.failure === 'timeout')
      this.#slow.add(work.route);
    resolve(result);
  }

  /** Handles work whose thread is gone. The first failed batch replaces the thread. */
  #onLost(thread: RenderThread, batch: readonly Pending[], error: unknown): void {
    const culprit = thread.current;
    this.#replace(thread, error);
    for (const pending of batch) {
      if (pending.id === culprit) this.#blame(pending, error);
      else if (this.#closed) pending.resolve(failed('crashed', 'the server is stopping'));
      else if (culprit === 0 || ++pending.tries >= MAX_TRIES) this.#putAlone(pending, this.#aloneFirst);
      else this.#queueOf(pending).unshift(pending);
    }
  }

  #blame({ work, resolve }: Pending, error: unknown): void {
    this.#slow.add(work.route);
    const hung = /terminat/i.test(reasonOf(error));
    resolve(
      hung
        ? failed('timeout', `did not respond for ${this.#stillMs} ms; its thread was ended`)
        : failed('crashed', `ended its thread: ${reasonOf(error)}`),
    );
  }

  #replace(thread: RenderThread, error: unknown): void {
    const index = this.#threads.indexOf(thread);
    if (index < 0 || this.#closed) return;
    this.#lost++;
    this.#threads[index] = this.#newThread();
    thread.close().catch(() => {});
    // A known culprit is reported through its own failure.
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
      // oxlint-disable-next-line no-await-in-loop -- one at a time is intended.
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
      // The job was alone on the thread, so it is to blame.
      this.#lone = undefined;
      thread.close().catch(() => {});
      if (!this.#closed) this.#lost++;
      this.#blame(pending, error);
    } finally {
      this.#running--;
    }
  }

  /** Polls for hung threads while there is work. */
  #watch(): void {
    if (this.#cancelLook !== undefined || this.#closed) return;
    const { clock } = this.#options;
    this.#cancelLook = clock.wake(clock.now() + LOOK_MS, () => {
      this.#cancelLook = undefined;
      const now = clock.now();
      for (const thread of [...this.#threads, ...(this.#lone === undefined ? [] : [this.#lone])]) {
        // Closing the thread makes its work fail, which onLost then handles.
        if (thread.isStill(now, this.#stillMs)) thread.close().catch(() => {});
      }
      if (this.#running > 0) this.#watch();
    });
  }
}
