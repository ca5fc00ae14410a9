/**
 * The HTTP API, for holders of the token: previews and reloads (preview-api.ts), and the commands on the store. `POST
 * /api/v1/VERB` takes a JSON object: `arguments` holds the arguments after the verb, every other key is a flag in
 * camelCase. The answer is the command's output. Knows no verb's meaning: it runs the same commands as a person does.
 */
import type { Context, Hono } from 'hono';
import type { AdminGuard } from './admin-guard.ts';
import { addPreviewApi, type PreviewApiOptions } from './preview-api.ts';
import { EXIT } from '../config/usage-error.ts';

export const API_VERBS = [
  'publish',
  'versions',
  'channels',
  'rollback',
  'remove',
  'keep',
  'verify',
  'gc',
  'pins',
  'pin',
  'rollout',
  'channel',
] as const;

/**
 * Maximum number of commands at once; further ones get status 503.
 * @limit Commands at once over the API. Shows: status 503.
 */
const MAX_VERBS_AT_ONCE = 4;
/**
 * Maximum length of any body: only commands have one, and those are short.
 * @limit Body of an API request. Shows: status 413.
 */
export const MAX_BODY_BYTES = 65_536;
/**
 * Maximum number of values of a repeated flag or of `arguments`.
 * @limit Values of a repeated flag in an API request. Shows: status 400.
 */
const MAX_VALUES = 256;
/** Flags that the server sets, or that would lead out of the store. */
const RESERVED: ReadonlySet<string> = new Set(['store', 'json', 'help', 'version']);

/** The end of a command on the store. */
export interface VerbEnd {
  /** Exit code; undefined: the command was ended by a signal, or could not be started. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ApiOptions extends PreviewApiOptions {
  readonly token: string;
  /** undefined: there is no store. */
  readonly run?: ((verb: string, args: readonly string[]) => Promise<VerbEnd>) | undefined;
}

class BadRequest extends Error {}

function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined;
}

function textOf(value: unknown, key: string): string {
  const text = asText(value);
  if (text === undefined || text.includes('\0')) throw new BadRequest(`${key}: expected a string or a number`);
  return text;
}

function listOf(value: unknown, key: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length > MAX_VALUES) {
    throw new BadRequest(`${key}: expected a list of at most ${MAX_VALUES} values`);
  }
  return value;
}

/** Converts `pinIdle: "4h"` to `--pin-idle=4h`, `label: {a: b}` to `--label=a=b`, `keep: true` to `--keep`. */
function flagsOf(key: string, value: unknown): string[] {
  if (!/^[a-z][A-Za-z]{0,40}$/.test(key) || RESERVED.has(key))
    throw new BadRequest('expected the flags of the command as keys in camelCase');
  const flag = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  if (value === true) return [flag];
  if (value === false || value === null) return [];
  if (Array.isArray(value)) return listOf(value, key).map((item) => `${flag}=${textOf(item, key)}`);
  if (typeof value === 'object') {
    const pairs = listOf(Object.entries(value), key) as [string, unknown][];
    return pairs.map(([name, item]) => {
      // This is a label: a number in JSON has lost its spelling, so only text is accepted.
      if (typeof item !== 'string') throw new BadRequest(`${key}: expected text in quotes`);
      return `${flag}=${name}=${textOf(item, key)}`;
    });
  }
  return [`${flag}=${textOf(value, key)}`];
}

/** @returns the command line for a body. @throws BadRequest */
function toArgs(body: string): string[] {
  let parsed: unknown;
  try {
    parsed = body === '' ? {} : JSON.parse(body);
  } catch {
    throw new BadRequest('expected JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new BadRequest('expected a JSON object');
  const { arguments: positional = [], ...flags } = parsed as Record<string, unknown>;
  const values = listOf(positional, 'arguments').map((value) => textOf(value, 'arguments'));
  // Arguments after `--` are never read as flags.
  return [...Object.entries(flags).flatMap(([key, value]) => flagsOf(key, value)), '--', ...values];
}

/** Reads a body of at most MAX_BODY_BYTES. @returns undefined for a larger one. */
async function readBody(context: Context): Promise<string | undefined> {
  if (Number(context.req.header('content-length') ?? 0) > MAX_BODY_BYTES) return undefined;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of context.req.raw.body ?? []) {
    const part = chunk as Uint8Array;
    bytes += part.length;
    if (bytes > MAX_BODY_BYTES) return undefined;
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString();
}

/** Adds the API's routes. */
export function addApi(app: Hono, options: ApiOptions, guard: AdminGuard): void {
  app.use('/api/*', async (context, next) => guard.refusal(context) ?? (await next()));
  addPreviewApi(app, options);
  const { run } = options;
  if (run !== undefined) addVerbs(app, run);
}

function addVerbs(app: Hono, run: NonNullable<ApiOptions['run']>): void {
  let running = 0;
  app.post('/api/v1/:verb', async (context) => {
    const verb = context.req.param('verb');
    if (!(API_VERBS as readonly string[]).includes(verb)) {
      return context.json({ error: `expected one of ${API_VERBS.join(', ')}` }, 404);
    }
    const body = await readBody(context);
    if (body === undefined) return context.json({ error: `expected at most ${MAX_BODY_BYTES} bytes` }, 413);
    let args: string[];
    try {
      args = toArgs(body);
    } catch (error) {
      if (error instanceof BadRequest) return context.json({ error: error.message }, 400);
      throw error;
    }
    if (running >= MAX_VERBS_AT_ONCE)
      return context.json({ error: 'too many commands at once' }, 503, { 'retry-after': '1' });
    running++;
    try {
      return answer(context, await run(verb, args));
    } finally {
      running--;
    }
  });
}

/** The output of a command is its answer, even where it reports a fault. */
function answer(context: Context, { code, stdout, stderr }: VerbEnd): Response {
  if (stdout.trim() !== '') return context.body(stdout, 200, { 'content-type': 'application/json' });
  const error = stderr.replace(/^reveille: /, '') || `ended with ${code ?? 'a signal'}`;
  return context.json({ error }, code === EXIT.usage ? 400 : 500);
}
