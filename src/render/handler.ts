/**
 * Runs the user's functions that make a config, on a render thread: the default export of an ES module. Many run
 * concurrently, each with its own limits. Knows no routes.
 */
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { JobResult, Limits } from './jobs.ts';
import { reasonOf } from './jobs.ts';
import type { BootSetView, InventoryNode, Json, RenderRequest } from './types.ts';

export interface HandlerContext {
  /** `http`: this server's HTTP URL as the node reaches it, without a slash at its end. */
  readonly server: { readonly http?: string };
  /** undefined when the inventory does not have the node, or there is no inventory. */
  readonly node: InventoryNode | undefined;
  readonly bootset: BootSetView | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly vars: Readonly<Record<string, Json>>;
  /** Kernel arguments of boot set and node, in this order. */
  readonly args: string;
  /** Aborts when nobody waits for the answer any longer. */
  readonly signal: AbortSignal;
}

/** null leaves the request to the next route. */
export type HandlerAnswer = string | Uint8Array | null;
export type Handler = (request: RenderRequest, context: HandlerContext) => HandlerAnswer | Promise<HandlerAnswer>;

/** @throws Error with a one-line message, or what the module throws on import. */
export async function importHandler(path: string): Promise<Handler> {
  let module: Record<string, unknown>;
  try {
    // oxlint-disable-next-line no-unsafe-type-assertion -- the exports of the user's module are checked below.
    module = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (error) {
    // Node.js names the importing file, which does not help where that is this file.
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
    return { kind: 'failed', failure: 'tooLarge', reason: `returned ${length} bytes, expected at most ${maxBytes}` };
  }
  // Copied, because transferring a view of a pooled buffer would detach memory that others use.
  return isText ? { kind: 'text', text: answer } : { kind: 'bytes', bytes: Uint8Array.from(answer) };
}

/** Runs a handler within its limits. Never rejects. */
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
