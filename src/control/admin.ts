/**
 * The admin address: health, readiness and metrics over HTTP, and the API of api.ts where there is one. Knows nothing of
 * TFTP; what it tells comes from the functions it is given. Only the API has access control: it listens on the loopback
 * address unless told otherwise.
 */
import { createServer } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import type { Address } from '../engine/types.ts';
import { addApi, type ApiOptions } from './api.ts';

/** Connections at once: some scrapers, some probes and a person. More are closed unanswered. */
const MOST_CONNECTIONS = 128;

export interface AdminOptions {
  /** Port 0: any free one. */
  readonly listen: Address;
  isReady(): boolean;
  /** Metrics in Prometheus' text format. */
  metrics(): Promise<string>;
  readonly metricsType: string;
  /** Default: there is no API. */
  readonly api?: ApiOptions;
}

export interface Admin {
  /** With the real port. */
  readonly address: Address;
  /** Closes the port and every connection, idle or not. */
  close(): Promise<void>;
}

const INDEX = `Reveille

/healthz  200 while the process is alive
/readyz   200 while requests are answered, otherwise 503
/metrics  metrics for Prometheus
`;

function routes(options: AdminOptions): Hono {
  const app = new Hono();
  app.get('/', (context) => context.text(INDEX));
  app.get('/healthz', (context) => context.text('ok\n'));
  app.get('/readyz', (context) => (options.isReady() ? context.text('ready\n') : context.text('not ready\n', 503)));
  app.get('/metrics', async (context) =>
    context.body(await options.metrics(), 200, { 'content-type': options.metricsType }),
  );
  if (options.api !== undefined) addApi(app, options.api);
  app.notFound((context) => context.text('not found\n', 404));
  app.onError((error, context) => context.text(`failed: ${error.name}\n`, 500));
  return app;
}

/** @throws Error with the system's code (EADDRINUSE, EACCES, EADDRNOTAVAIL). */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const answer = getRequestListener(routes(options).fetch);
  // It answers 500 to what goes wrong, and never rejects.
  const server = createServer((incoming, outgoing) => void answer(incoming, outgoing));
  server.maxConnections = MOST_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.listen.port, options.listen.address, () => {
      server.off('error', reject);
      resolve();
    });
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
