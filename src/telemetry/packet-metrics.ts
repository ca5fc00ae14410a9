/** Metrics of packets, as engines count them in shared memory. Knows neither transfers nor clients. */
import { SEND_ERRNOS } from '../engine/send-errors.ts';
import type { ServerStats } from '../server/types.ts';
import { closed, type Declarations } from './metric-kinds.ts';

export function declarePackets(declare: Declarations, server: () => ServerStats | undefined): void {
  const packets = (name: string, help: string, counter: keyof ServerStats['packets']): void =>
    declare.counter(name, help, () => server()?.packets[counter]);
  packets('reveille_data_packets_sent_total', 'DATA packets sent, those sent again included.', 'dataSent');
  packets('reveille_data_sent_bytes_total', 'Payload of DATA packets sent.', 'dataBytesSent');
  packets('reveille_data_packets_retransmitted_total', 'DATA packets sent again.', 'dataRetransmitted');
  packets('reveille_retransmits_total', 'Packets sent again: DATA and OACK.', 'retransmits');
  packets('reveille_packets_received_total', 'Packets received in transfers.', 'received');
  packets('reveille_packets_malformed_total', 'Datagrams received in transfers that are no packet.', 'malformed');
  packets('reveille_packets_stale_total', 'Packets that advanced nothing.', 'stale');
  packets(
    'reveille_duplicate_acks_ignored_total',
    'Of these, ACKs: repeated or old ones, which are never acted on.',
    'duplicateAcks',
  );
  packets(
    'reveille_segment_fallbacks_total',
    'Batches that had to leave packet by packet (linux engine).',
    'segmentFallbacks',
  );
  declare.counter(
    'reveille_receive_drops_total',
    'Datagrams lost to full receive buffers, at listening ports and in transfers (linux engine).',
    () => (server()?.requestDropsTotal ?? 0) + (server()?.packets.receiveDrops ?? 0),
  );
  packets('reveille_send_drops_total', 'Datagrams of transfers that the kernel would not take.', 'sendDrops');
  declare.counters(
    'reveille_send_errors_total',
    'Datagrams that the kernel would not take, refusals included, by errno.',
    ['errno'],
    () => closed(SEND_ERRNOS, server()?.sendErrorsTotal),
  );
}
