/** The Serving board: how well the servers meet the racks' demand, and which of their limits are reached. */
import type { Board } from './board.ts';
import { figure, heat, labels, series, UNIT } from './panels.ts';
import { buckets, counted, of, quantile, rate, share, sum } from './promql.ts';

export const servingBoard: Board = {
  title: 'Reveille / Serving',
  uid: 'reveille-serving',
  description: 'Performance of the servers, and which of their limits are reached.',
  span: '1h',
  refresh: '10s',
  rows: {
    Utilization: [
      figure({
        title: 'Sessions in use',
        question: 'How close are the servers to their limit of concurrent transfers over TFTP? At 100 % requests wait.',
        width: 4,
        unit: UNIT.share,
        decimals: 1,
        expr: `${sum('reveille_transfers_active', '', 'protocol="tftp"')} / ${sum('reveille_sessions_limit')}`,
        thresholds: ['green', [0.7, 'orange'], [0.95, 'red']],
        isTrend: true,
      }),
      figure({
        title: 'Content memory in use',
        question:
          'How close is the memory for file contents to its limit? At 100 % requests that need more stay unanswered.',
        width: 4,
        unit: UNIT.share,
        decimals: 1,
        expr: `(${sum('reveille_cache_held_bytes')} + ${sum('reveille_cache_idle_bytes')}) / ${sum('reveille_memory_limit_bytes')}`,
        thresholds: ['green', [0.8, 'orange'], [0.95, 'red']],
        isTrend: true,
      }),
      figure({
        title: 'Busiest worker',
        question: 'Does a worker thread use all of its core?',
        width: 4,
        unit: UNIT.share,
        decimals: 0,
        expr: `max(rate(${of('reveille_worker_cpu_seconds_total')}[$__rate_interval]))`,
        thresholds: ['green', [0.8, 'orange'], [0.95, 'red']],
        isTrend: true,
      }),
      figure({
        title: 'Main thread delay',
        question:
          'Is the main thread, which receives requests, held up? p99 of its event-loop delay, which includes 0.01 s of measuring.',
        width: 4,
        unit: UNIT.seconds,
        expr: `max(${of('nodejs_eventloop_lag_p99_seconds')})`,
        thresholds: ['green', [0.05, 'orange'], [0.25, 'red']],
        isTrend: true,
      }),
      figure({
        title: 'Turnaround, p99',
        question:
          'How soon does the next block follow an ACK? In lockstep, this time multiplied by the number of blocks adds to the boot time.',
        width: 4,
        unit: UNIT.seconds,
        expr: quantile(0.99, 'reveille_block_turnaround_seconds'),
        thresholds: ['green', [0.005, 'orange'], [0.05, 'red']],
        isTrend: true,
      }),
      figure({
        title: 'CPU per block',
        question: 'How much CPU time does a DATA packet cost, all threads together? Serving over HTTP is included.',
        width: 4,
        unit: UNIT.seconds,
        expr: share(rate('process_cpu_seconds_total'), rate('reveille_data_packets_sent_total')),
        isTrend: true,
      }),
    ],
    Latency: [
      series({
        title: 'Block turnaround',
        question: 'How long does it take from reading an ACK to handing the next DATA packet to the kernel?',
        width: 8,
        unit: UNIT.seconds,
        queries: [
          { expr: quantile(0.5, 'reveille_block_turnaround_seconds'), legend: 'p50' },
          { expr: quantile(0.99, 'reveille_block_turnaround_seconds'), legend: 'p99' },
          { expr: quantile(0.999, 'reveille_block_turnaround_seconds'), legend: 'p99.9' },
        ],
      }),
      heat({
        title: 'Block turnaround, distribution',
        question: 'Do all blocks wait for the threads, or only some?',
        width: 8,
        unit: UNIT.seconds,
        expr: buckets('reveille_block_turnaround_seconds'),
      }),
      series({
        title: 'Wait for a session',
        question:
          'How long does a request wait until a worker takes it? The time includes finding the file and waiting for a session.',
        width: 8,
        unit: UNIT.seconds,
        queries: [
          { expr: quantile(0.5, 'reveille_queue_wait_seconds'), legend: 'p50' },
          { expr: quantile(0.99, 'reveille_queue_wait_seconds'), legend: 'p99' },
        ],
      }),
    ],
    Workers: [
      series({
        title: 'Transfers by worker',
        question: 'Are transfers spread evenly over the workers?',
        width: 6,
        unit: UNIT.count,
        stacked: true,
        queries: [
          { expr: sum('reveille_worker_transfers', 'instance, worker'), legend: '{{instance}} worker {{worker}}' },
        ],
      }),
      series({
        title: 'CPU by worker',
        question: 'Which thread is fully busy?',
        width: 6,
        unit: UNIT.share,
        max: 1,
        queries: [
          {
            expr: rate('reveille_worker_cpu_seconds_total', 'instance, worker'),
            legend: '{{instance}} worker {{worker}}',
          },
        ],
      }),
      series({
        title: 'Event-loop delay by worker',
        question: 'Is a thread held up by something other than packets?',
        width: 6,
        unit: UNIT.seconds,
        queries: [
          {
            expr: `max by (instance, worker) (${of('reveille_worker_event_loop_delay_seconds')})`,
            legend: '{{instance}} worker {{worker}}',
          },
          { expr: `max by (instance) (${of('nodejs_eventloop_lag_p99_seconds')})`, legend: '{{instance}} main' },
        ],
      }),
      series({
        title: 'Deaths',
        question: 'Have worker threads or the server process died, and how many transfers were lost with them?',
        width: 6,
        unit: UNIT.count,
        bars: true,
        queries: [
          { expr: counted('reveille_worker_restarts_total', 'instance'), legend: '{{instance}} threads' },
          { expr: counted('reveille_server_deaths_total', 'instance'), legend: '{{instance}} servers' },
          { expr: counted('reveille_transfers_resumed_total', 'instance'), legend: '{{instance}} transfers resumed' },
          { expr: counted('reveille_transfers_lost_total', 'instance'), legend: '{{instance}} transfers lost' },
        ],
      }),
    ],
    Packets: [
      series({
        title: 'DATA packets',
        question: 'How many blocks are sent, and how many of them are retransmissions?',
        width: 8,
        unit: UNIT.perSecond,
        queries: [
          { expr: rate('reveille_data_packets_sent_total'), legend: 'sent' },
          { expr: rate('reveille_data_packets_retransmitted_total'), legend: 'retransmissions among these' },
          { expr: rate('reveille_duplicate_acks_ignored_total'), legend: 'duplicate ACKs ignored' },
        ],
      }),
      series({
        title: 'Requests',
        question: 'How many requests arrive, and how many of them start a transfer, are refused, or get no answer?',
        width: 8,
        unit: UNIT.perSecond,
        queries: [
          { expr: rate('reveille_requests_total'), legend: 'received' },
          { expr: rate('reveille_transfers_started_total'), legend: 'started' },
          { expr: rate('reveille_refusals_total'), legend: 'refused' },
          { expr: rate('reveille_requests_ignored_total'), legend: 'unanswered' },
        ],
      }),
      series({
        title: 'Send errors, by errno',
        question: 'Which errors does the kernel report for packets that it did not send?',
        width: 8,
        unit: UNIT.perSecond,
        stacked: true,
        queries: [{ expr: rate('reveille_send_errors_total', 'errno'), legend: '{{errno}}' }],
      }),
    ],
    HTTP: [
      series({
        title: 'HTTP connections',
        question:
          'How many HTTP connections are open, and how many of them wait for content? At the limit further ones are closed.',
        width: 6,
        unit: UNIT.count,
        queries: [
          { expr: sum('reveille_http_connections'), legend: 'open' },
          { expr: sum('reveille_http_requests_waiting'), legend: 'waiting for content' },
          { expr: sum('reveille_transfers_active', '', 'protocol="http"'), legend: 'sending' },
          { expr: sum('reveille_http_connections_limit'), legend: 'limit' },
        ],
        colours: { limit: 'red' },
      }),
      series({
        title: 'HTTP, time to the head',
        question: 'How long does an HTTP client wait for the first bytes of its answer? After 3 s it gets a 503.',
        width: 6,
        unit: UNIT.seconds,
        queries: [
          { expr: quantile(0.5, 'reveille_transfer_wait_seconds', '', 'protocol="http"'), legend: 'p50' },
          { expr: quantile(0.99, 'reveille_transfer_wait_seconds', '', 'protocol="http"'), legend: 'p99' },
        ],
      }),
      series({
        title: 'HTTP without a file',
        question:
          'Which HTTP clients get nothing? 503 means overload, refused connections a limit or a foreign address, malformed heads something that is no boot loader.',
        width: 6,
        unit: UNIT.perSecond,
        queries: [
          { expr: rate('reveille_http_overloaded_total'), legend: '503' },
          { expr: rate('reveille_http_connections_refused_total'), legend: 'refused connections' },
          { expr: rate('reveille_http_malformed_total'), legend: 'malformed heads' },
        ],
        colours: { '503': 'red' },
      }),
      series({
        title: 'HTTP threads lost',
        question: 'Have HTTP threads died? Their connections were closed.',
        width: 6,
        unit: UNIT.count,
        bars: true,
        queries: [{ expr: counted('reveille_http_threads_lost_total', 'instance'), legend: '{{instance}}' }],
      }),
    ],
    'File contents in memory': [
      series({
        title: 'Content memory',
        question: 'Why are file contents kept in memory, and how close are they to the budget?',
        width: 8,
        unit: UNIT.bytes,
        queries: [
          { expr: sum('reveille_cache_held_bytes'), legend: 'being sent' },
          { expr: sum('reveille_cache_idle_bytes'), legend: 'kept for later transfers' },
          { expr: sum('reveille_cache_shelved_bytes'), legend: 'kept for coming boots' },
          { expr: sum('reveille_cache_budget_bytes'), legend: 'budget' },
        ],
        colours: { budget: 'red' },
      }),
      series({
        title: 'Opens from memory',
        question: 'Do requests find their file in memory? Share of opens that needed no disk.',
        width: 8,
        unit: UNIT.share,
        max: 1,
        queries: [
          {
            expr: share(
              rate('reveille_cache_hits_total', 'instance'),
              `${rate('reveille_cache_hits_total', 'instance')} + ${rate('reveille_cache_misses_total', 'instance')}`,
            ),
            legend: '{{instance}}',
          },
        ],
      }),
      series({
        title: 'Loads and evictions',
        question: 'Is the budget too small? Continuous evictions mean that files are read again and again.',
        width: 8,
        unit: UNIT.perSecond,
        queries: [
          { expr: rate('reveille_cache_loads_total'), legend: 'loads' },
          { expr: rate('reveille_cache_misses_total'), legend: 'misses' },
          { expr: rate('reveille_cache_evictions_total'), legend: 'evictions' },
        ],
      }),
    ],
    'Configs made for nodes': [
      series({
        title: 'Renderings, by route',
        question: 'Which routes make configs, and how often?',
        width: 8,
        unit: UNIT.perSecond,
        stacked: true,
        queries: [{ expr: rate('reveille_renders_total', 'route, result'), legend: '{{route}} {{result}}' }],
      }),
      series({
        title: 'Rendering duration, p99 by route',
        question: 'Which route keeps nodes waiting? Above 0.1 s PXELINUX repeats its request.',
        width: 8,
        unit: UNIT.seconds,
        thresholds: ['green', [0.1, 'orange'], [1, 'red']],
        queries: [{ expr: quantile(0.99, 'reveille_render_duration_seconds', 'route'), legend: '{{route}}' }],
      }),
      series({
        title: 'Configs that could not be made',
        question: 'How many configs could not be made, and why? The log has a line for each.',
        width: 8,
        unit: UNIT.perSecond,
        stacked: true,
        queries: [{ expr: rate('reveille_render_failures_total', 'reason'), legend: '{{reason}}' }],
      }),
    ],
    Processes: [
      series({
        title: 'Memory of the process',
        question:
          'Does the memory of a server keep growing? Files of boot sets are mapped, and their pages count once they are read.',
        width: 8,
        unit: UNIT.bytes,
        queries: [{ expr: sum('process_resident_memory_bytes', 'instance'), legend: '{{instance}}' }],
      }),
      series({
        title: 'Warnings and lines left out',
        question: 'Does the log have warnings, and did it have to leave lines out?',
        width: 8,
        unit: UNIT.perSecond,
        queries: [
          { expr: rate('reveille_warnings_total'), legend: 'warnings' },
          { expr: rate('reveille_log_lines_suppressed_total'), legend: 'lines left out' },
        ],
      }),
      labels({
        title: 'Versions running',
        question: 'Which version of Reveille runs on which server?',
        width: 8,
        unit: UNIT.count,
        expr: of('reveille_build_info'),
        columns: { instance: 'Server', version: 'Reveille', node: 'Node' },
      }),
    ],
  },
};
