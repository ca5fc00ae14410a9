/** Metrics of packets, as engines count them in shared memory. Knows neither transfers nor clients. */
import { SEND_ERRNOS } from '../engine/send-errors.ts';
import type { ServerStats } from '../server/types.ts';
import { closed, type Declarations } from './metric-kinds.ts';

export function declarePackets(declare: Declarations, server: () => ServerStats | undefined): void {
  const packets = (name: string, help: string, counter: keyof ServerStats['packets']): void =>
    declare.counter(name, help, () => server()?.packets[counter]);
  packets('reveille_data_packets_sent_total', 'DATA packets sent, including retransmitted ones.', 'dataSent');
  declare.counters(
    'reveille_data_sent_bytes_total',
    'Bytes of files sent, by protocol: payload of the DATA packets, and bodies over HTTP.',
    ['protocol'],
    () => [
      ['tftp', server()?.packets.dataBytesSent ?? 0],
      ['http', server()?.http?.sentBytesTotal ?? 0],
    ],
  );
  packets('reveille_data_packets_retransmitted_total', 'DATA packets retransmitted.', 'dataRetransmitted');
  packets('reveille_retransmits_total', 'Packets retransmitted: DATA and OACK.', 'retransmits');
  packets('reveille_packets_received_total', 'Packets received in transfers.', 'received');
  packets(
    'reveille_packets_malformed_total',
    'Datagrams received in transfers that are not a TFTP packet.',
    'malformed',
  );
  packets('reveille_packets_stale_total', 'Received packets that advanced no transfer.', 'stale');
  packets(
    'reveille_duplicate_acks_ignored_total',
    'ACKs among the stale packets: repeated or old ones, which are ignored.',
    'duplicateAcks',
  );
  packets(
    'reveille_segment_fallbacks_total',
    'Batches that had to be sent packet by packet (linux engine).',
    'segmentFallbacks',
  );
  declare.counter(
    'reveille_receive_drops_total',
    'Datagrams lost to full receive buffers, at listening ports and in transfers (linux engine).',
    () => (server()?.requestDropsTotal ?? 0) + (server()?.packets.receiveDrops ?? 0),
  );
  packets(
    'reveille_send_drops_total',
    'Datagrams of transfers that the kernel did not accept (linux engine).',
    'sendDrops',
  );
  declare.counters(
    'reveille_send_errors_total',
    'Datagrams that the kernel did not accept, including replies of the listening ports, by errno.',
    ['errno'],
    () => closed(SEND_ERRNOS, server()?.sendErrorsTotal),
  );
}
