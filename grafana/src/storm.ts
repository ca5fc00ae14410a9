/** The Storm board: the current activity of the racks, and where nodes get stuck. */
import type { Board } from './board.ts';
import { figure, heat, series, type Steps, UNIT } from './panels.ts';
import { buckets, grown, orNone, quantile, rate, share, sum } from './promql.ts';

/** Outcomes of transfers that ended badly, by their names in the metrics. */
export const FAILED = 'outcome=~"timeout|unreachable|aborted|clientError"';

/** The same outcome has the same color on every board. */
const OUTCOME_COLOURS = {
  complete: 'green',
  completeUnconfirmed: 'semi-dark-green',
  probe: 'blue',
  clientError: 'yellow',
  timeout: 'red',
  unreachable: 'orange',
  aborted: 'purple',
  refused: 'text',
};

/** Seconds after which PXELINUX, iPXE and GRUB ask again. */
const ASKS_AGAIN: Steps = ['green', [0.11, 'yellow'], [0.25, 'orange'], [0.4, 'red']];

const resent = share(rate('reveille_data_packets_retransmitted_total'), rate('reveille_data_packets_sent_total'));

export const stormBoard: Board = {
  title: 'Reveille / Storm',
  uid: 'reveille-storm',
  description: 'What the nodes are doing now.',
  span: '15m',
  refresh: '5s',
  rows: {
    Now: [
      figure({
        title: 'Nodes booting',
        question: 'How many nodes are fetching a file right now?',
        width: 3,
        unit: UNIT.count,
        expr: sum('reveille_nodes_booting'),
        isTrend: true,
      }),
      figure({
        title: 'Stuck',
        question:
          'Do nodes hang in the middle of a file? Number of transfers without progress for 5 s. Causes: a node powered off or unplugged, or a path that loses every packet.',
        width: 3,
        unit: UNIT.count,
        expr: sum('reveille_transfers_stuck'),
        thresholds: ['green', [1, 'orange'], [10, 'red']],
        isTrend: true,
      }),
      figure({
        title: 'Waiting',
        question: 'Do requests wait because all sessions are in use?',
        width: 3,
        unit: UNIT.count,
        expr: sum('reveille_transfers_queued'),
        thresholds: ['green', [1, 'yellow'], [1000, 'red']],
        isTrend: true,
      }),
      figure({
        title: 'Throughput',
        question: 'How many bytes per second do the servers send?',
        width: 3,
        unit: UNIT.bytesPerSecond,
        expr: rate('reveille_data_sent_bytes_total'),
        isTrend: true,
      }),
      figure({
        title: 'First reply, p99',
        question:
          'Do nodes get an answer before they repeat their request? PXELINUX waits 0.11 s, iPXE 0.25 s, GRUB 0.4 s.',
        width: 3,
        unit: UNIT.seconds,
        expr: quantile(0.99, 'reveille_first_reply_seconds'),
        thresholds: ASKS_AGAIN,
        isTrend: true,
      }),
      figure({
        title: 'Retransmissions',
        question: 'Does the network lose packets? Share of DATA packets that were retransmissions.',
        width: 3,
        unit: UNIT.share,
        decimals: 2,
        expr: resent,
        thresholds: ['green', [0.01, 'orange'], [0.05, 'red']],
        isTrend: true,
      }),
      figure({
        title: 'Failed',
        question: 'How many transfers failed in the time shown?',
        width: 3,
        unit: UNIT.count,
        decimals: 0,
        expr: grown('reveille_transfers_total', '', FAILED),
        thresholds: ['green', [1, 'orange'], [50, 'red']],
      }),
      figure({
        title: 'Alerts',
        question: 'How many Reveille alerts are firing? Each alert rule names a section of the runbook.',
        width: 3,
        unit: UNIT.count,
        expr: orNone('count(ALERTS{job=~"$job", alertname=~"Reveille.+", alertstate="firing"})'),
        thresholds: ['green', [1, 'red']],
      }),
    ],
    Boots: [
      series({
        title: 'Requests',
        question:
          'Do requests arrive? None while racks are switched on: check DHCP and the path to the server. Many repeated requests: replies do not reach the nodes.',
        width: 8,
        unit: UNIT.perSecond,
        queries: [
          { expr: rate('reveille_requests_total', 'protocol'), legend: 'received over {{protocol}}' },
          {
            expr: rate('reveille_requests_ignored_total', '', 'reason="repeated"'),
            legend: 'repeated among those over tftp',
          },
          { expr: rate('reveille_transfers_started_total'), legend: 'transfers started' },
        ],
      }),
      series({
        title: 'Transfers by state',
        question: 'Is the storm growing, steady or fading?',
        width: 8,
        unit: UNIT.count,
        queries: [
          { expr: sum('reveille_transfers_active', 'protocol'), legend: 'active over {{protocol}}' },
          { expr: sum('reveille_transfers_queued'), legend: 'waiting' },
          { expr: sum('reveille_transfers_stuck'), legend: 'stuck' },
          { expr: sum('reveille_nodes_booting'), legend: 'nodes' },
        ],
        colours: {
          'active over tftp': 'green',
          'active over http': 'semi-dark-green',
          waiting: 'yellow',
          stuck: 'red',
          nodes: 'blue',
        },
      }),
      series({
        title: 'Throughput by server and protocol',
        question: 'Is a link full, does one server carry more than its share, and how much of it is HTTP?',
        width: 8,
        unit: UNIT.bytesPerSecond,
        stacked: true,
        queries: [
          { expr: rate('reveille_data_sent_bytes_total', 'instance, protocol'), legend: '{{instance}} {{protocol}}' },
        ],
      }),
      series({
        title: 'Transfers started, by kind',
        question: 'Which stage have the boots reached: rendered configs, boot sets, or plain files?',
        width: 12,
        unit: UNIT.perSecond,
        stacked: true,
        queries: [{ expr: rate('reveille_transfers_started_total', 'origin'), legend: '{{origin}}' }],
      }),
      series({
        title: 'Transfers ended, by outcome',
        question:
          'How do transfers end? complete, completeUnconfirmed and probe are successes; timeout and unreachable point to nodes or the network, clientError to files, aborted to the server.',
        width: 12,
        unit: UNIT.perSecond,
        stacked: true,
        queries: [{ expr: rate('reveille_transfers_total', 'outcome'), legend: '{{outcome}}' }],
        colours: OUTCOME_COLOURS,
      }),
    ],
    'From the view of a node': [
      series({
        title: 'First reply',
        question:
          'How long does a node wait for the first packet over TFTP? Dashed lines: PXELINUX, iPXE and GRUB repeat their request.',
        width: 12,
        unit: UNIT.seconds,
        thresholds: ASKS_AGAIN,
        queries: [
          { expr: quantile(0.5, 'reveille_first_reply_seconds'), legend: 'p50' },
          { expr: quantile(0.9, 'reveille_first_reply_seconds'), legend: 'p90' },
          { expr: quantile(0.99, 'reveille_first_reply_seconds'), legend: 'p99' },
        ],
      }),
      heat({
        title: 'First reply, distribution',
        question:
          'Do all nodes get their answer equally soon, or are there two groups: served from memory, and waiting?',
        width: 12,
        unit: UNIT.seconds,
        expr: buckets('reveille_first_reply_seconds'),
      }),
      series({
        title: 'Duration of transfers',
        question: 'How long do successful transfers take, over each protocol?',
        width: 12,
        unit: UNIT.seconds,
        queries: [
          { expr: quantile(0.5, 'reveille_transfer_duration_seconds', 'protocol'), legend: 'p50 {{protocol}}' },
          { expr: quantile(0.99, 'reveille_transfer_duration_seconds', 'protocol'), legend: 'p99 {{protocol}}' },
        ],
      }),
      series({
        title: 'Round trip',
        question:
          'Are the network and the node fast enough? Time from the last block of a window to its ACK; in lockstep a block takes this time plus the turnaround.',
        width: 12,
        unit: UNIT.seconds,
        queries: [
          { expr: quantile(0.5, 'reveille_round_trip_seconds'), legend: 'p50' },
          { expr: quantile(0.99, 'reveille_round_trip_seconds'), legend: 'p99' },
        ],
      }),
    ],
    Failures: [
      series({
        title: 'Retransmissions, by server',
        question: 'When did the network begin to lose packets, and from which server?',
        width: 8,
        unit: UNIT.share,
        thresholds: ['green', [0.01, 'orange'], [0.05, 'red']],
        queries: [
          {
            expr: share(
              rate('reveille_data_packets_retransmitted_total', 'instance'),
              rate('reveille_data_packets_sent_total', 'instance'),
            ),
            legend: '{{instance}}',
          },
        ],
      }),
      series({
        title: 'Transfers that failed, by kind',
        question: 'Do transfers of rendered configs, boot sets or plain files fail?',
        width: 8,
        unit: UNIT.perSecond,
        stacked: true,
        queries: [{ expr: rate('reveille_transfers_total', 'origin', FAILED), legend: '{{origin}}' }],
      }),
      series({
        title: 'Datagrams lost in the server',
        question:
          'Does the server machine lose packets? Datagrams dropped by full receive buffers, and datagrams that the kernel did not send.',
        width: 8,
        unit: UNIT.perSecond,
        queries: [
          { expr: rate('reveille_receive_drops_total', 'instance'), legend: '{{instance}} received' },
          { expr: rate('reveille_send_drops_total', 'instance'), legend: '{{instance}} sent' },
        ],
      }),
      series({
        title: 'Refusals, by reason',
        question:
          'Why are requests refused? not_found is normal, because a loader tries a dozen names; the other reasons are not.',
        width: 12,
        unit: UNIT.perSecond,
        stacked: true,
        queries: [{ expr: rate('reveille_refusals_total', 'reason'), legend: '{{reason}}' }],
      }),
      series({
        title: 'Requests left unanswered, by reason',
        question:
          'Which requests get no answer, and why? repeated is normal in a storm; queueFull and expired mean overload, busy a file that could not be read, unreachable a client that the server has no route to.',
        width: 12,
        unit: UNIT.perSecond,
        stacked: true,
        queries: [{ expr: rate('reveille_requests_ignored_total', 'reason'), legend: '{{reason}}' }],
      }),
    ],
  },
};
