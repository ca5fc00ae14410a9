/**
 * Access control for the admin address, and the security headers of every answer. Knows tokens, hosts and headers, and
 * nothing of what is served.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { BlockList, isIP } from 'node:net';
import type { Context, Hono } from 'hono';
import { RateBound } from '../telemetry/rate-bound.ts';

/**
 * Wrong tokens that get status 401: so many at once, then so many a second. Further ones get status 429.
 * @limit Wrong tokens answered with status 401: at once, then per second. Shows: status 429.
 */
const WRONG_TOKENS = { burst: 20, perSecond: 2 } as const;

/**
 * The page loads everything from here, nothing may frame it, and other sites are told nothing. No inline script or
 * style runs, whatever gets into a text.
 */
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "manifest-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
};

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

export function isLoopback(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && LOOPBACK.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/** Accepts `localhost:6970`, `127.0.0.1`, `[::1]:6970`: names that mean this machine wherever a browser runs. */
function isLoopbackHost(host: string): boolean {
  const name = /^(?:\[([^\]]+)\]|([^:]+))(?::[0-9]+)?$/.exec(host)?.slice(1).find(Boolean)?.toLowerCase();
  return name !== undefined && (name === 'localhost' || name.endsWith('.localhost') || isLoopback(name));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Adds the headers of HEADERS to every answer. */
export function addHeaders(app: Hono): void {
  app.use('*', async (context, next) => {
    await next();
    for (const [name, value] of Object.entries(HEADERS)) context.res.headers.set(name, value);
    if (!context.res.headers.has('cache-control')) context.res.headers.set('cache-control', 'no-store');
  });
}

export interface GuardOptions {
  /** The address on which the server listens. */
  readonly address: string;
  /** The bearer token; undefined: no token is accepted. */
  readonly token: string | undefined;
}

export class AdminGuard {
  readonly #expected: Buffer | undefined;
  readonly #isLoopback: boolean;
  readonly #wrong = new RateBound(WRONG_TOKENS.burst, WRONG_TOKENS.perSecond, performance.now());

  constructor({ address, token }: GuardOptions) {
    this.#expected = token === undefined ? undefined : digest(`Bearer ${token}`);
    this.#isLoopback = isLoopback(address);
  }

  /** Checks a request that needs the token. @returns the refusal, or undefined. */
  refusal(context: Context): Response | undefined {
    // A page of another site cannot use what the visitor's browser knows.
    if (context.req.header('sec-fetch-site') === 'cross-site') {
      return context.json({ error: 'requests from other sites are not allowed' }, 403);
    }
    const said = context.req.header('authorization');
    // Comparing digests of equal length takes constant time, so timing reveals nothing about the token.
    if (this.#expected !== undefined && said !== undefined && timingSafeEqual(digest(said), this.#expected)) {
      return undefined;
    }
    if (said !== undefined && !this.#wrong.take(performance.now())) {
      return context.json({ error: 'too many wrong tokens' }, 429, { 'retry-after': '1' });
    }
    return context.json({ error: 'expected a bearer token' }, 401, { 'www-authenticate': 'Bearer' });
  }

  /**
   * Checks a request for data about nodes: free on this machine under a loopback name, with the token from elsewhere.
   * Any other DNS name that leads here counts as elsewhere (DNS rebinding). @returns the refusal, or undefined.
   */
  nodeRefusal(context: Context): Response | undefined {
    const isHere = this.#isLoopback && isLoopbackHost(context.req.header('host') ?? '');
    if (isHere && context.req.header('sec-fetch-site') !== 'cross-site') return undefined;
    if (this.#expected !== undefined) return this.refusal(context);
    const error = 'expected a client on a loopback address, or a token: set apiToken or apiTokenFile';
    return context.json({ error }, 403);
  }
}
