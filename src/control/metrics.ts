/**
 * Every metric Reveille has, declared here and nowhere else. Figures are pulled when a scrape asks; only finished
 * transfers and refusals are counted as they happen. No label ever holds a client or a file: there is no end of them.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { ERROR_CODE } from '../protocol/opcode.ts';
import type { RefusalRecord, ServerStats, TransferRecord } from '../server/types.ts';
import type { RenderRecord, RoutesStats } from '../render/types.ts';
import { OUTCOMES } from '../session/session.ts';
import { RELOAD_RESULTS } from './live-config.ts';

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
  readonly channels: readonly { readonly name: string; readonly current: number | undefined; readonly pins: number }[];
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
const CHANNELS_MAX = 100;
/** What the others are called: no channel can be. */
const OTHERS = '(others)';

export interface MetricSources {
  /** undefined while the server has not started. */
  readonly server: () => ServerStats | undefined;
  readonly cache: () => CacheStats;
  /** undefined where no store is served. */
  readonly store: () => BootSetStats | undefined;
  /** undefined where there are no routes. */
  readonly routes: () => RoutesStats | undefined;
  /** Log lines left out, by kind. */
  readonly suppressedLines: () => Readonly<Record<string, number>>;
  readonly version: string;
  readonly workers: number;
}

/** From a config of some bytes on a quiet network to an initrd in lockstep on a busy one, in seconds. */
const DURATION_BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

/** Counting pins looks at all of them: a scrape does that once, for all metrics that come of it. */
function onceAScrape<T>(read: () => T): () => T {
  let known: { readonly value: T } | undefined;
  return () => {
    if (known === undefined) {
      known = { value: read() };
      setImmediate(() => {
        known = undefined;
      });
    }
    return known.value;
  };
}

/** Kinds of routes whose answers have to be made. */
const RENDERING_KINDS = ['template', 'handler', 'upstream'] as const;
const RENDER_RESULTS = ['rendered', 'notMine', 'failed'] as const;

export class Metrics {
  readonly registry = new Registry();
  readonly #transfers: Counter<'outcome'>;
  readonly #refusals: Counter<'code'>;
  readonly #warnings: Counter;
  readonly #reloads: Counter<'result'>;
  readonly #renders: Counter<'kind' | 'result'>;
  readonly #renderDuration: Histogram<'kind'>;
  readonly #duration: Histogram;
  readonly #waited: Histogram;

  constructor(sources: MetricSources) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });

    this.#transfers = new Counter({
      name: 'reveille_transfers_total',
      help: 'Finished transfers by outcome. complete, completeUnconfirmed and probe are no failures.',
      labelNames: ['outcome'],
      registers,
    });
    for (const outcome of OUTCOMES) this.#transfers.inc({ outcome }, 0);
    this.#refusals = new Counter({
      name: 'reveille_refusals_total',
      help: 'Requests answered with an ERROR, by TFTP error code.',
      labelNames: ['code'],
      registers,
    });
    for (const code of Object.values(ERROR_CODE)) this.#refusals.inc({ code }, 0);
    this.#warnings = new Counter({
      name: 'reveille_warnings_total',
      help: 'Warnings, whether or not the log had room for them.',
      registers,
    });
    this.#reloads = new Counter({
      name: 'reveille_reloads_total',
      help: 'Times that the config was read anew, by result. After a failed one the former config goes on.',
      labelNames: ['result'],
      registers,
    });
    for (const result of RELOAD_RESULTS) this.#reloads.inc({ result }, 0);
    this.#renders = new Counter({
      name: 'reveille_renders_total',
      help: 'Renderings that were run, by kind of route and result.',
      labelNames: ['kind', 'result'],
      registers,
    });
    this.#renderDuration = new Histogram({
      name: 'reveille_render_duration_seconds',
      help: 'From a request that needs one to the end of its rendering, by kind of route.',
      labelNames: ['kind'],
      buckets: DURATION_BUCKETS.filter((seconds) => seconds <= 30),
      registers,
    });
    for (const kind of RENDERING_KINDS) {
      for (const result of RENDER_RESULTS) this.#renders.inc({ kind, result }, 0);
      this.#renderDuration.zero({ kind });
    }
    this.#duration = new Histogram({
      name: 'reveille_transfer_duration_seconds',
      help: 'First to last packet of transfers that ended well (complete, completeUnconfirmed).',
      buckets: DURATION_BUCKETS,
      registers,
    });
    this.#waited = new Histogram({
      name: 'reveille_transfer_wait_seconds',
      help: 'From the first request to a worker taking the transfer: finding the file and waiting for a session.',
      buckets: DURATION_BUCKETS,
      registers,
    });

    const { cache, server } = sources;
    const gauge = (name: string, help: string, read: () => number | undefined): void => {
      this.registry.registerMetric(
        new Gauge({
          name,
          help,
          registers: [],
          collect() {
            this.set(read() ?? 0);
          },
        }),
      );
    };
    const counter = (name: string, help: string, read: () => number | undefined): void => {
      this.registry.registerMetric(
        new Counter({
          name,
          help,
          registers: [],
          collect() {
            this.reset();
            this.inc(read() ?? 0);
          },
        }),
      );
    };
    const counters = (
      name: string,
      help: string,
      label: string,
      read: () => Readonly<Record<string, number>> | undefined,
    ): void => {
      this.registry.registerMetric(
        new Counter({
          name,
          help,
          labelNames: [label],
          registers: [],
          collect() {
            this.reset();
            for (const [value, count] of Object.entries(read() ?? {})) this.inc({ [label]: value }, count);
          },
        }),
      );
    };

    gauge('reveille_transfers_active', 'Transfers running now.', () => server()?.transfersActive);
    gauge('reveille_transfers_queued', 'Requests waiting for a session.', () => server()?.transfersQueued);
    gauge('reveille_workers', 'Worker threads configured.', () => sources.workers);
    counter('reveille_workers_lost_total', 'Workers that died.', () => server()?.workersLostTotal);
    counter('reveille_requests_total', 'Requests received.', () => server()?.requestsTotal);
    counters('reveille_requests_ignored_total', 'Requests not acted on.', 'reason', () => server()?.ignoredTotal);
    counters(
      'reveille_requests_malformed_total',
      'Datagrams at the listening port that are no request.',
      'reason',
      () => server()?.malformedTotal,
    );

    counter('reveille_data_packets_sent_total', 'DATA packets sent.', () => server()?.packets.dataSent);
    counter('reveille_data_sent_bytes_total', 'Payload of DATA packets sent.', () => server()?.packets.dataBytesSent);
    counter('reveille_packets_received_total', 'Packets received in transfers.', () => server()?.packets.received);
    counter(
      'reveille_packets_malformed_total',
      'Datagrams received in transfers that are no packet.',
      () => server()?.packets.malformed,
    );
    counter('reveille_retransmits_total', 'Packets sent again.', () => server()?.packets.retransmits);
    counter(
      'reveille_receive_drops_total',
      'Datagrams lost to full receive buffers, at listening ports and in transfers (linux engine).',
      () => (server()?.requestDropsTotal ?? 0) + (server()?.packets.receiveDrops ?? 0),
    );
    counter(
      'reveille_send_drops_total',
      'Datagrams the kernel would not take (linux engine).',
      () => server()?.packets.sendDrops,
    );
    counter(
      'reveille_segment_fallbacks_total',
      'Batches that had to leave packet by packet (linux engine).',
      () => server()?.packets.segmentFallbacks,
    );
    counter('reveille_packets_stale_total', 'Packets that advanced nothing.', () => server()?.packets.stale);

    gauge('reveille_cache_held_bytes', 'Contents that transfers are reading.', () => cache().heldBytes);
    gauge('reveille_cache_idle_bytes', 'Contents kept for the next transfer.', () => cache().idleBytes);
    gauge('reveille_cache_entries', 'Contents in memory, held and idle.', () => cache().entries);
    counter('reveille_cache_hits_total', 'Opens answered from memory.', () => cache().hits);
    counter('reveille_cache_misses_total', 'Opens that memory could not answer.', () => cache().misses);
    counter('reveille_cache_loads_total', 'Files read from disk.', () => cache().loads);
    counter('reveille_cache_evictions_total', 'Idle contents dropped for want of room.', () => cache().evictions);

    gauge('reveille_cache_shelved_bytes', 'Contents kept for boots to come.', () => cache().shelvedBytes);
    counter(
      'reveille_cache_over_budget_total',
      'Times that contents in use came to exceed the budget.',
      () => cache().overBudget,
    );

    this.#declareStore(onceAScrape(sources.store), gauge, counter);
    const { routes } = sources;
    counters(
      'reveille_routed_total',
      'Requests that routes have taken, by what came of it.',
      'outcome',
      () => routes()?.outcomes,
    );
    counters('reveille_render_failures_total', 'Configs that could not be made.', 'reason', () => routes()?.failures);
    gauge('reveille_renders_waiting', 'Configs being made, or waiting for it.', () => routes()?.waiting);
    counter('reveille_render_threads_lost_total', 'Render threads that were ended.', () => routes()?.threadsLost);
    gauge('reveille_renders_kept', 'Configs kept for the rest of a boot.', () => routes()?.kept);
    gauge('reveille_renders_kept_bytes', 'Bytes of these.', () => routes()?.keptBytes);
    gauge('reveille_inventory_nodes', 'Nodes of the inventory.', () => routes()?.nodes);

    counters(
      'reveille_log_lines_suppressed_total',
      'Log lines left out because too many came.',
      'kind',
      sources.suppressedLines,
    );
    new Gauge({
      name: 'reveille_build_info',
      help: 'Always 1; the labels say what is running.',
      labelNames: ['version', 'node'],
      registers,
    }).set({ version: sources.version, node: process.versions.node }, 1);
  }

  #declareStore(
    store: MetricSources['store'],
    gauge: (name: string, help: string, read: () => number | undefined) => void,
    counter: (name: string, help: string, read: () => number | undefined) => void,
  ): void {
    const byChannel = (name: string, help: string, read: () => Iterable<readonly [string, number]>): void => {
      this.registry.registerMetric(
        new Gauge({
          name,
          help,
          labelNames: ['channel'],
          registers: [],
          collect() {
            this.reset();
            for (const [channel, value] of read()) this.set({ channel }, value);
          },
        }),
      );
    };
    byChannel('reveille_channel_version', "The number of a channel's current version.", () =>
      (store()?.channels.slice(0, CHANNELS_MAX) ?? []).flatMap(({ name, current }) =>
        current === undefined ? [] : [[name, current] as const],
      ),
    );
    byChannel('reveille_channel_pins', 'Nodes that are in the middle of a boot, by channel.', () => {
      const channels = store()?.channels ?? [];
      const others = channels.slice(CHANNELS_MAX).reduce((sum, { pins }) => sum + pins, 0);
      const named = channels.slice(0, CHANNELS_MAX).map(({ name, pins }) => [name, pins] as const);
      return channels.length > CHANNELS_MAX ? [...named, [OTHERS, others] as const] : named;
    });
    gauge('reveille_store_versions', 'Versions in the store.', () => store()?.versions);
    gauge('reveille_pins', 'Pins remembered, also those that have ended.', () => store()?.pins);
    counter('reveille_pins_evicted_total', 'Pins dropped for want of room.', () => store()?.pinsEvicted);
    counter('reveille_late_pins_total', 'Requests after the end of their pin.', () => store()?.latePins);
    counter('reveille_shared_answers_total', 'Requests from shared networks.', () => store()?.sharedAnswers);
    counter('reveille_gc_runs_total', 'Garbage collections.', () => store()?.collection.runs);
    counter('reveille_gc_failures_total', 'Garbage collections that failed.', () => store()?.collection.failures);
    counter('reveille_gc_versions_total', 'Versions collected.', () => store()?.collection.versions);
    counter('reveille_gc_freed_bytes_total', 'Bytes that collections have freed.', () => store()?.collection.bytes);
  }

  transfer(record: TransferRecord): void {
    this.#transfers.inc({ outcome: record.outcome });
    this.#waited.observe(record.waitedMs / 1000);
    if (record.outcome === 'complete' || record.outcome === 'completeUnconfirmed') {
      this.#duration.observe(record.durationMs / 1000);
    }
  }

  refusal(record: RefusalRecord): void {
    this.#refusals.inc({ code: record.code });
  }

  reload(result: (typeof RELOAD_RESULTS)[number]): void {
    this.#reloads.inc({ result });
  }

  render({ kind, result, durationMs }: RenderRecord): void {
    this.#renders.inc({ kind, result });
    this.#renderDuration.observe({ kind }, durationMs / 1000);
  }

  warning(): void {
    this.#warnings.inc();
  }
}
