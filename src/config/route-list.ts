/**
 * Schema of `routes` in a config file: the keys of a route and their values. Does not know what a pattern means or
 * whether a template exists: src/render does.
 */
import { z } from 'zod';
import { parsePattern } from '../render/pattern.ts';
import { FAILURE_POLICIES, ROUTE_KINDS, type RouteConfig } from '../render/types.ts';
import { showValue } from '../text/escape.ts';
import { fieldOf } from './value-field.ts';
import { DAY_MS, duration, type SettingKind, size, textOf } from './value-kind.ts';

/** Cap on routes: each request tries them one by one until one takes it. */
const MAX_ROUTES = 1024;
const MAX_LABELS = 64;

function text(expected: string, most: number): z.ZodType<string> {
  return z.preprocess(
    (value) => textOf(value) ?? value,
    z
      .string({ error: expected })
      .min(1, { error: expected })
      .max(most, { error: expected })
      .meta({ type: ['string', 'number'] }),
  );
}

function flag(expected: string): z.ZodType<boolean> {
  return z.boolean({ error: expected });
}

// YAML may read a label as a number or a truth value; its text is kept.
const WHEN = z
  .record(z.string(), z.string({ error: 'a text' }).meta({ type: ['string', 'number', 'boolean'] }), {
    error: 'labels such as {role: compute}',
  })
  .refine((labels) => Object.keys(labels).length <= MAX_LABELS, { error: `at most ${MAX_LABELS} labels` });

const MATCH = text('a name with captures, such as "pxelinux.cfg/01-{mac}" (in quotes)', 512).transform(
  (match, context) => {
    try {
      parsePattern(match);
      return match;
    } catch (error) {
      // The pattern's error message begins with what was expected.
      const [expected = '', got = showValue(match)] = (error as Error).message
        .replace(/^expected /, '')
        .split(', got ');
      context.addIssue({ code: 'custom', message: expected, params: { got } });
      return z.NEVER;
    }
  },
);

const ROUTE = z
  .strictObject(
    {
      match: MATCH,
      template: text('a template, as a file below the folder of the config file', 1024).optional(),
      handler: text('a module, as a file below the folder of the config file', 1024).optional(),
      upstream: text('a URL such as http://127.0.0.1:8080/boot', 2048).optional(),
      rewrite: text('a name, with captures in braces', 512).optional(),
      empty: z.literal(true, { error: 'true' }).optional(),
      refuse: text('a reason for the log', 512).optional(),
      channel: text('a channel', 512).optional(),
      when: WHEN.optional(),
      unknown: flag('true or false').optional(),
      timeout: fieldOf(duration(1, 600_000, '2s')).optional(),
      maxBytes: fieldOf(size('a size such as 64KiB')).optional(),
      patience: fieldOf(duration(1000, DAY_MS, '5m')).optional(),
      redirects: z
        .int({ error: 'a whole number from 0 to 5' })
        .min(0, { error: 'a whole number from 0 to 5' })
        .max(5, { error: 'a whole number from 0 to 5' })
        .optional(),
      onFailure: z.enum(FAILURE_POLICIES, { error: `one of ${FAILURE_POLICIES.join(', ')}` }).optional(),
    },
    {
      error: (issue) =>
        issue.code === 'invalid_type' ? 'a route such as {match: "x/{mac}", template: FILE}' : undefined,
    },
  )
  .check(({ value, issues }) => {
    const named = ROUTE_KINDS.filter((key) => value[key] !== undefined);
    // A misspelled kind already has a message of its own; it is not also a missing kind.
    if (named.length === 1 || issues.length > 0) return;
    const got = named.length === 0 ? 'none of them' : named.join(' and ');
    issues.push({
      code: 'custom',
      message: `one of ${ROUTE_KINDS.join(', ')}`,
      path: named.length === 0 ? [] : [named[1]!],
      params: { got },
      input: value,
    });
  })
  .meta({ oneOf: ROUTE_KINDS.map((key) => ({ required: [key] })) });

/** Keys of a route, for suggestions on misspelled ones. */
export const ROUTE_KEYS: readonly string[] = Object.keys(ROUTE.shape);

const ROUTES = z
  .array(ROUTE, { error: 'a list of routes' })
  .max(MAX_ROUTES, { error: `at most ${MAX_ROUTES} routes` })
  .transform((routes): readonly RouteConfig[] =>
    routes.map(({ timeout, patience, ...route }) => ({
      ...route,
      ...(timeout === undefined ? {} : { timeoutMs: timeout }),
      ...(patience === undefined ? {} : { patienceMs: patience }),
    })),
  );

export const routeList: SettingKind<readonly RouteConfig[]> = {
  expected: 'a list of routes',
  parts: ROUTES,
  read: (value) => ROUTES.safeParse(value).data,
};
