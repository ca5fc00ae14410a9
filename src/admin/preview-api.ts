/**
 * Previews over HTTP: the content that a node would get from the running server (`GET /api/v1/render`), the path to it
 * (`/api/v1/explain`), and a reload of the config (`POST /api/v1/reload`). Knows HTTP; api.ts controls access.
 */
import type { Context, Hono } from 'hono';
import { PREVIEW_CLIENT_KEYS, type PreviewClient, checkPreviewClient } from '../preview/preview-client.ts';
import { errorLine } from '../text/error-text.ts';
import type { Reloaded } from '../config/live-config.ts';
import { refusalCode, type Way, wayToJson } from '../preview/trace.ts';
import { UsageError } from '../config/usage-error.ts';

export interface PreviewApiOptions {
  readonly trace?: ((name: string, client: PreviewClient) => Promise<Way>) | undefined;
  /** undefined: there is no config file. */
  readonly reload?: (() => Promise<Reloaded>) | undefined;
}

/**
 * Maximum number of previews at once, since they render like any request; further ones get status 503.
 * @limit Previews at once over HTTP. Shows: status 503: ask again.
 */
const MAX_PREVIEWS = 4;
const MAX_NAME_CHARACTERS = 512;
const STATUS_OF_ERROR = { 0: 413, 1: 404, 2: 403 } as const;

function askedOf(context: Context): { name: string; client: PreviewClient } {
  const query = context.req.query();
  const { name = '', ...rest } = query;
  if (name === '' || name.length > MAX_NAME_CHARACTERS || name.includes('\0')) {
    throw new UsageError(`name: expected a file name of at most ${MAX_NAME_CHARACTERS} characters`);
  }
  const unknown = Object.keys(rest).find((key) => !(PREVIEW_CLIENT_KEYS as readonly string[]).includes(key));
  if (unknown !== undefined) throw new UsageError(`expected name, ${PREVIEW_CLIENT_KEYS.join(', ')}`);
  return { name, client: checkPreviewClient(rest, (key) => key) };
}

/** Answers with what the node would get; a refusal has a status of this API, and the node's in its body. */
function answerOf(context: Context, way: Way): Response {
  const { end } = way;
  if (end.kind === 'content') {
    // A response needs a copy with a buffer of its own.
    return context.body(Uint8Array.from(end.bytes), 200, { 'content-type': 'application/octet-stream' });
  }
  if (end.kind === 'silence') return context.json({ error: `no answer: ${end.reason}` }, 503);
  return context.json({ error: end.reason, ...refusalCode(way) }, STATUS_OF_ERROR[end.code]);
}

export function addPreviewApi(app: Hono, { trace, reload }: PreviewApiOptions): void {
  let running = 0;
  const answerTraced = async (context: Context, answer: (way: Way) => Response): Promise<Response> => {
    if (running >= MAX_PREVIEWS)
      return context.json({ error: 'too many requests at once' }, 503, { 'retry-after': '1' });
    running++;
    try {
      const { name, client } = askedOf(context);
      return answer(await trace!(name, client));
    } catch (error) {
      return context.json({ error: errorLine(error) }, error instanceof UsageError ? 400 : 500);
    } finally {
      running--;
    }
  };
  if (trace !== undefined) {
    app.get('/api/v1/render', (context) => answerTraced(context, (way) => answerOf(context, way)));
    app.get('/api/v1/explain', (context) => answerTraced(context, (way) => context.json(wayToJson(way))));
  }
  app.post('/api/v1/reload', async (context) => {
    if (reload === undefined) return context.json({ error: 'there is no config file' }, 404);
    const { result, error, restart } = await reload();
    return result === 'ok' ? context.json({ result, restart }) : context.json({ error }, 400);
  });
}
