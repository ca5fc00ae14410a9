/** Metrics of transfers: how many start, run, wait and end, and how long they take. Knows no worker and no packet. */
import { ORIGINS } from '../content/types.ts';
import { LATENCY_BOUNDS, type Latency, LatencyHistogram } from '../engine/latencies.ts';
import { PROTOCOLS, type ServerStats } from '../server/types.ts';
import { OUTCOMES } from '../session/session.ts';
import type { EventCounts } from './event-counts.ts';
import { byProtocol, type Declarations, type Sample } from './metric-kinds.ts';

export function declareTransfers(
  declare: Declarations,
  server: () => ServerStats | undefined,
  events: EventCounts,
): void {
  declare.counters(
    'reveille_transfers_started_total',
    'Transfers that have started, by protocol and origin: rendered (a config rendered for its node), bootSet, file.',
    ['origin', 'protocol'],
    () =>
      PROTOCOLS.flatMap((protocol) =>
        ORIGINS.map((origin): Sample => [origin, protocol, events.by[protocol].started[origin]]),
      ),
  );
  declare.counters(
    'reveille_transfers_total',
    'Finished transfers, by outcome, origin and protocol. complete, completeUnconfirmed and probe are successes.',
    ['outcome', 'origin', 'protocol'],
    () =>
      PROTOCOLS.flatMap((protocol) => {
        const { ended } = events.by[protocol];
        return OUTCOMES.flatMap((outcome) =>
          ORIGINS.map((origin): Sample => [outcome, origin, protocol, ended[outcome][origin]]),
        );
      }),
  );
  declare.gauges('reveille_transfers_active', 'Transfers running now, by protocol.', ['protocol'], () =>
    byProtocol(server()?.transfersActive, server()?.http?.sending),
  );
  declare.gauge(
    'reveille_transfers_queued',
    'Requests over TFTP waiting for a session.',
    () => server()?.transfersQueued,
  );
  declare.gauge(
    'reveille_transfers_stuck',
    'Transfers that started and then made no progress for 5 seconds or longer.',
    () => server()?.transfersStuck,
  );
  declare.gauge('reveille_nodes_booting', 'Clients that have a transfer running.', () => server()?.nodesBooting);
  declare.latencies(
    'reveille_transfer_duration_seconds',
    'Time from first to last packet of transfers that ended well (complete, completeUnconfirmed), by protocol. Over HTTP: from the head until the kernel has the last byte.',
    ['protocol'],
    () => PROTOCOLS.map((protocol) => [protocol, events.by[protocol].duration.counts()] as const),
  );
  declare.latencies(
    'reveille_transfer_wait_seconds',
    'Time from the first request until the transfer starts, by protocol: finding the file, and waiting for a session. Over HTTP: until the head is sent.',
    ['protocol'],
    () => PROTOCOLS.map((protocol) => [protocol, events.by[protocol].waited.counts()] as const),
  );
  declare.latency('reveille_queue_wait_seconds', 'Time that a request over TFTP waits for a session.', () =>
    events.queued.counts(),
  );
  const measured = (name: string, help: string, latency: Latency): void =>
    declare.latency(
      name,
      help,
      () => server()?.latencies[latency] ?? new LatencyHistogram(LATENCY_BOUNDS[latency]).counts(),
    );
  measured(
    'reveille_first_reply_seconds',
    'Time from the first request over TFTP to the first reply, in whole milliseconds. PXELINUX asks again after 0.11 s.',
    'firstReply',
  );
  measured(
    'reveille_round_trip_seconds',
    'Time from the last block of a window to its ACK, in whole milliseconds, for windows without a retransmission.',
    'roundTrip',
  );
  measured(
    'reveille_block_turnaround_seconds',
    'Time from reading ACKs to handing the DATA that they release to the kernel. One read in eight is timed, and counts once for each of its packets.',
    'turnaround',
  );
}
