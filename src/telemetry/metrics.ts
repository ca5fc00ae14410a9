/**
 * All metrics of Reveille, in the order of a scrape; each is declared in the file of its area, in this folder. Figures
 * are read when a scrape asks; only requests, transfers and configs are counted as they happen (event-counts.ts). No
 * label ever holds a client or a file, whose number has no limit. Every set of labels is closed, or bounded by the
 * config or by the contents of the store.
 */
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { BufferCacheStats } from '../content/buffer-cache-types.ts';
import type { RoutesStats } from '../render/types.ts';
import type { ServerStats } from '../server/types.ts';
import { declareCache } from './cache-metrics.ts';
import { type DaemonFigures, declareDaemon } from './daemon-metrics.ts';
import { EventCounts } from './event-counts.ts';
import { declareFleet, declareMember } from './fleet-metrics.ts';
import { declareHttp } from './http-metrics.ts';
import { type ConfiguredLimits, declareLimits } from './limit-metrics.ts';
import { Declarations, onceAScrape } from './metric-kinds.ts';
import { declarePackets } from './packet-metrics.ts';
import { declareRequests } from './request-metrics.ts';
import { declareRoutes } from './route-metrics.ts';
import { declareSharedPins } from './shared-pins-metrics.ts';
import { declareStore, type StoreStats } from './store-metrics.ts';
import { declareTransfers } from './transfer-metrics.ts';
import { declareHistory, declareWorkers } from './worker-metrics.ts';

export interface MetricSources extends ConfiguredLimits, DaemonFigures {
  /** undefined while the server has not started. */
  readonly server: () => ServerStats | undefined;
  readonly cache: () => BufferCacheStats;
  /** undefined where no store is served. */
  readonly store: () => StoreStats | undefined;
  /** undefined where there are no routes. */
  readonly routes: () => RoutesStats | undefined;
  readonly workers: number;
  /** Servers before this one, below the same keeper. Default: there is no keeper. */
  readonly history?: () => { readonly deaths: number; readonly upgrades: number };
}

/** Gauges of Node.js with names of counters, which promtool refuses. The same figures by type exist as well. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

export class Metrics {
  readonly registry = new Registry();
  /** Events that are counted as they happen. */
  readonly events = new EventCounts();

  constructor(sources: MetricSources) {
    collectDefaultMetrics({ register: this.registry });
    for (const name of MISNAMED) this.registry.removeSingleMetric(name);
    const declare = new Declarations(this.registry);
    const server = onceAScrape(sources.server);
    declareTransfers(declare, server, this.events);
    declareRequests(declare, server, this.events);
    declarePackets(declare, server);
    declareHttp(declare, server);
    declareWorkers(declare, server, sources.workers);
    declareHistory(declare, sources.history ?? (() => ({ deaths: 0, upgrades: 0 })));
    declareCache(declare, onceAScrape(sources.cache));
    declareLimits(declare, sources);
    declareStore(declare, onceAScrape(sources.store));
    declareFleet(
      declare,
      onceAScrape(() => sources.store()?.fleet),
    );
    declareMember(
      declare,
      onceAScrape(() => sources.store()?.member),
    );
    declareSharedPins(
      declare,
      onceAScrape(() => sources.store()?.sharedPins),
    );
    declareRoutes(declare, onceAScrape(sources.routes), this.events);
    declareDaemon(declare, sources, this.events);
  }
}
