/**
 * Functions of the user's that make a config, on a render thread: an ES module's default export, or its export called
 * `handler`. Many at a time; each with its own limit. Knows no routes.
 */
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { JobResult, Limits } from './jobs.ts';
import { reasonOf } from './jobs.ts';
import type { BootSetView, InventoryNode, Json, RenderRequest } from './types.ts';

export interface HandlerContext {
  /** undefined: the inventory does not know the node, or there is none. */
  readonly node: InventoryNode | undefined;
  readonly bootset: BootSetView | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly vars: Readonly<Record<string, Json>>;
  /** Kernel arguments of boot set and node, in this order. */
  readonly args: string;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** null: not mine, ask the next route. */
export type HandlerAnswer = string | Uint8Array | null;
export type Handler = (request: RenderRequest, context: HandlerContext) => HandlerAnswer | Promise<HandlerAnswer>;

/** @throws Error in one line. */
export async function importHandler(path: string): Promise<Handler> {
  let module: Record<string, unknown>;
  try {
    // oxlint-disable-next-line no-unsafe-type-assertion -- what the user's module exports is looked at below.
    module = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (error) {
    // Node.js says who imports it, which is of no use to anybody where that is this file.
    const importer = ` imported from ${fileURLToPath(import.meta.url)}`;
    if (!(error instanceof Error) || !error.message.includes(importer)) throw error;
    throw new Error(error.message.replace(importer, ''), { cause: error });
  }
  const handler = module['default'];
  if (typeof handler !== 'function') throw new Error('expected `export default async (request, context) => ...`');
  return handler as Handler;
}

function resultOf(answer: unknown, maxBytes: number): JobResult {
  if (answer === null) return { kind: 'none' };
  const isText = typeof answer === 'string';
  if (!isText && !(answer instanceof Uint8Array)) {
    const reason = `returned ${answer === undefined ? 'undefined' : typeof answer}, expected string, Uint8Array or null`;
    return { kind: 'failed', failure: 'failed', reason };
  }
  const length = isText && answer.length <= maxBytes ? Buffer.byteLength(answer) : answer.length;
  if (length > maxBytes) {
    return { kind: 'failed', failure: 'tooLarge', reason: `gave ${length} bytes, more than ${maxBytes}` };
  }
  // A copy of its own: what is a view of a pool must not be moved away from under others.
  return isText ? { kind: 'text', text: answer } : { kind: 'bytes', bytes: Uint8Array.from(answer) };
}

/** Never rejects. */
export async function runHandler(
  handler: Handler,
  request: RenderRequest,
  context: Omit<HandlerContext, 'signal'>,
  { timeoutMs, maxBytes }: Limits,
): Promise<JobResult> {
  const ender = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<JobResult>((resolve) => {
    timer = setTimeout(() => {
      resolve({ kind: 'failed', failure: 'timeout', reason: `took longer than ${timeoutMs} ms` });
      ender.abort();
    }, timeoutMs);
  });
  const answered = (async (): Promise<JobResult> =>
    resultOf(await handler(request, { ...context, signal: ender.signal }), maxBytes))().catch(
    (error: unknown): JobResult => ({ kind: 'failed', failure: 'failed', reason: reasonOf(error) }),
  );
  const result = await Promise.race([answered, late]);
  clearTimeout(timer);
  return result;
}
