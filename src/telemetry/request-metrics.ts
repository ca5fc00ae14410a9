/** Metrics of requests: how many come, and why some are ignored, malformed or refused. Knows no transfer. */
import { MALFORMED } from '../protocol/packet.ts';
import { IGNORED, PROTOCOLS, REFUSALS, type ServerStats } from '../server/types.ts';
import type { EventCounts } from './event-counts.ts';
import { byProtocol, closed, type Declarations, type Sample } from './metric-kinds.ts';

export function declareRequests(
  declare: Declarations,
  server: () => ServerStats | undefined,
  events: EventCounts,
): void {
  declare.counters('reveille_requests_total', 'Requests received, by protocol.', ['protocol'], () =>
    byProtocol(server()?.requestsTotal, server()?.http?.requestsTotal),
  );
  declare.counters(
    'reveille_requests_ignored_total',
    'Requests over TFTP that the server ignored, by reason.',
    ['reason'],
    () => closed(IGNORED, server()?.ignoredTotal),
  );
  declare.counters(
    'reveille_requests_malformed_total',
    'Datagrams at the listening port of TFTP that are not a request, by reason.',
    ['reason'],
    () => closed([...MALFORMED, 'notRequest'], server()?.malformedTotal),
  );
  declare.counters(
    'reveille_refusals_total',
    'Requests answered with an ERROR, or over HTTP with a status of 400 to 405, by reason, protocol, and TFTP error code or HTTP status.',
    ['reason', 'code', 'protocol'],
    () =>
      PROTOCOLS.flatMap((protocol) =>
        REFUSALS.flatMap((reason) =>
          [...events.by[protocol].refusals[reason]].map(([code, count]): Sample => [reason, code, protocol, count]),
        ),
      ),
  );
}
