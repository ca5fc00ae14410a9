/**
 * Answers of upstreams, in the main thread: one question at a time per URL, and the last answer in case the upstream is
 * down. Asks through render threads; knows no sockets and no headers except ETags.
 */
import { LRUCache } from 'lru-cache';
import type { FetchJob, JobResult } from './jobs.ts';
import { ENTRY_BYTES, UPSTREAM_KEPT_BYTES, UPSTREAM_PAUSE_MS, UPSTREAM_STALE_MS } from './limits.ts';
import { fill } from './pattern.ts';
import type { RenderFailure, RenderRequest } from './types.ts';

/** Failures that say nothing about the upstream: the answer's size and the own queue. */
const OURS: ReadonlySet<RenderFailure> = new Set<RenderFailure>(['tooLarge', 'queueFull', 'strangers']);

interface Kept {
  readonly bytes: Uint8Array;
  readonly etag: string | undefined;
  confirmedAt: number;
}

export type Fetched =
  | { readonly kind: 'fetched'; readonly bytes: Uint8Array; readonly staleFor?: string }
  | Extract<JobResult, { kind: 'none' | 'failed' }>;

/**
 * Builds the URL for a request: fills in captures where the upstream has placeholders; otherwise appends all captures,
 * the client and the name as parameters. Each value of a request becomes exactly one path component or parameter.
 */
export function upstreamUrl(upstream: string, { captures, name, client, local }: RenderRequest): string {
  const values = { ...captures, client, local };
  if (upstream.includes('{')) return fill(upstream, values, encodeURIComponent);
  const url = new URL(upstream);
  for (const [key, value] of Object.entries({ ...values, name })) url.searchParams.set(key, value);
  return url.href;
}

export class Upstreams {
  readonly #now: () => number;
  readonly #kept = new LRUCache<string, Kept>({
    maxSize: UPSTREAM_KEPT_BYTES,
    sizeCalculation: ({ bytes }, key) => ENTRY_BYTES + key.length + bytes.length,
  });
  readonly #asking = new Map<string, Promise<Fetched>>();
  /** Times until which recently failed upstreams are not asked, by origin; at most one per route. */
  readonly #pausedUntil = new Map<string, number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Fetches the answer of an upstream.
   *
   * @param isKnown true when the client is known: a known client never waits for a stranger's question.
   * @param run must not reject.
   */
  get(
    job: Omit<FetchJob, 'etag' | 'kind'>,
    isKnown: boolean,
    run: (job: FetchJob) => Promise<JobResult>,
  ): Promise<Fetched> {
    const key = `${job.url} ${job.limits.maxBytes} ${job.redirects}`;
    const question = `${isKnown} ${key}`;
    let asking = this.#asking.get(question);
    if (asking === undefined) {
      asking = this.#ask(key, job, run).finally(() => this.#asking.delete(question));
      this.#asking.set(question, asking);
    }
    return asking;
  }

  async #ask(
    key: string,
    job: Omit<FetchJob, 'etag' | 'kind'>,
    run: (job: FetchJob) => Promise<JobResult>,
  ): Promise<Fetched> {
    const found = this.#kept.get(key);
    const kept = found !== undefined && this.#now() - found.confirmedAt <= UPSTREAM_STALE_MS ? found : undefined;
    const { origin } = new URL(job.url);
    if (kept !== undefined && this.#now() < (this.#pausedUntil.get(origin) ?? 0)) {
      return { kind: 'fetched', bytes: kept.bytes, staleFor: 'the upstream failed a moment ago' };
    }
    const result = await run({ kind: 'fetch', ...job, etag: kept?.etag });
    switch (result.kind) {
      case 'unchanged':
        kept!.confirmedAt = this.#now();
        return { kind: 'fetched', bytes: kept!.bytes };
      case 'fetched':
        this.#pausedUntil.delete(origin);
        this.#kept.set(key, { bytes: result.bytes, etag: result.etag, confirmedAt: this.#now() });
        return { kind: 'fetched', bytes: result.bytes };
      case 'none':
        this.#kept.delete(key);
        return result;
      case 'failed':
        if (kept === undefined) return result;
        if (!OURS.has(result.failure)) {
          this.#pausedUntil.set(origin, this.#now() + UPSTREAM_PAUSE_MS);
        }
        return { kind: 'fetched', bytes: kept.bytes, staleFor: result.reason };
      default:
        return { kind: 'failed', failure: 'failed', reason: `unexpected answer of a render thread: ${result.kind}` };
    }
  }
}
