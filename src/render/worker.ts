/**
 * Entry of a render thread. Templates run one after the other, handlers and fetches concurrently. Every job ends in a
 * result; the pool handles what a thread can't survive, and detects it through the cells.
 */
import { createRequire } from 'node:module';
import { oneByOne } from '../load/one-by-one.ts';
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { Handler } from './handler.ts';
import { CELL, type Job, type JobResult, type RenderJob, reasonOf, type Scope, type ThreadSetup } from './jobs.ts';
import type { BootSetView, InventoryNode } from './types.ts';

const require = createRequire(import.meta.url);

const BEAT_MS = 25;

const setup = workerData as ThreadSetup;
const cells = new Int32Array(setup.cells);

/** Publishes this thread's id and lowers its priority. */
function introduce(): void {
  try {
    // Linux has a niceness per thread, addressed by the thread id.
    const [, tid] = /task\/([0-9]+)$/.exec(readlinkSync('/proc/thread-self'))!;
    Atomics.store(cells, CELL.tid, Number(tid));
    setPriority(Number(tid), setup.niceness);
  } catch {
    // Another system, or not permitted: the thread keeps its normal priority.
  }
}
introduce();

// An unhandled error of a handler must not end the thread's other work.
process.on('unhandledRejection', (reason) => parentPort?.postMessage({ stray: reasonOf(reason) }));
process.on('uncaughtException', (error) => parentPort?.postMessage({ stray: reasonOf(error) }));

/** As oneByOne. Meanwhile the thread must not be ended: see RenderThread.close. */
async function loadModules<T>(byRequire: () => T, byImport: () => Promise<T>): Promise<T> {
  Atomics.add(cells, CELL.loading, 1);
  try {
    return await oneByOne(byRequire, byImport);
  } finally {
    Atomics.sub(cells, CELL.loading, 1);
  }
}

let busy = 0;
let beats: NodeJS.Timeout | undefined;

function begin(): void {
  if (busy++ > 0) return;
  Atomics.add(cells, CELL.beat, 1);
  beats = setInterval(() => Atomics.add(cells, CELL.beat, 1), BEAT_MS);
}

function end(): void {
  if (--busy > 0) return;
  clearInterval(beats);
}

interface Loaded {
  readonly fetcher: import('./upstream-fetch.ts').Fetcher | undefined;
  readonly templates: import('./template.ts').Templates | undefined;
  readonly handlers: ReadonlyMap<number, Handler>;
}

let loading: Promise<Loaded> | undefined;

/** Loads what the thread needs; packages are imported only when they are used. */
async function load(): Promise<Loaded> {
  const files = [...new Set(Object.values(setup.templates))];
  let templates: Loaded['templates'];
  if (files.length > 0) {
    const { Templates } = await loadModules(
      () => require('./template.js') as typeof import('./template.ts'),
      () => import('./template.ts'),
    );
    templates = new Templates(setup.base);
    for (const file of files) {
      try {
        templates.check(file);
      } catch (error) {
        throw new Error(`${file}: ${(error as Error).message}`, { cause: error });
      }
    }
  }
  const handlers = new Map<number, Handler>();
  for (const [route, file] of Object.entries(setup.handlers)) {
    try {
      const { importHandler } = await import('./handler.ts');
      handlers.set(Number(route), await importHandler(join(setup.base, file)));
    } catch (error) {
      throw new Error(`${file}: ${reasonOf(error)}`, { cause: error });
    }
  }
  let fetcher: Loaded['fetcher'];
  if (setup.fetches) {
    const { Fetcher } = await import('./upstream-fetch.ts');
    fetcher = new Fetcher();
  }
  return { templates, handlers, fetcher };
}

let lastBootset: { readonly text: string; readonly view: BootSetView } | undefined;

/** Parses the boot set; keeps the last one, because most requests of a storm are about the same set. */
function bootsetOf(text: string | undefined): BootSetView | undefined {
  if (text === undefined) return undefined;
  if (lastBootset?.text !== text) lastBootset = { text, view: JSON.parse(text) as BootSetView };
  return lastBootset.view;
}

function contextOf({ node: json, bootset: text, http }: Scope): {
  server: { readonly http?: string };
  node: InventoryNode | undefined;
  bootset: BootSetView | undefined;
  labels: InventoryNode['labels'];
  vars: InventoryNode['vars'];
  args: string;
} {
  const node = json === undefined ? undefined : (JSON.parse(json) as InventoryNode);
  const bootset = bootsetOf(text);
  const args = [bootset?.args, node?.args].filter(Boolean).join(' ');
  const server = http === undefined ? {} : { http };
  return { server, node, bootset, labels: node?.labels ?? {}, vars: node?.vars ?? {}, args };
}

async function render(job: RenderJob & { readonly id: number }): Promise<JobResult> {
  loading ??= load();
  const { templates, handlers } = await loading;
  const { route, scope, limits } = job;
  const context = contextOf(scope);
  if (job.kind === 'handler') {
    const { runHandler } = await import('./handler.ts');
    // While `current` is set, the thread computes for this job. Work that a handler continues later can't be attributed
    // to a job.
    Atomics.store(cells, CELL.current, job.id);
    const answered = runHandler(handlers.get(route)!, scope.request, context, limits);
    Atomics.store(cells, CELL.current, 0);
    return answered;
  }
  const { captures, ...request } = scope.request;
  const variables = { ...context, captures, request: { ...captures, ...request, filename: request.name } };
  const before = performance.now();
  Atomics.store(cells, CELL.current, job.id);
  try {
    return { kind: 'text', text: templates!.render(setup.templates[route]!, variables, limits) };
  } catch (error) {
    const { name, message } = error as Error;
    const isLate = performance.now() - before >= limits.timeoutMs;
    const isLarge = (error as object).constructor.name === 'TooLarge' || /memory alloc limit/.test(message);
    const failure = isLate ? 'timeout' : isLarge ? 'tooLarge' : 'failed';
    return { kind: 'failed', failure, reason: name === 'Error' ? message : reasonOf(error) };
  } finally {
    Atomics.store(cells, CELL.current, 0);
  }
}

async function work(job: Job): Promise<JobResult> {
  switch (job.kind) {
    case 'load':
      loading ??= load();
      await loading;
      return { kind: 'loaded' };
    case 'inventory': {
      const { readInventory } = await loadModules(
        () => require('./inventory-file.js') as typeof import('./inventory-file.ts'),
        () => import('./inventory-file.ts'),
      );
      return { kind: 'inventory', inventory: readInventory(job.file) };
    }
    case 'fetch':
      loading ??= load();
      return (await loading).fetcher!.run(job);
    default:
      return render(job);
  }
}

async function one(job: Job): Promise<JobResult> {
  begin();
  try {
    return await work(job);
  } catch (error) {
    if (job.kind === 'load' || job.kind === 'inventory') return { kind: 'wrong', message: (error as Error).message };
    return { kind: 'failed', failure: 'failed', reason: reasonOf(error) };
  } finally {
    end();
  }
}

export default async function run(jobs: readonly Job[]): Promise<readonly JobResult[]> {
  const results: JobResult[] = [];
  // oxlint-disable-next-line no-await-in-loop -- a batch holds only templates, which do not wait.
  for (const job of jobs) results.push(await one(job));
  return results;
}
