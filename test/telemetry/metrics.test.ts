import { noLosses } from '../../src/pool/figures.ts';
import { describe, expect, it } from 'vitest';
import type { BufferCacheStats } from '../../src/content/buffer-cache-types.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import type { StoreStats } from '../../src/telemetry/store-metrics.ts';
import { noSendErrors } from '../../src/engine/send-errors.ts';
import type { RoutesStats } from '../../src/render/types.ts';
import { OUTCOMES } from '../../src/session/session.ts';
import { FakeServer, refusalRecord, serverStats, transferRecord } from '../support/reveille.ts';

const CACHE: BufferCacheStats = {
  heldBytes: 1,
  idleBytes: 2,
  entries: 3,
  hits: 4,
  misses: 5,
  loads: 6,
  shelvedBytes: 8,
  overBudget: 9,
  evictions: 7,
};

function metricsOf(server: FakeServer | undefined, store?: StoreStats, routes?: RoutesStats): Metrics {
  return new Metrics({
    server: () => server?.stats(),
    cache: () => CACHE,
    cacheBytes: 1000,
    memoryLimitBytes: 2001,
    sessions: 3001,
    store: () => store,
    routes: () => routes,
    suppressedLines: () => ({ refusal: 12 }),
    version: '1.2.3',
    singlePort: false,
    workers: 3,
  });
}

/** Samples of a scrape, by name and labels. */
async function scrape(metrics: Metrics): Promise<Map<string, number>> {
  const text = await metrics.registry.metrics();
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    samples.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

describe('a scrape', () => {
  it('shows the figures of the server and the cache at that moment', async () => {
    const server = new FakeServer();
    const metrics = metricsOf(server);
    for (const factor of [1, 2]) {
      server.current = serverStats({
        transfersActive: 10 * factor,
        transfersQueued: 20 * factor,
        requestsTotal: 30 * factor,
        ignoredTotal: { repeated: 40 * factor },
        malformedTotal: { short: 50 * factor },
        packets: {
          dataSent: 60 * factor,
          dataBytesSent: 70 * factor,
          received: 80 * factor,
          malformed: 90 * factor,
          retransmits: 100 * factor,
          stale: 110 * factor,
          receiveDrops: 140 * factor,
          sendDrops: 150 * factor,
          segmentFallbacks: 160 * factor,
          dataRetransmitted: 170 * factor,
          duplicateAcks: 180 * factor,
          dataReceived: 0,
        },
        requestDropsTotal: 130 * factor,
        workersLostTotal: 120 * factor,
        transfersResumedTotal: 220 * factor,
        transfersLostTotal: { ...noLosses(), engine: 230 * factor, repeated: 240 * factor, stopping: 250 * factor },
        transfersStuck: 190 * factor,
        nodesBooting: 200 * factor,
        sendErrorsTotal: { ...noSendErrors(), ENOBUFS: 210 * factor },
      });
      const samples = await scrape(metrics);
      const shown = Object.fromEntries(
        [...samples].filter(
          ([name, value]) =>
            name.startsWith('reveille_') &&
            name !== 'reveille_cache_budget_bytes' &&
            value >= 10 * factor &&
            value % 10 === 0,
        ),
      );
      expect(shown).toEqual({
        'reveille_transfers_active{protocol="tftp"}': 10 * factor,
        reveille_transfers_queued: 20 * factor,
        'reveille_requests_total{protocol="tftp"}': 30 * factor,
        'reveille_requests_ignored_total{reason="repeated"}': 40 * factor,
        'reveille_requests_malformed_total{reason="short"}': 50 * factor,
        reveille_data_packets_sent_total: 60 * factor,
        'reveille_data_sent_bytes_total{protocol="tftp"}': 70 * factor,
        reveille_packets_received_total: 80 * factor,
        reveille_packets_malformed_total: 90 * factor,
        reveille_retransmits_total: 100 * factor,
        reveille_packets_stale_total: 110 * factor,
        reveille_receive_drops_total: (130 + 140) * factor,
        reveille_send_drops_total: 150 * factor,
        reveille_segment_fallbacks_total: 160 * factor,
        reveille_worker_restarts_total: 120 * factor,
        reveille_transfers_resumed_total: 220 * factor,
        'reveille_transfers_lost_total{reason="engine"}': 230 * factor,
        'reveille_transfers_lost_total{reason="repeated"}': 240 * factor,
        'reveille_transfers_lost_total{reason="stopping"}': 250 * factor,
        reveille_data_packets_retransmitted_total: 170 * factor,
        reveille_duplicate_acks_ignored_total: 180 * factor,
        reveille_transfers_stuck: 190 * factor,
        reveille_nodes_booting: 200 * factor,
        'reveille_send_errors_total{errno="ENOBUFS"}': 210 * factor,
      });
    }
  });

  it('shows the cache, the workers, the version and the lines left out of the log', async () => {
    const samples = await scrape(metricsOf(new FakeServer()));
    expect(samples.get('reveille_cache_held_bytes')).toBe(1);
    expect(samples.get('reveille_cache_idle_bytes')).toBe(2);
    expect(samples.get('reveille_cache_entries')).toBe(3);
    expect(samples.get('reveille_cache_hits_total')).toBe(4);
    expect(samples.get('reveille_cache_misses_total')).toBe(5);
    expect(samples.get('reveille_cache_loads_total')).toBe(6);
    expect(samples.get('reveille_cache_evictions_total')).toBe(7);
    expect(samples.get('reveille_workers')).toBe(3);
    expect(samples.get('reveille_log_lines_suppressed_total{kind="refusal"}')).toBe(12);
    expect(samples.get(`reveille_build_info{version="1.2.3",node="${process.versions.node}"}`)).toBe(1);
    expect(samples.get('reveille_single_port')).toBe(0);
    expect(samples.get('process_start_time_seconds')).toBeGreaterThan(0);
  });

  it('shows the figures of HTTP, and what of the sums is which protocol', async () => {
    const server = new FakeServer();
    const off = await scrape(metricsOf(server));
    const { packets } = serverStats();
    server.current = serverStats({
      transfersActive: 12,
      requestsTotal: 25,
      packets: { ...packets, dataBytesSent: 70 },
      http: {
        connections: 1,
        connectionsLimit: 10,
        waiting: 2,
        sending: 3,
        requestsTotal: 4,
        sentBytesTotal: 5,
        malformedTotal: 6,
        refusedTotal: 7,
        overloadedTotal: 8,
        threadsLostTotal: 9,
      },
    });
    const samples = await scrape(metricsOf(server));
    const changed = [...samples].filter(([name, value]) => name.startsWith('reveille_') && off.get(name) !== value);
    expect(Object.fromEntries(changed)).toEqual({
      'reveille_transfers_active{protocol="tftp"}': 9,
      'reveille_transfers_active{protocol="http"}': 3,
      'reveille_requests_total{protocol="tftp"}': 21,
      'reveille_requests_total{protocol="http"}': 4,
      'reveille_data_sent_bytes_total{protocol="tftp"}': 70,
      'reveille_data_sent_bytes_total{protocol="http"}': 5,
      reveille_http_connections: 1,
      reveille_http_connections_limit: 10,
      reveille_http_requests_waiting: 2,
      reveille_http_malformed_total: 6,
      reveille_http_connections_refused_total: 7,
      reveille_http_overloaded_total: 8,
      reveille_http_threads_lost_total: 9,
    });
  });

  it('counts the events of HTTP apart, with the statuses of its refusals', async () => {
    const metrics = metricsOf(new FakeServer());
    const record = transferRecord({ protocol: 'http', durationMs: 500, waitedMs: 250 });
    metrics.events.start(record);
    metrics.events.transfer(record);
    for (const code of [404, 404, 400]) metrics.events.refusal(refusalRecord({ protocol: 'http', code }));
    metrics.events.refusal(refusalRecord({ protocol: 'http', kind: 'write', code: 405 }));
    const before = await scrape(metricsOf(new FakeServer()));
    const samples = await scrape(metrics);
    const changed = [...samples].filter(([name, value]) => name.startsWith('reveille_') && before.get(name) !== value);
    expect(Object.fromEntries(changed.filter(([name]) => !name.includes('_bucket{')))).toEqual({
      'reveille_transfers_started_total{origin="file",protocol="http"}': 1,
      'reveille_transfers_total{outcome="complete",origin="file",protocol="http"}': 1,
      'reveille_refusals_total{reason="not_found",code="404",protocol="http"}': 2,
      'reveille_refusals_total{reason="not_found",code="400",protocol="http"}': 1,
      'reveille_refusals_total{reason="write",code="405",protocol="http"}': 1,
      'reveille_transfer_duration_seconds_sum{protocol="http"}': 0.5,
      'reveille_transfer_duration_seconds_count{protocol="http"}': 1,
      'reveille_transfer_wait_seconds_sum{protocol="http"}': 0.25,
      'reveille_transfer_wait_seconds_count{protocol="http"}': 1,
    });
    expect([...samples.keys()]).toEqual([...before.keys()]);
  });

  it('counts transfers by outcome, and times those that ended well', async () => {
    const metrics = metricsOf(new FakeServer());
    for (const outcome of OUTCOMES) {
      const record = transferRecord({ outcome, origin: 'bootSet', durationMs: 250, waitedMs: 1000, queuedMs: 600 });
      metrics.events.start(record);
      metrics.events.transfer(record);
    }
    const samples = await scrape(metrics);
    for (const outcome of OUTCOMES) {
      expect(samples.get(`reveille_transfers_total{outcome="${outcome}",origin="bootSet",protocol="tftp"}`)).toBe(1);
      expect(samples.get(`reveille_transfers_total{outcome="${outcome}",origin="file",protocol="tftp"}`)).toBe(0);
    }
    expect(samples.get('reveille_transfers_started_total{origin="bootSet",protocol="tftp"}')).toBe(OUTCOMES.length);
    expect(samples.get('reveille_transfers_started_total{origin="rendered",protocol="tftp"}')).toBe(0);
    expect(samples.get('reveille_queue_wait_seconds_sum')).toBeCloseTo(0.6 * OUTCOMES.length);
    expect(samples.get('reveille_transfer_duration_seconds_count{protocol="tftp"}')).toBe(2);
    expect(samples.get('reveille_transfer_duration_seconds_sum{protocol="tftp"}')).toBeCloseTo(0.5);
    expect(samples.get('reveille_transfer_wait_seconds_sum{protocol="tftp"}')).toBeCloseTo(OUTCOMES.length);
  });

  it('counts refusals by reason and code, and warnings', async () => {
    const metrics = metricsOf(new FakeServer());
    metrics.events.refusal(refusalRecord({ kind: 'write', code: 2 }));
    metrics.events.warning();
    const samples = await scrape(metrics);
    expect(samples.get('reveille_refusals_total{reason="write",code="2",protocol="tftp"}')).toBe(1);
    expect(samples.get('reveille_refusals_total{reason="access",code="2",protocol="tftp"}')).toBe(0);
    expect(samples.get('reveille_refusals_total{reason="not_found",code="1",protocol="tftp"}')).toBe(0);
    expect(samples.get('reveille_warnings_total')).toBe(1);
  });

  it('shows the limits, and whether the config on disk is in use', async () => {
    const metrics = metricsOf(new FakeServer());
    const samples = await scrape(metrics);
    expect(
      ['cache_budget_bytes', 'memory_limit_bytes', 'sessions_limit'].map((name) => samples.get(`reveille_${name}`)),
    ).toEqual([1000, 2001, 3001]);
    expect(samples.get('reveille_config_reload_ok')).toBe(1);
    metrics.events.reload('failed');
    expect((await scrape(metrics)).get('reveille_config_reload_ok')).toBe(0);
    metrics.events.reload('ok');
    expect((await scrape(metrics)).get('reveille_config_reload_ok')).toBe(1);
  });

  it('works before the server has started', async () => {
    const samples = await scrape(metricsOf(undefined));
    expect(samples.get('reveille_transfers_active{protocol="tftp"}')).toBe(0);
  });

  it('never names a client or a file', async () => {
    const metrics = metricsOf(new FakeServer());
    metrics.events.transfer(transferRecord({ file: 'secret-name' }));
    metrics.events.refusal(refusalRecord({ filename: 'secret-name' }));
    const text = await metrics.registry.metrics();
    expect(text).not.toMatch(/secret-name|192\.0\.2\.7|2001:db8/);
  });

  it('uses names that Prometheus and its conventions accept', async () => {
    const families = await metricsOf(new FakeServer()).registry.getMetricsAsJSON();
    const own = families.filter(({ name }) => name.startsWith('reveille_'));
    expect(own.length).toBeGreaterThan(20);
    for (const { name, type } of own) {
      expect(name).toMatch(/^reveille_[a-z_]+$/);
      expect(name).not.toMatch(/_(ms|kib|mib|percent)(_|$)/);
      // prom-client gives the type as a word here, whatever its typings say.
      expect(`${name} ${String(type)}`).toMatch(/^\w+_total counter$|^\w+(?<!_total) (?:gauge|histogram)$/);
    }
    const misnamed = families.filter(({ name, type }) => name.endsWith('_total') && String(type) !== 'counter');
    expect(misnamed.map(({ name }) => name)).toEqual([]);
  });
});

describe('of a store', () => {
  const stats = (count: number): StoreStats => ({
    channels: Array.from({ length: count }, (_, index) => ({
      name: `rack${index}`,
      current: index === 1 ? undefined : index + 1,
      pins: 2,
      byVersion: [{ version: index + 1, pins: 2 }],
    })),
    versions: 11,
    pins: 12,
    provisionalPins: 20,
    pinsEvicted: 13,
    latePins: 14,
    sharedAnswers: 15,
    collection: { runs: 16, failures: 17, versions: 18, bytes: 19 },
  });

  it('shows channels, pins and collections', async () => {
    const samples = await scrape(metricsOf(undefined, stats(2)));
    expect(samples.get('reveille_channel_version{channel="rack0"}')).toBe(1);
    expect(samples.has('reveille_channel_version{channel="rack1"}')).toBe(false);
    expect(samples.get('reveille_channel_pins{channel="rack1",version="2"}')).toBe(2);
    expect(
      ['store_versions', 'pins', 'pins_evicted_total', 'late_pins_total', 'shared_answers_total'].map((name) =>
        samples.get(`reveille_${name}`),
      ),
    ).toEqual([11, 12, 13, 14, 15]);
    expect(
      ['runs', 'failures', 'versions', 'freed_bytes'].map((name) => samples.get(`reveille_gc_${name}_total`)),
    ).toEqual([16, 17, 18, 19]);
    expect(samples.get('reveille_cache_shelved_bytes')).toBe(8);
    expect(samples.get('reveille_cache_over_budget_total')).toBe(9);
  });

  it('has labels for a hundred channels, and one for all others', async () => {
    const samples = await scrape(metricsOf(undefined, stats(150)));
    const labels = [...samples.keys()].filter((name) => name.startsWith('reveille_channel_pins'));
    expect(labels).toHaveLength(101);
    expect(samples.get('reveille_channel_pins{channel="(others)",version="(others)"}')).toBe(100);
  });

  it('shows what routes have done', async () => {
    const metrics = metricsOf(new FakeServer(), undefined, {
      outcomes: { rendered: 1, shared: 2, stale: 3, notMine: 4, refused: 5, empty: 6, rewritten: 7 },
      failures: {
        failed: 1,
        timeout: 2,
        tooLarge: 3,
        upstream: 4,
        crashed: 5,
        queueFull: 6,
        strangers: 8,
        noBootSet: 7,
      },
      waiting: 8,
      threadsLost: 9,
      kept: 10,
      keptBytes: 11,
      nodes: 12,
      reloads: 13,
    });
    metrics.events.setRoutes([
      { match: 'a', template: 'a.liquid' },
      { match: 'b', empty: true },
      { match: 'c', handler: 'c.mjs' },
    ]);
    metrics.events.render({ route: 1, kind: 'template', result: 'rendered', durationMs: 20 });
    metrics.events.render({ route: 3, kind: 'handler', result: 'failed', durationMs: 700 });
    metrics.events.reload('ok');
    metrics.events.reload('failed');
    metrics.events.reload('failed');
    const samples = await scrape(metrics);
    expect(
      Object.fromEntries(
        [...samples].filter(
          ([name, value]) => /render|route|reload|inventory/.test(name) && !/bucket/.test(name) && value > 0,
        ),
      ),
    ).toEqual({
      'reveille_routed_total{outcome="rendered"}': 1,
      'reveille_routed_total{outcome="shared"}': 2,
      'reveille_routed_total{outcome="stale"}': 3,
      'reveille_routed_total{outcome="notMine"}': 4,
      'reveille_routed_total{outcome="refused"}': 5,
      'reveille_routed_total{outcome="empty"}': 6,
      'reveille_routed_total{outcome="rewritten"}': 7,
      'reveille_render_failures_total{reason="failed"}': 1,
      'reveille_render_failures_total{reason="timeout"}': 2,
      'reveille_render_failures_total{reason="tooLarge"}': 3,
      'reveille_render_failures_total{reason="upstream"}': 4,
      'reveille_render_failures_total{reason="crashed"}': 5,
      'reveille_render_failures_total{reason="queueFull"}': 6,
      'reveille_render_failures_total{reason="strangers"}': 8,
      'reveille_render_failures_total{reason="noBootSet"}': 7,
      reveille_renders_waiting: 8,
      reveille_render_threads_lost_total: 9,
      reveille_renders_kept: 10,
      reveille_renders_kept_bytes: 11,
      reveille_inventory_nodes: 12,
      'reveille_renders_total{route="1:template",result="rendered"}': 1,
      'reveille_renders_total{route="3:handler",result="failed"}': 1,
      'reveille_render_duration_seconds_sum{route="1:template"}': 0.02,
      'reveille_render_duration_seconds_count{route="1:template"}': 1,
      'reveille_render_duration_seconds_sum{route="3:handler"}': 0.7,
      'reveille_render_duration_seconds_count{route="3:handler"}': 1,
      'reveille_reloads_total{result="ok"}': 1,
      'reveille_reloads_total{result="failed"}': 2,
    });
  });
});
