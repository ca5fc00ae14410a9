/** Metrics of requests: how many come, and why some are ignored, malformed or refused. Knows no transfer. */
import { MALFORMED } from '../protocol/packet.ts';
import { IGNORED, REFUSAL_CODES, REFUSALS, type ServerStats } from '../server/types.ts';
import type { EventCounts } from './event-counts.ts';
import { closed, type Declarations, type Sample } from './metric-kinds.ts';

export function declareRequests(
  declare: Declarations,
  server: () => ServerStats | undefined,
  events: EventCounts,
): void {
  declare.counter('reveille_requests_total', 'Requests received.', () => server()?.requestsTotal);
  declare.counters('reveille_requests_ignored_total', 'Requests that the server ignored, by reason.', ['reason'], () =>
    closed(IGNORED, server()?.ignoredTotal),
  );
  declare.counters(
    'reveille_requests_malformed_total',
    'Datagrams at the listening port that are not a request, by reason.',
    ['reason'],
    () => closed([...MALFORMED, 'notRequest'], server()?.malformedTotal),
  );
  declare.counters(
    'reveille_refusals_total',
    'Requests answered with an ERROR, by reason and the matching TFTP error code.',
    ['reason', 'code'],
    () => REFUSALS.map((reason): Sample => [reason, REFUSAL_CODES[reason], events.refusals[reason]]),
  );
}
