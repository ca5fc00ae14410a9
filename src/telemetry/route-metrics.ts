/**
 * Metrics of routes: the outcomes of requests that they took, and the cost of rendering. Knows no node and no config.
 */
import { RENDER_FAILURES, RENDER_OUTCOMES, type RoutesStats } from '../render/types.ts';
import { type EventCounts, RENDER_RESULTS } from './event-counts.ts';
import { closed, type Declarations, type Sample } from './metric-kinds.ts';

export function declareRoutes(declare: Declarations, routes: () => RoutesStats | undefined, events: EventCounts): void {
  declare.counters('reveille_routed_total', 'Requests that routes handled, by outcome.', ['outcome'], () =>
    closed(RENDER_OUTCOMES, routes()?.outcomes),
  );
  declare.counters(
    'reveille_renders_total',
    'Renderings, by route (its place in the config and its kind) and result.',
    ['route', 'result'],
    () =>
      [...events.routes].flatMap(([route, { results }]) =>
        RENDER_RESULTS.map((result): Sample => [route, result, results[result]]),
      ),
  );
  declare.latencies(
    'reveille_render_duration_seconds',
    'Duration of renderings, including the wait, by route.',
    ['route'],
    () => [...events.routes].map(([route, { duration }]) => [route, duration.counts()] as const),
  );
  declare.counters('reveille_render_failures_total', 'Configs that could not be rendered, by reason.', ['reason'], () =>
    closed(RENDER_FAILURES, routes()?.failures),
  );
  declare.gauge(
    'reveille_renders_waiting',
    'Configs being rendered or waiting to be rendered.',
    () => routes()?.waiting,
  );
  declare.counter(
    'reveille_render_threads_lost_total',
    'Render threads that died, or that the server ended because they hung.',
    () => routes()?.threadsLost,
  );
  declare.gauge('reveille_renders_kept', 'Configs kept for the rest of a boot.', () => routes()?.kept);
  declare.gauge(
    'reveille_renders_kept_bytes',
    'Bytes of the configs kept for the rest of a boot.',
    () => routes()?.keptBytes,
  );
  declare.gauge('reveille_inventory_nodes', 'Nodes of the inventory.', () => routes()?.nodes);
}
