/**
 * Metrics of routes: the outcomes of requests that they took, and the cost of rendering. Knows no node and no config.
 */
import { RENDER_FAILURES, RENDER_OUTCOMES, type RoutesStats } from '../render/types.ts';
import { type EventCounts, RENDER_RESULTS } from './event-counts.ts';
import { closed, type Declarations, type Sample } from './metric-kinds.ts';

export function declareRoutes(declare: Declarations, routes: () => RoutesStats | undefined, events: EventCounts): void {
  declare.counters('reveille_routed_total', 'Requests that routes have taken, by what came of it.', ['outcome'], () =>
    closed(RENDER_OUTCOMES, routes()?.outcomes),
  );
  declare.counters(
    'reveille_renders_total',
    'Renderings that were run, by the place and the kind of their route in the config, and the result.',
    ['route', 'result'],
    () =>
      [...events.routes].flatMap(([route, { results }]) =>
        RENDER_RESULTS.map((result): Sample => [route, result, results[result]]),
      ),
  );
  declare.latencies(
    'reveille_render_duration_seconds',
    'From a request that needs one to the end of its rendering, by the place and the kind of its route.',
    ['route'],
    () => [...events.routes].map(([route, { duration }]) => [route, duration.counts()] as const),
  );
  declare.counters('reveille_render_failures_total', 'Configs that could not be made.', ['reason'], () =>
    closed(RENDER_FAILURES, routes()?.failures),
  );
  declare.gauge('reveille_renders_waiting', 'Configs being made, or waiting for it.', () => routes()?.waiting);
  declare.counter('reveille_render_threads_lost_total', 'Render threads that were ended.', () => routes()?.threadsLost);
  declare.gauge('reveille_renders_kept', 'Configs kept for the rest of a boot.', () => routes()?.kept);
  declare.gauge('reveille_renders_kept_bytes', 'Bytes of these.', () => routes()?.keptBytes);
  declare.gauge('reveille_inventory_nodes', 'Nodes of the inventory.', () => routes()?.nodes);
}
