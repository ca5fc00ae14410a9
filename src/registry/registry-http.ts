/**
 * Requests to one registry: connections, authorization, redirects and failures in one line. Knows HTTP; neither
 * manifests nor blobs.
 */
import { readFileSync } from 'node:fs';
import { Agent, type Dispatcher, request } from 'undici';
import { quote, StoreError, whatFailed } from '../boot-set/store/store-error.ts';
import { Authorization } from './authorization.ts';
import { readWhole } from './bounded-body.ts';
import { credentialsFor } from './credentials.ts';
import type { Reference } from './reference.ts';

/** @limit Redirects that a registry may answer with, one after the other. Shows: an error message. */
const MAX_REDIRECTS = 5;
/** @limit Connections to a registry. */
const CONNECTIONS = 4;
/** Silence after which a connection counts as lost. */
const SILENCE_MS = 30_000;
const CONNECT_MS = 10_000;
/** Bytes read of an answer that is an error. */
const MAX_ERROR_BYTES = 8192;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export interface RegistryOptions {
  /** File in the form of `~/.docker/config.json`. Default: that file, if it exists. */
  readonly authFile?: string | undefined;
  /** PEM file of certificate authorities, in place of the system's. */
  readonly caFile?: string | undefined;
}

export interface Asked {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT';
  /** Path at the registry, or a URL that the registry gave. */
  readonly at: string | URL;
  /** Rights that the request needs, such as `repository:boot/install:pull`. */
  readonly scope: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Makes the body, once for each attempt. */
  readonly body?: () => Dispatcher.RequestOptions['body'];
  readonly signal?: AbortSignal | undefined;
}

export type Reply = Dispatcher.ResponseData;

/** The connection or the registry failed in a way that another attempt may not meet. */
export class TransientError extends StoreError {
  constructor(message: string) {
    super(message, false);
  }
}

/** Ends an answer whose body nobody reads; a short one leaves the connection for the next request. */
export function discard({ body }: Pick<Reply, 'body'>): void {
  void body.dump({ limit: MAX_ERROR_BYTES }).catch(() => {});
}

export function header({ headers }: Pick<Reply, 'headers'>, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function authorities(file: string | undefined): { ca?: string } {
  if (file === undefined) return {};
  try {
    return { ca: readFileSync(file, 'utf8') };
  } catch (error) {
    throw new StoreError(`${quote(file)}: expected certificates in PEM: ${whatFailed(error)}`);
  }
}

export class RegistryHttp {
  readonly #origin: string;
  readonly #host: string;
  readonly #agent: Agent;
  readonly #authorization: Authorization;

  /** @throws StoreError when a file that the options name can't be read. */
  constructor({ origin, host }: Reference, { authFile, caFile }: RegistryOptions) {
    this.#origin = origin;
    this.#host = host;
    this.#agent = new Agent({
      connections: CONNECTIONS,
      pipelining: 1,
      headersTimeout: SILENCE_MS,
      bodyTimeout: SILENCE_MS,
      connect: { ...authorities(caFile), timeout: CONNECT_MS },
    });
    this.#authorization = new Authorization({
      origin,
      host,
      credentials: () => credentialsFor(authFile, host),
      ask: (url, options) => this.#send(url, options),
    });
  }

  /**
   * Asks the registry. Follows redirects of GET and HEAD, without the authorization when they lead to another origin.
   *
   * @param expected status codes that the caller knows; it must read or destroy the body.
   * @throws StoreError for all other answers; TransientError when another attempt may succeed.
   */
  async ask(asked: Asked, expected: readonly number[]): Promise<Reply> {
    const { scope, method, signal } = asked;
    let url = this.resolve(asked.at);
    let authorization = this.#authorizationFor(url, scope);
    for (let redirects = 0, hasAnswered = false; ; ) {
      // oxlint-disable no-await-in-loop -- an answer decides about the next request.
      const reply = await this.#send(url, {
        method,
        headers: {
          'user-agent': 'reveille',
          ...asked.headers,
          ...(authorization === undefined ? {} : { authorization }),
        },
        body: asked.body?.() ?? null,
        ...(signal === undefined ? {} : { signal }),
      });
      const { statusCode } = reply;
      if (expected.includes(statusCode)) return reply;
      if (statusCode === 401 && !hasAnswered && url.origin === this.#origin) {
        discard(reply);
        hasAnswered = true;
        authorization = await this.#authorization.answer(header(reply, 'www-authenticate') ?? '', scope, authorization);
        if (authorization !== undefined) continue;
      } else if (REDIRECTS.has(statusCode) && (method === 'GET' || method === 'HEAD') && redirects < MAX_REDIRECTS) {
        discard(reply);
        redirects++;
        url = this.resolve(header(reply, 'location') ?? '', url);
        authorization = this.#authorizationFor(url, scope);
        continue;
      }
      throw await this.#refusal(reply, asked);
      // oxlint-enable no-await-in-loop
    }
  }

  /**
   * Resolves where the registry leads to: any host that it names, but never from https to http.
   *
   * @throws StoreError for anything else.
   */
  resolve(at: string | URL, base: string | URL = this.#origin): URL {
    if (at === '' || !URL.canParse(String(at), String(base))) {
      throw new StoreError(`${this.#host}: expected a location, got ${quote(String(at))}`, false);
    }
    const url = new URL(at, base);
    const isWeb = url.protocol === 'https:' || (url.protocol === 'http:' && this.#origin.startsWith('http:'));
    if (isWeb && url.username === '' && url.password === '') return url;
    throw new StoreError(
      `${this.#host}: expected a location with ${new URL(this.#origin).protocol}//, got ${quote(url.origin)}`,
      false,
    );
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #authorizationFor(url: URL, scope: string): string | undefined {
    return url.origin === this.#origin ? this.#authorization.headerFor(scope) : undefined;
  }

  async #send(url: URL, options: Omit<Dispatcher.RequestOptions, 'origin' | 'path'>): Promise<Reply> {
    try {
      return await request(url, { ...options, dispatcher: this.#agent });
    } catch (error) {
      if (error instanceof StoreError || (error instanceof Error && error.name === 'AbortError')) throw error;
      throw new TransientError(`${url.host}: cannot be reached: ${reasonOf(error)}`);
    }
  }

  /** @returns the error for an answer that nobody expected. Shows its code, not its text. */
  async #refusal(reply: Reply, { method, at }: Asked): Promise<StoreError> {
    const { statusCode } = reply;
    const body = await readWhole(reply.body, MAX_ERROR_BYTES, this.#host).catch(() => Buffer.alloc(0));
    const code = /"code"\s*:\s*"([A-Z_]{1,40})"/.exec(body.toString())?.[1];
    const path = typeof at === 'string' ? at : at.pathname;
    const what = `${this.#host}: ${method} ${path.slice(0, 200)}: answered ${statusCode}${code === undefined ? '' : ` ${code}`}`;
    if (statusCode === 401 || statusCode === 403) {
      return new StoreError(`${what}: expected credentials with the right to do this: see --registry-auth-file`, false);
    }
    return statusCode >= 500 || statusCode === 429 || statusCode === 408
      ? new TransientError(what)
      : new StoreError(what, false);
  }
}

/** Returns the failure of a connection in one line: an error with several causes has no text of its own. */
export function reasonOf(error: unknown): string {
  const { code, message, errors } = error as { code?: string; message?: string; errors?: unknown };
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  if ((message ?? '') === '' && first !== undefined) return reasonOf(first);
  return [...new Set([code, message])]
    .filter((part) => (part ?? '') !== '')
    .join(': ')
    .split('\n', 1)[0]!
    .slice(0, 300);
}
