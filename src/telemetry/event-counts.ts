/**
 * Counts of events as they happen: requests, transfers and configs, in plain cells that cost next to nothing. Knows
 * closed sets of names, but not the metrics that show the counts.
 */
import { ORIGINS } from '../content/types.ts';
import { LatencyHistogram } from '../engine/latencies.ts';
import type { RenderRecord, RouteConfig } from '../render/types.ts';
import {
  PROTOCOLS,
  type Protocol,
  type Refusal,
  REFUSAL_CODES,
  REFUSALS,
  type RefusalRecord,
  type StartRecord,
  type TransferRecord,
} from '../server/types.ts';
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

/** The statuses of HTTP for each refusal. */
const REFUSAL_STATUSES: Readonly<Record<Refusal, readonly number[]>> = {
  not_found: [404, 400],
  access: [403],
  too_large: [403],
  write: [405],
  mode: [],
  route: [403],
  render: [403],
};

function zeros<T extends string>(names: readonly T[]): Record<T, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<T, number>;
}

function routeLabel(place: number, kind: string): string {
  return place > MAX_ROUTES ? OTHERS : `${place}:${kind}`;
}

function forEach<T extends string, V>(names: readonly T[], make: (name: T) => V): Readonly<Record<T, V>> {
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<T, V>;
}

/** Counts of one protocol. */
class ProtocolFigures {
  readonly started = zeros(ORIGINS);
  readonly ended = forEach(OUTCOMES, () => zeros(ORIGINS));
  /** By reason, and then by the code of the answer: a closed set. */
  readonly refusals: Readonly<Record<Refusal, Map<number, number>>>;
  readonly duration = new LatencyHistogram(DURATION_MS);
  readonly waited = new LatencyHistogram(DURATION_MS);

  constructor(protocol: Protocol) {
    this.refusals = forEach(REFUSALS, (kind) => {
      const codes = protocol === 'http' ? REFUSAL_STATUSES[kind] : [REFUSAL_CODES[kind]];
      return new Map(codes.map((code) => [code, 0]));
    });
  }
}

export class EventCounts {
  readonly by = forEach(PROTOCOLS, (protocol) => new ProtocolFigures(protocol));
  readonly reloads = zeros(RELOAD_RESULTS);
  /** 0 while the server runs with an older config than the one on disk. */
  reloadOk: 0 | 1 = 1;
  /** TFTP alone: HTTP has no sessions to wait for. */
  readonly queued = new LatencyHistogram(DURATION_MS);
  /** The routes by label, in the order of the config. */
  routes = new Map<string, RouteFigures>();
  warnings = 0;

  start({ protocol, origin, waitedMs, queuedMs }: StartRecord): void {
    const figures = this.by[protocol];
    figures.started[origin]++;
    figures.waited.observe(waitedMs, 1);
    if (protocol === 'tftp') this.queued.observe(queuedMs, 1);
  }

  transfer({ protocol, outcome, origin, durationMs }: TransferRecord): void {
    const figures = this.by[protocol];
    figures.ended[outcome][origin]++;
    if (outcome === 'complete' || outcome === 'completeUnconfirmed') figures.duration.observe(durationMs, 1);
  }

  refusal({ protocol, kind, code }: RefusalRecord): void {
    const counts = this.by[protocol].refusals[kind];
    counts.set(code, (counts.get(code) ?? 0) + 1);
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
