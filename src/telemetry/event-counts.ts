/**
 * Counts of events as they happen: requests, transfers and configs, in plain cells that cost next to nothing. Knows
 * closed sets of names, but not the metrics that show the counts.
 */
import { ORIGINS } from '../content/types.ts';
import { LatencyHistogram } from '../engine/latencies.ts';
import type { RenderRecord, RouteConfig } from '../render/types.ts';
import { REFUSALS, type RefusalRecord, type StartRecord, type TransferRecord } from '../server/types.ts';
import { OUTCOMES } from '../session/session.ts';
import { RELOAD_RESULTS } from '../config/live-config.ts';

/**
 * Maximum number of routes with a label of their own.
 * @limit Routes that have a label of their own. Shows: the others share one label in `reveille_renders_total`.
 */
const MAX_ROUTES = 100;
/** The common label of all others: no channel, version or route can have this name. */
export const OTHERS = '(others)';

/** Bounds that range from a config of some bytes on a quiet network to an initrd in lockstep on a busy one. */
const DURATION_MS = [1, 5, 25, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000];
const RENDER_MS = DURATION_MS.filter((ms) => ms <= 30_000);

/** Kinds of routes whose answers have to be made. */
const RENDERING_KINDS = ['template', 'handler', 'upstream'] as const;
export const RENDER_RESULTS = ['rendered', 'notMine', 'failed'] as const;

/** Counts of one route. */
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
  /** 0 while the server runs with an older config than the one on disk. */
  reloadOk: 0 | 1 = 1;
  readonly duration = new LatencyHistogram(DURATION_MS);
  readonly waited = new LatencyHistogram(DURATION_MS);
  readonly queued = new LatencyHistogram(DURATION_MS);
  /** The routes by label, in the order of the config. */
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

  /** Takes over new routes: a route that keeps its place and kind also keeps its counts. */
  setRoutes(routes: readonly RouteConfig[]): void {
    const labels = routes.flatMap((route, index) => {
      const kind = RENDERING_KINDS.find((one) => route[one] !== undefined);
      return kind === undefined ? [] : [routeLabel(index + 1, kind)];
    });
    this.routes = new Map(labels.map((label) => [label, this.routes.get(label) ?? new RouteFigures()]));
  }

  render({ route, kind, result, durationMs }: RenderRecord): void {
    // A rendering that began before a reload may belong to a route that no longer exists.
    const figures = this.routes.get(routeLabel(route, kind));
    if (figures === undefined) return;
    figures.results[result]++;
    figures.duration.observe(durationMs, 1);
  }

  warning(): void {
    this.warnings++;
  }
}
