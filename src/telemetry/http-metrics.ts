/** Metrics of HTTP without a counterpart in TFTP: connections and threads. All are 0 where HTTP is off. Knows no request. */
import type { ServerStats } from '../server/types.ts';
import type { Declarations } from './metric-kinds.ts';

type HttpFigures = NonNullable<ServerStats['http']>;

export function declareHttp(declare: Declarations, server: () => ServerStats | undefined): void {
  const gauge = (name: string, help: string, figure: keyof HttpFigures): void =>
    declare.gauge(name, help, () => server()?.http?.[figure]);
  const counter = (name: string, help: string, figure: keyof HttpFigures): void =>
    declare.counter(name, help, () => server()?.http?.[figure]);
  gauge('reveille_http_connections', 'HTTP connections open now, including idle ones.', 'connections');
  gauge(
    'reveille_http_connections_limit',
    'Maximum number of HTTP connections: httpConnections, or fewer where the process may open few descriptors; 0: HTTP is off.',
    'connectionsLimit',
  );
  gauge('reveille_http_requests_waiting', 'HTTP requests whose head has not been sent.', 'waiting');
  counter(
    'reveille_http_connections_refused_total',
    'HTTP connections closed without an answer: too many connections (httpConnections), or an address that may not ask (clients) or has reached its limit.',
    'refusedTotal',
  );
  counter(
    'reveille_http_malformed_total',
    'Heads that are not HTTP, too large or too slow, and failed TLS handshakes.',
    'malformedTotal',
  );
  counter(
    'reveille_http_overloaded_total',
    'HTTP requests answered with 503, because their content was not there in time.',
    'overloadedTotal',
  );
  counter(
    'reveille_http_threads_lost_total',
    'HTTP threads that died and were replaced; their connections were closed.',
    'threadsLostTotal',
  );
}
