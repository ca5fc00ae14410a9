/**
 * Performs one HTTP GET on a render thread, with limits on time and size, redirects only within the origin, and no data
 * from a request in any header. Knows no routes and keeps nothing but connections.
 */
import { Agent, request } from 'undici';
import type { FetchJob, JobResult } from './jobs.ts';
import { UPSTREAM_CONNECTIONS } from './limits.ts';

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const MISSING: ReadonlySet<number> = new Set([404, 410]);
const MAX_ETAG_CHARACTERS = 1024;

function failed(reason: string, failure: 'upstream' | 'timeout' | 'tooLarge' = 'upstream'): JobResult {
  return { kind: 'failed', failure, reason };
}

type Reply = Awaited<ReturnType<typeof request>>;

function header({ headers }: Reply, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

async function read({ body }: Reply, maxBytes: number): Promise<Uint8Array | undefined> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    length += part.length;
    // Leaving the loop destroys the body and its connection.
    if (length > maxBytes) return undefined;
    parts.push(part);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export class Fetcher {
  readonly #agent = new Agent({ connections: UPSTREAM_CONNECTIONS, pipelining: 1 });

  /** Fetches the URL and resolves with a result. Never rejects. */
  async run(job: FetchJob): Promise<JobResult> {
    const { timeoutMs } = job.limits;
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      return await this.#get(job, signal);
    } catch (error) {
      if (signal.aborted) return failed(`did not answer within ${timeoutMs} ms`, 'timeout');
      const { code, message } = error as { code?: string; message?: string };
      return failed(`cannot be reached: ${[code, message].filter(Boolean).join(': ').split('\n')[0]}`);
    }
  }

  async #get({ url, etag, redirects, limits }: FetchJob, signal: AbortSignal): Promise<JobResult> {
    let target = new URL(url);
    for (let left = redirects; ; left--) {
      // oxlint-disable-next-line no-await-in-loop -- a redirect is known only from its answer.
      const reply = await request(target, {
        dispatcher: this.#agent,
        signal,
        headers: {
          accept: '*/*',
          'user-agent': 'reveille',
          ...(etag === undefined ? {} : { 'if-none-match': etag }),
        },
      });
      const { statusCode } = reply;
      if (statusCode === 200) return this.#content(reply, limits.maxBytes);
      // The connection can be reused once the body has been read.
      void reply.body.dump().catch(() => {});
      if (statusCode === 304 && etag !== undefined) return { kind: 'unchanged' };
      if (MISSING.has(statusCode)) return { kind: 'none' };
      if (!REDIRECTS.has(statusCode)) return failed(`answered ${statusCode}`);
      const location = header(reply, 'location');
      if (left === 0 || location === undefined || !URL.canParse(location, target.href)) {
        return failed(
          `answered ${statusCode}, a redirect, which ${redirects === 0 ? 'is not allowed' : 'names no location'}`,
        );
      }
      const next = new URL(location, target);
      if (next.origin !== target.origin) return failed(`answered ${statusCode}, a redirect to another origin`);
      target = next;
    }
  }

  async #content(reply: Reply, maxBytes: number): Promise<JobResult> {
    const coding = header(reply, 'content-encoding') ?? 'identity';
    const announced = Number(header(reply, 'content-length') ?? 0);
    const bytes = announced > maxBytes || coding !== 'identity' ? undefined : await read(reply, maxBytes);
    if (bytes === undefined) {
      reply.body.destroy();
      if (coding !== 'identity') return failed(`answered with the content coding ${coding}, which was not requested`);
      return failed(`returned more than ${maxBytes} bytes`, 'tooLarge');
    }
    const etag = header(reply, 'etag');
    return {
      kind: 'fetched',
      bytes,
      etag: etag !== undefined && etag.length <= MAX_ETAG_CHARACTERS ? etag : undefined,
    };
  }
}
