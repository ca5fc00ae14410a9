/**
 * The live state over HTTP (`GET /api/v1/live`), its changes (`/api/v1/live/events`, server-sent events), the last
 * boots of one node (`/api/v1/nodes/NODE`), and the page that shows them. Knows HTTP; the data comes from src/observe.
 */
import type { Context, Hono } from 'hono';
import type { NodeId } from '../boot-set/node/node-identity.ts';
import type { LiveState } from '../observe/live-state.ts';
import type { LiveChange, LiveSnapshot } from '../live/wire.ts';
import type { AdminGuard } from './admin-guard.ts';
import { errorLine } from '../text/error-text.ts';
import { PageAssets } from './page-assets.ts';
import { UsageError } from '../config/usage-error.ts';

/**
 * Maximum number of event streams at once: open pages and terminals.
 * @limit Readers of live events at once. Shows: status 503.
 */
const MAX_STREAMS = 32;
/**
 * Per-reader backlog in MiB; a slower reader skips changes, then gets a new snapshot.
 * @limit Live events that wait for one reader. Shows: the reader skips changes, then gets a new snapshot.
 */
const STREAM_MIB = 2;
/**
 * Maximum number of changes in a row that a reader may miss: with one change a second, it has taken nothing for so many
 * seconds.
 * @limit Changes in a row that a reader may miss. Shows: its connection is closed.
 */
const MAX_MISSED = 60;
const MAX_NODE_CHARACTERS = 100;

export interface LiveApiOptions {
  readonly state: Pick<LiveState, 'snapshot' | 'follow' | 'node'>;
  /** @returns the ids that a user's text may name. @throws UsageError */
  readonly idsOf: (text: string) => readonly NodeId[];
}

const utf8 = new TextEncoder();

function eventBytes(event: string, data: unknown): Uint8Array {
  return utf8.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** Encodes each change once for all readers. */
class ChangeBytes {
  #change: LiveChange | undefined;
  #bytes: Uint8Array = new Uint8Array(0);

  of(change: LiveChange): Uint8Array {
    if (change !== this.#change) {
      this.#change = change;
      this.#bytes = eventBytes('change', change);
    }
    return this.#bytes;
  }
}

/** Makes the stream of one reader. Changes that do not fit are skipped, and a new snapshot replaces them. */
function streamOf(state: LiveApiOptions['state'], bytes: ChangeBytes, ended: () => void): ReadableStream<Uint8Array> {
  let stop = (): void => {};
  let missed = 0;
  const end = (): void => {
    stop();
    stop = (): void => {};
    ended();
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const snapshot = (full: LiveSnapshot): void => controller.enqueue(eventBytes('snapshot', full));
        stop = state.follow(snapshot, (change) => {
          if ((controller.desiredSize ?? 0) <= 0) {
            if (++missed < MAX_MISSED) return;
            end();
            controller.error(new Error('the reader is too slow'));
          } else if (missed > 0) {
            missed = 0;
            snapshot(state.snapshot());
          } else controller.enqueue(bytes.of(change));
        });
      },
      cancel: end,
    },
    new ByteLengthQueuingStrategy({ highWaterMark: STREAM_MIB * 1024 ** 2 }),
  );
}

/** Adds the routes. Must be called before the routes that need the token for all of /api. */
export function addLiveApi(app: Hono, { state, idsOf }: LiveApiOptions, guard: AdminGuard): void {
  const bytes = new ChangeBytes();
  let streams = 0;
  const guarded =
    (answer: (context: Context) => Response) =>
    (context: Context): Response =>
      guard.nodeRefusal(context) ?? answer(context);
  app.get(
    '/api/v1/live',
    guarded((context) => context.json(state.snapshot())),
  );
  app.get(
    '/api/v1/live/events',
    guarded((context) => {
      if (streams >= MAX_STREAMS)
        return context.json({ error: 'too many readers at once' }, 503, { 'retry-after': '5' });
      streams++;
      let isOver = false;
      const stream = streamOf(state, bytes, () => {
        if (!isOver) streams--;
        isOver = true;
      });
      // Turns off buffering in proxies, which would show the storm when it is over.
      return context.body(stream, 200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
    }),
  );
  app.get(
    '/api/v1/nodes/:node',
    guarded((context) => {
      const text = context.req.param('node') ?? '';
      if (text.length > MAX_NODE_CHARACTERS)
        return context.json({ error: `expected at most ${MAX_NODE_CHARACTERS} characters` }, 400);
      try {
        return context.json(state.node(text, idsOf(text)));
      } catch (error) {
        if (error instanceof UsageError) return context.json({ error: errorLine(error) }, 400);
        throw error;
      }
    }),
  );
}

/**
 * Adds the page. It contains no data about nodes: it requests them from the routes above. @param index text for clients
 * that do not accept HTML.
 */
export function addPage(app: Hono, index: string): void {
  const assets = new PageAssets();
  const answer = (context: Context, name: string): Response | Promise<Response> => {
    const asset = assets.find(name);
    if (asset === undefined) return context.notFound();
    const { body, type, etag } = asset;
    const headers = { etag, 'cache-control': 'no-cache', vary: 'accept' };
    if (context.req.header('if-none-match') === etag) return context.body(null, 304, headers);
    return context.body(body, 200, { ...headers, 'content-type': type });
  };
  app.get('/', (context) =>
    (context.req.header('accept') ?? '').includes('text/html')
      ? answer(context, 'page/index.html')
      : context.text(index, 200, { vary: 'accept' }),
  );
  app.get('/ui/:folder/:file', (context) =>
    answer(context, `${context.req.param('folder')}/${context.req.param('file')}`),
  );
}
