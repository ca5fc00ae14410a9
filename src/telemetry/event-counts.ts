/**
 * What is counted as it happens: requests, transfers and configs, in plain cells that cost next to nothing. Knows closed sets
 * of names; not what the metrics are called that come of it.
 */
import { ORIGINS } from '../content/types.ts';
import { LatencyHistogram } from '../engine/latencies.ts';
import type { RenderRecord, RouteConfig } from '../render/types.ts';
import { REFUSALS, type RefusalRecord, type StartRecord, type TransferRecord } from '../server/types.ts';
import { OUTCOMES } from '../session/session.ts';
import { RELOAD_RESULTS } from '../config/live-config.ts';

/** Routes that have labels of their own. */
const MAX_ROUTES = 100;
/** What the others are called together: no channel, version or route can be. */
export const OTHERS = '(others)';

/** From a config of some bytes on a quiet network to an initrd in lockstep on a busy one. */
const DURATION_MS = [1, 5, 25, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000];
const RENDER_MS = DURATION_MS.filter((ms) => ms <= 30_000);

/** Kinds of routes whose answers have to be made. */
const RENDERING_KINDS = ['template', 'handler', 'upstream'] as const;
export const RENDER_RESULTS = ['rendered', 'notMine', 'failed'] as const;

/** What is counted of one route. */
class RouteFigures {
  readonly results = zeros(RENDER_RESULTS);
  readonly duration = new LatencyHistogram(RENDER_MS);
}

function zeros<T extends string>(names: readonly T[]): Record<T, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<T, number>;
}

function routeLabel(place: number, kind: string): string {
  return place > MAX_ROUTES ? OTHERS : `${place}:${kind}`;
}

export class EventCounts {
  readonly started = zeros(ORIGINS);
  readonly ended = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, zeros(ORIGINS)])) as Record<
    (typeof OUTCOMES)[number],
    Record<(typeof ORIGINS)[number], number>
  >;
  readonly refusals = zeros(REFUSALS);
  readonly reloads = zeros(RELOAD_RESULTS);
  /** 0 while the config on disk is not the one that serves. */
  reloadOk: 0 | 1 = 1;
  readonly duration = new LatencyHistogram(DURATION_MS);
  readonly waited = new LatencyHistogram(DURATION_MS);
  readonly queued = new LatencyHistogram(DURATION_MS);
  /** By label; as the config has them. */
  routes = new Map<string, RouteFigures>();
  warnings = 0;

  start(record: StartRecord): void {
    this.started[record.origin]++;
    this.waited.observe(record.waitedMs, 1);
    this.queued.observe(record.queuedMs, 1);
  }

  transfer({ outcome, origin, durationMs }: TransferRecord): void {
    this.ended[outcome][origin]++;
    if (outcome === 'complete' || outcome === 'completeUnconfirmed') this.duration.observe(durationMs, 1);
  }

  refusal({ kind }: RefusalRecord): void {
    this.refusals[kind]++;
  }

  reload(result: (typeof RELOAD_RESULTS)[number]): void {
    this.reloads[result]++;
    this.reloadOk = result === 'ok' ? 1 : 0;
  }

  /** The routes as they are from now on: what is counted of those that keep their place and kind stays. */
  setRoutes(routes: readonly RouteConfig[]): void {
    const labels = routes.flatMap((route, index) => {
      const kind = RENDERING_KINDS.find((one) => route[one] !== undefined);
      return kind === undefined ? [] : [routeLabel(index + 1, kind)];
    });
    this.routes = new Map(labels.map((label) => [label, this.routes.get(label) ?? new RouteFigures()]));
  }

  render({ route, kind, result, durationMs }: RenderRecord): void {
    // One that was begun before a reload may be of a route that is no more.
    const figures = this.routes.get(routeLabel(route, kind));
    if (figures === undefined) return;
    figures.results[result]++;
    figures.duration.observe(durationMs, 1);
  }

  warning(): void {
    this.warnings++;
  }
}
