/**
 * Every metric Reveille has, declared here and nowhere else. Figures are pulled when a scrape asks; only what happens to
 * requests, transfers and configs is counted as it happens (event-counts.ts). No label ever holds a client or a file: there
 * is no end of them. Every set of labels is closed, or bounded by the config or by what the store holds.
 */
import { collectDefaultMetrics, Registry } from 'prom-client';
import { ORIGINS } from '../content/types.ts';
import { LATENCY_BOUNDS, type Latency, LatencyHistogram } from '../engine/latencies.ts';
import { SEND_ERRNOS } from '../engine/send-errors.ts';
import { MALFORMED } from '../protocol/packet.ts';
import { RENDER_FAILURES, RENDER_OUTCOMES, type RoutesStats } from '../render/types.ts';
import { IGNORED, REFUSAL_CODES, REFUSALS, type ServerStats } from '../server/types.ts';
import { OUTCOMES } from '../session/session.ts';
import { EventCounts, OTHERS, RENDER_RESULTS } from './event-counts.ts';
import { RELOAD_RESULTS } from '../config/live-config.ts';
import { BOUNDED_KINDS } from './log.ts';
import { closed, Declarations, onceAScrape, type Sample } from './metric-kinds.ts';

/** What the buffer cache tells of itself. */
export interface CacheStats {
  readonly heldBytes: number;
  readonly idleBytes: number;
  readonly entries: number;
  readonly hits: number;
  readonly misses: number;
  readonly loads: number;
  readonly evictions: number;
  readonly shelvedBytes: number;
  readonly overBudget: number;
}

/** What a served store tells of itself. */
export interface BootSetStats {
  readonly channels: readonly {
    readonly name: string;
    readonly current: number | undefined;
    readonly pins: number;
    /** The newest first. */
    readonly byVersion: readonly { readonly version: number; readonly pins: number }[];
  }[];
  readonly versions: number;
  readonly pins: number;
  readonly pinsEvicted: number;
  readonly latePins: number;
  readonly sharedAnswers: number;
  readonly collection: {
    readonly runs: number;
    readonly failures: number;
    readonly versions: number;
    readonly bytes: number;
  };
}

/** Channels that have labels of their own; the pins of the others are summed up. */
const MAX_CHANNELS = 100;
/** Versions of a channel that have labels of their own: the newest that somebody boots. */
const MAX_VERSIONS = 5;

export interface MetricSources {
  /** undefined while the server has not started. */
  readonly server: () => ServerStats | undefined;
  readonly cache: () => CacheStats;
  /** What the cache may hold and keep, in bytes. */
  readonly cacheBytes: number;
  /** What it may never exceed, in bytes. */
  readonly memoryLimit: number;
  /** Transfers at once. */
  readonly sessions: number;
  /** undefined where no store is served. */
  readonly store: () => BootSetStats | undefined;
  /** undefined where there are no routes. */
  readonly routes: () => RoutesStats | undefined;
  /** Log lines left out, by kind. */
  readonly suppressedLines: () => Readonly<Record<string, number>>;
  readonly version: string;
  readonly workers: number;
}

/** Of Node.js's own: gauges that are called like counters, which promtool refuses. The same by type are there as well. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

export class Metrics {
  readonly registry = new Registry();
  /** What is counted as it happens. */
  readonly events = new EventCounts();

  constructor(sources: MetricSources) {
    collectDefaultMetrics({ register: this.registry });
    for (const name of MISNAMED) this.registry.removeSingleMetric(name);
    const declare = new Declarations(this.registry);
    const server = onceAScrape(sources.server);
    this.#declareTransfers(declare, server);
    this.#declareRequests(declare, server);
    this.#declarePackets(declare, server);
    this.#declareWorkers(declare, server, sources.workers);
    this.#declareCache(declare, onceAScrape(sources.cache));
    this.#declareLimits(declare, sources);
    this.#declareStore(declare, onceAScrape(sources.store));
    this.#declareRoutes(declare, onceAScrape(sources.routes));
    declare.counter(
      'reveille_warnings_total',
      'Warnings, whether or not the log had room for them.',
      () => this.events.warnings,
    );
    declare.counters(
      'reveille_reloads_total',
      'Times that the config was read anew, by result. After a failed one the former config goes on.',
      ['result'],
      () => closed(RELOAD_RESULTS, this.events.reloads),
    );
    declare.gauge('reveille_config_reload_ok', '1, or 0 after a reload that failed.', () => this.events.reloadOk);
    declare.counters('reveille_log_lines_suppressed_total', 'Log lines left out because too many came.', ['kind'], () =>
      closed(BOUNDED_KINDS, sources.suppressedLines()),
    );
    declare.gauges('reveille_build_info', 'Always 1; the labels say what is running.', ['version', 'node'], () => [
      [sources.version, process.versions.node, 1],
    ]);
  }

  #declareTransfers(declare: Declarations, server: () => ServerStats | undefined): void {
    declare.counters(
      'reveille_transfers_started_total',
      'Transfers that a worker took, by what is sent: rendered (a config made for its node), bootSet, file.',
      ['origin'],
      () => closed(ORIGINS, this.events.started),
    );
    declare.counters(
      'reveille_transfers_total',
      'Finished transfers by outcome and origin. complete, completeUnconfirmed and probe are no failures.',
      ['outcome', 'origin'],
      () =>
        OUTCOMES.flatMap((outcome) =>
          ORIGINS.map((origin): Sample => [outcome, origin, this.events.ended[outcome][origin]]),
        ),
    );
    declare.gauge('reveille_transfers_active', 'Transfers running now.', () => server()?.transfersActive);
    declare.gauge('reveille_transfers_queued', 'Requests waiting for a session.', () => server()?.transfersQueued);
    declare.gauge(
      'reveille_transfers_stuck',
      'Transfers in their middle without progress for 5 seconds or longer.',
      () => server()?.transfersStuck,
    );
    declare.gauge('reveille_nodes_booting', 'Clients that have a transfer running.', () => server()?.nodesBooting);
    declare.latency(
      'reveille_transfer_duration_seconds',
      'First to last packet of transfers that ended well (complete, completeUnconfirmed).',
      () => this.events.duration.counts(),
    );
    declare.latency(
      'reveille_transfer_wait_seconds',
      'From the first request to a worker taking the transfer: finding the file and waiting for a session.',
      () => this.events.waited.counts(),
    );
    declare.latency('reveille_queue_wait_seconds', 'Of that, waiting for a session alone.', () =>
      this.events.queued.counts(),
    );
    const measured = (name: string, help: string, latency: Latency): void =>
      declare.latency(
        name,
        help,
        () => server()?.latencies[latency] ?? new LatencyHistogram(LATENCY_BOUNDS[latency]).counts(),
      );
    measured(
      'reveille_first_reply_seconds',
      'From the first request to the first reply, in whole milliseconds: PXELINUX asks again after 0.11 s.',
      'firstReply',
    );
    measured(
      'reveille_round_trip_seconds',
      'From the last block of a window to its ACK, in whole milliseconds, where nothing of it was sent again.',
      'roundTrip',
    );
    measured(
      'reveille_block_turnaround_seconds',
      'From ACKs read to the DATA that they let out handed to the kernel. Of the reads, one in eight is timed, and counts once for each packet in it.',
      'turnaround',
    );
  }

  #declareRequests(declare: Declarations, server: () => ServerStats | undefined): void {
    declare.counter('reveille_requests_total', 'Requests received.', () => server()?.requestsTotal);
    declare.counters('reveille_requests_ignored_total', 'Requests not acted on.', ['reason'], () =>
      closed(IGNORED, server()?.ignoredTotal),
    );
    declare.counters(
      'reveille_requests_malformed_total',
      'Datagrams at the listening port that are no request.',
      ['reason'],
      () => closed([...MALFORMED, 'notRequest'], server()?.malformedTotal),
    );
    declare.counters(
      'reveille_refusals_total',
      'Requests answered with an ERROR, by what they are about, and the TFTP error code of that.',
      ['reason', 'code'],
      () => REFUSALS.map((reason): Sample => [reason, REFUSAL_CODES[reason], this.events.refusals[reason]]),
    );
  }

  #declarePackets(declare: Declarations, server: () => ServerStats | undefined): void {
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

  #declareWorkers(declare: Declarations, server: () => ServerStats | undefined, configured: number): void {
    const workers = (): ServerStats['workers'] => server()?.workers ?? [];
    declare.gauge('reveille_workers', 'Worker threads configured.', () => configured);
    declare.counter(
      'reveille_worker_restarts_total',
      'Workers that died and were replaced; the transfers on them were lost.',
      () => server()?.workersLostTotal,
    );
    declare.gauges('reveille_worker_transfers', 'Transfers running now, by worker.', ['worker'], () =>
      workers().map(({ worker, transfers }): Sample => [worker, transfers]),
    );
    declare.counters(
      'reveille_worker_cpu_seconds_total',
      "Processor time of each worker's thread (Linux, or Node.js 24).",
      ['worker'],
      () => workers().map(({ worker, cpuSeconds }): Sample => [worker, cpuSeconds]),
    );
    declare.gauges(
      'reveille_worker_event_loop_delay_seconds',
      'The longest that something due had to wait in a worker, of the last 10 to 20 seconds.',
      ['worker'],
      () => workers().map(({ worker, eventLoopDelayMs }): Sample => [worker, eventLoopDelayMs / 1000]),
    );
  }

  /** What shares of the other figures are taken of. */
  #declareLimits(declare: Declarations, { cacheBytes, memoryLimit, sessions }: MetricSources): void {
    declare.gauge('reveille_cache_budget_bytes', 'What the cache may hold and keep (cacheBytes).', () => cacheBytes);
    declare.gauge('reveille_memory_limit_bytes', 'What contents never exceed (memoryLimit).', () => memoryLimit);
    declare.gauge('reveille_sessions_limit', 'Transfers at once, at most (sessions).', () => sessions);
  }

  #declareCache(declare: Declarations, cache: () => CacheStats): void {
    declare.gauge('reveille_cache_held_bytes', 'Contents that transfers are reading.', () => cache().heldBytes);
    declare.gauge('reveille_cache_idle_bytes', 'Contents kept for the next transfer.', () => cache().idleBytes);
    declare.gauge('reveille_cache_shelved_bytes', 'Contents kept for boots to come.', () => cache().shelvedBytes);
    declare.gauge(
      'reveille_pinned_bytes',
      'Contents that no budget can evict: those that transfers are reading, and those kept for boots to come.',
      () => cache().heldBytes + cache().shelvedBytes,
    );
    declare.gauge('reveille_cache_entries', 'Contents in memory, held and idle.', () => cache().entries);
    declare.counter('reveille_cache_hits_total', 'Opens answered from memory.', () => cache().hits);
    declare.counter('reveille_cache_misses_total', 'Opens that memory could not answer.', () => cache().misses);
    declare.counter('reveille_cache_loads_total', 'Files read from disk.', () => cache().loads);
    declare.counter(
      'reveille_cache_evictions_total',
      'Idle contents dropped for want of room.',
      () => cache().evictions,
    );
    declare.counter(
      'reveille_cache_over_budget_total',
      'Times that contents in use came to exceed the budget.',
      () => cache().overBudget,
    );
  }

  #declareStore(declare: Declarations, store: MetricSources['store']): void {
    const channels = (): BootSetStats['channels'] => store()?.channels ?? [];
    declare.gauges('reveille_channel_version', "The number of a channel's current version.", ['channel'], () =>
      channels()
        .slice(0, MAX_CHANNELS)
        .flatMap(({ name, current }): Sample[] => (current === undefined ? [] : [[name, current]])),
    );
    declare.gauges(
      'reveille_channel_pins',
      'Nodes that are in the middle of a boot, by channel and version; the newest five that somebody boots.',
      ['channel', 'version'],
      () => {
        const named = channels().slice(0, MAX_CHANNELS).flatMap(pinsOf);
        const others = channels().slice(MAX_CHANNELS);
        if (others.length === 0) return named;
        return [...named, [OTHERS, OTHERS, others.reduce((sum, { pins }) => sum + pins, 0)]];
      },
    );
    const gauge = (name: string, help: string, read: (stats: BootSetStats) => number): void =>
      declare.gauge(name, help, () => withStore(store(), read));
    const counter = (name: string, help: string, read: (stats: BootSetStats) => number): void =>
      declare.counter(name, help, () => withStore(store(), read));
    gauge('reveille_store_versions', 'Versions in the store.', ({ versions }) => versions);
    gauge('reveille_pins', 'Pins remembered, also those that have ended.', ({ pins }) => pins);
    counter('reveille_pins_evicted_total', 'Pins dropped for want of room.', ({ pinsEvicted }) => pinsEvicted);
    counter('reveille_late_pins_total', 'Requests after the end of their pin.', ({ latePins }) => latePins);
    counter('reveille_shared_answers_total', 'Requests from shared networks.', ({ sharedAnswers }) => sharedAnswers);
    counter('reveille_gc_runs_total', 'Garbage collections.', ({ collection }) => collection.runs);
    counter('reveille_gc_failures_total', 'Garbage collections that failed.', ({ collection }) => collection.failures);
    counter('reveille_gc_versions_total', 'Versions collected.', ({ collection }) => collection.versions);
    counter(
      'reveille_gc_freed_bytes_total',
      'Bytes that collections have freed.',
      ({ collection }) => collection.bytes,
    );
  }

  #declareRoutes(declare: Declarations, routes: MetricSources['routes']): void {
    declare.counters('reveille_routed_total', 'Requests that routes have taken, by what came of it.', ['outcome'], () =>
      closed(RENDER_OUTCOMES, routes()?.outcomes),
    );
    declare.counters(
      'reveille_renders_total',
      'Renderings that were run, by the place and the kind of their route in the config, and the result.',
      ['route', 'result'],
      () =>
        [...this.events.routes].flatMap(([route, { results }]) =>
          RENDER_RESULTS.map((result): Sample => [route, result, results[result]]),
        ),
    );
    declare.latencies(
      'reveille_render_duration_seconds',
      'From a request that needs one to the end of its rendering, by the place and the kind of its route.',
      ['route'],
      () => [...this.events.routes].map(([route, { duration }]) => [route, duration.counts()] as const),
    );
    declare.counters('reveille_render_failures_total', 'Configs that could not be made.', ['reason'], () =>
      closed(RENDER_FAILURES, routes()?.failures),
    );
    declare.gauge('reveille_renders_waiting', 'Configs being made, or waiting for it.', () => routes()?.waiting);
    declare.counter(
      'reveille_render_threads_lost_total',
      'Render threads that were ended.',
      () => routes()?.threadsLost,
    );
    declare.gauge('reveille_renders_kept', 'Configs kept for the rest of a boot.', () => routes()?.kept);
    declare.gauge('reveille_renders_kept_bytes', 'Bytes of these.', () => routes()?.keptBytes);
    declare.gauge('reveille_inventory_nodes', 'Nodes of the inventory.', () => routes()?.nodes);
  }
}

function withStore(stats: BootSetStats | undefined, read: (stats: BootSetStats) => number): number | undefined {
  return stats === undefined ? undefined : read(stats);
}

/** The current version is shown also when nobody boots it. */
function pinsOf({ name, current, byVersion }: BootSetStats['channels'][number]): Sample[] {
  const shown = byVersion.slice(0, MAX_VERSIONS);
  const others = byVersion.slice(MAX_VERSIONS);
  const isShown = current === undefined || byVersion.some(({ version }) => version === current);
  return [
    ...(isShown ? [] : [[name, current, 0] as const]),
    ...shown.map(({ version, pins }) => [name, version, pins] as const),
    ...(others.length === 0 ? [] : [[name, OTHERS, others.reduce((sum, { pins }) => sum + pins, 0)] as const]),
  ];
}
