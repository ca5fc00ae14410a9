/**
 * The admin address: health, readiness and metrics over HTTP, the live page (live-api.ts), and the API of api.ts where
 * enabled. Knows nothing of TFTP; its data comes from the functions it is given. It listens on the loopback address
 * unless told otherwise; admin-guard.ts controls access.
 */
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import type { Address } from '../engine/types.ts';
import { addHeaders, AdminGuard } from './admin-guard.ts';
import { addApi, type ApiOptions, MAX_BODY_BYTES } from './api.ts';
import { ConnectionRoom } from './connection-room.ts';
import { addLiveApi, addPage, type LiveApiOptions } from './live-api.ts';

/**
 * Time limits in milliseconds: for a request's headers, for the whole request, and for an idle connection.
 * @limit Time in which the headers of an HTTP request must arrive. Shows: status 408.
 */
const HEADERS_MS = 10_000;
const REQUEST_MS = 30_000;
const IDLE_MS = 15_000;
/** @limit Size of the headers of an HTTP request. Shows: status 431. */
const MAX_HEADER_BYTES = 8192;
const MAX_HEADERS = 64;

export interface AdminOptions {
  /** Port 0 stands for any free port. */
  readonly listen: Address;
  /**
   * Returns the descriptor of a socket that listens on the address, which the server then owns; undefined: it opens one.
   */
  readonly socket?: ((address: Address) => number | undefined) | undefined;
  /** Why requests are not answered, for everybody to read; undefined: they are answered. */
  notReady(): string | undefined;
  /** Metrics in Prometheus' text format. */
  metrics(): Promise<string>;
  readonly metricsType: string;
  /** Default: no live page. */
  readonly live?: LiveApiOptions;
  /** Requests that change state need the token, on the loopback address too. Default: no API. */
  readonly api?: ApiOptions;
}

export interface Admin {
  /** The address with the actual port. */
  readonly address: Address;
  /** Closes the port and every connection, idle or not. */
  close(): Promise<void>;
}

const INDEX = `Reveille

/         the live page, in a browser
/healthz  200 while the process is alive
/readyz   200 while requests are answered, otherwise 503
/metrics  metrics for Prometheus
`;

function routes(options: AdminOptions): Hono {
  const app = new Hono();
  addHeaders(app);
  app.use('*', async (context, next) => {
    const length = Number(context.req.header('content-length') ?? 0);
    if (length > MAX_BODY_BYTES) return context.json({ error: `expected at most ${MAX_BODY_BYTES} bytes` }, 413);
    return await next();
  });
  app.get('/healthz', (context) => context.text('ok\n'));
  app.get('/readyz', (context) => {
    const reason = options.notReady();
    return reason === undefined ? context.text('ready\n') : context.text(`not ready: ${reason}\n`, 503);
  });
  app.get('/metrics', async (context) =>
    context.body(await options.metrics(), 200, { 'content-type': options.metricsType }),
  );
  addPage(app, INDEX);
  const guard = new AdminGuard({ address: options.listen.address, token: options.api?.token });
  if (options.live !== undefined) addLiveApi(app, options.live, guard);
  if (options.api !== undefined) addApi(app, options.api, guard);
  app.notFound((context) => context.text('not found\n', 404));
  app.onError((error, context) => context.text(`failed: ${error.name}\n`, 500));
  return app;
}

/** @throws Error with the system's code (EADDRINUSE, EACCES, EADDRNOTAVAIL). */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const answer = getRequestListener(routes(options).fetch);
  const room = new ConnectionRoom<Socket>();
  const server = createServer(
    {
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: IDLE_MS,
      connectionsCheckingInterval: HEADERS_MS / 2,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    (incoming, outgoing) => {
      const { socket } = incoming;
      room.begins(socket);
      outgoing.once('close', () => room.ends(socket));
      // The promise never rejects: the listener answers 500 to errors.
      void answer(incoming, outgoing);
    },
  );
  server.on('connection', (socket) => room.admit(socket));
  server.maxHeadersCount = MAX_HEADERS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    const listening = (): void => {
      server.off('error', reject);
      resolve();
    };
    const fd = options.socket?.(options.listen);
    if (fd === undefined) server.listen(options.listen.port, options.listen.address, listening);
    else server.listen({ fd }, listening);
  });
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : options.listen.port;
  return {
    address: { address: options.listen.address, port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
