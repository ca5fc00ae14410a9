/** Schema of `routes` in the config, and the routes made ready to match. Reads no files. */
import { z } from 'zod';
import { glob } from '../text/glob.ts';
import { schemaMistake } from '../text/schema-mistake.ts';
import { ROUTES, MAX_BYTES } from './limits.ts';
import { fill, type Pattern, parsePattern } from './pattern.ts';
import { FAILURE_POLICIES, RenderConfigError, ROUTE_KINDS, type RouteConfig, type RouteKind } from './types.ts';

const MAX_MS = 600_000;
const MAX_PATIENCE_MS = 24 * 3_600_000;

const text = z.string().min(1).max(2048);

export const routeSchema = z.strictObject({
  match: text,
  template: text.optional(),
  handler: text.optional(),
  upstream: text.optional(),
  rewrite: text.optional(),
  empty: z.literal(true).optional(),
  refuse: text.optional(),
  channel: text.optional(),
  when: z.record(z.string(), z.string()).optional(),
  unknown: z.boolean().optional(),
  timeoutMs: z.int().min(1).max(MAX_MS).optional(),
  maxBytes: z.int().min(1).max(MAX_BYTES).optional(),
  patienceMs: z.int().min(1000).max(MAX_PATIENCE_MS).optional(),
  redirects: z.int().min(0).max(5).optional(),
  onFailure: z.enum(FAILURE_POLICIES).optional(),
}) satisfies z.ZodType<RouteConfig>;

/** A checked route, ready to match. */
export interface Route {
  /** Index from 0; threads identify the route by it. */
  readonly index: number;
  readonly kind: RouteKind;
  readonly config: RouteConfig;
  readonly pattern: Pattern;
  readonly when: readonly (readonly [label: string, fits: (value: string) => boolean])[];
  /** Name of the route in messages. */
  readonly label: string;
}

function checkUpstream(url: string): void {
  const origin = /^https?:\/\/[^/?#{}@\s]+/.exec(url)?.[0];
  if (origin === undefined || !URL.canParse(url.replace(/[{}*]/g, ''))) {
    throw new Error(
      `upstream: expected http://HOST/PATH without a user, captures after the host, got ${JSON.stringify(url)}`,
    );
  }
}

function readRoute(config: RouteConfig, index: number, caseInsensitive: boolean): Route {
  const kinds = ROUTE_KINDS.filter((kind) => config[kind] !== undefined);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    throw new Error(`expected one of ${ROUTE_KINDS.join(', ')}, got ${kinds.join(' and ') || 'none'}`);
  }
  const pattern = parsePattern(config.match, caseInsensitive);
  // Dummy values: only the names of the captures matter here.
  const some = Object.fromEntries([...pattern.captures, 'ip'].map((name) => [name, 'x']));
  if (!pattern.captures.includes('ip') && !pattern.captures.includes('hexip')) delete some['ip'];
  if (config.rewrite !== undefined) fill(config.rewrite, { ...some, client: '', local: '', interface: '' });
  if (config.upstream !== undefined) {
    checkUpstream(config.upstream);
    fill(config.upstream, { ...some, client: '', local: '' });
  }
  return {
    index,
    kind,
    config,
    pattern,
    when: Object.entries(config.when ?? {}).map(
      ([label, value]) => [label, glob(value, { ignoreCase: true })] as const,
    ),
    label: `route ${index + 1} (${config.match})`,
  };
}

/** @throws RenderConfigError for the first faulty route. */
export function readRoutes(routes: readonly RouteConfig[], caseInsensitive = false): readonly Route[] {
  if (routes.length > ROUTES) throw new RenderConfigError(`routes: expected at most ${ROUTES}, got ${routes.length}`);
  return routes.map((config, index) => {
    const where = `route ${index + 1}`;
    const parsed = routeSchema.safeParse(config);
    if (!parsed.success) {
      const mistake = schemaMistake(parsed.error, config, 'the route', Object.keys(routeSchema.shape));
      throw new RenderConfigError(`${where}: ${mistake}`);
    }
    try {
      return readRoute(config, index, caseInsensitive);
    } catch (error) {
      throw new RenderConfigError(`${where} (${config.match}): ${(error as Error).message}`);
    }
  });
}
