/**
 * Requests to one registry: connections, authorization, redirects and failures in one line. Knows HTTP; neither
 * manifests nor blobs.
 */
import { X509Certificate } from 'node:crypto';
import { Agent, type Dispatcher, request } from 'undici';
import { quote, StoreError, whatFailed } from '../boot-set/store/store-error.ts';
import { Authorization, type Sent } from './authorization.ts';
import { readWhole } from './bounded-body.ts';
import { credentialsFor } from './credentials.ts';
import { type Reference, withoutUser } from './reference.ts';
import { readSmallFile } from './small-file.ts';

/** @limit Redirects that a registry may answer with, one after the other. Shows: an error message. */
const MAX_REDIRECTS = 5;
/** @limit Connections to a registry. */
const CONNECTIONS = 4;
/** Silence after which a connection counts as lost. */
const SILENCE_MS = 30_000;
const CONNECT_MS = 10_000;
/**
 * Time between a request and the end of the head of its answer. undici's own limit begins again with every interim
 * answer and does not count the wait for a connection.
 * @limit Time in which a registry must begin to answer. Shows: an error message.
 */
const ANSWER_MS = 60_000;
/** Time for the rest of a body that nobody reads: it must not hold one of the few connections for long. */
const DISCARD_MS = 5000;
/** Bytes read of an answer that is an error. */
const MAX_ERROR_BYTES = 8192;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Codes of TLS for a certificate whose issuer is not among the authorities. */
const UNKNOWN_AUTHORITY: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);
/** Codes of TLS for a certificate that another attempt will not mend. */
const WRONG_CERTIFICATE: ReadonlySet<string> = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

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
  /** Limit for the body of the request and the head of the answer, in milliseconds. Default: a minute. */
  readonly answerMs?: number;
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
  const late = setTimeout(() => body.destroy(), DISCARD_MS).unref();
  void body
    .dump({ limit: MAX_ERROR_BYTES })
    .catch(() => {})
    .finally(() => clearTimeout(late));
}

export function header({ headers }: Pick<Reply, 'headers'>, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function authorities(file: string | undefined): { ca?: string } {
  if (file === undefined) return {};
  const ca = readSmallFile(file, 'certificates in PEM')!.text;
  // OpenSSL passes over what is no certificate: every connection would fail then, for another reason.
  const certificates = ca.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END [^-]*-----/g) ?? [];
  try {
    if (certificates.length === 0) throw new Error('no certificate');
    for (const one of certificates) void new X509Certificate(one);
  } catch (error) {
    throw new StoreError(`${quote(file)}: expected certificates in PEM: ${whatFailed(error)}`);
  }
  return { ca };
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
    const { scope, method, signal, answerMs } = asked;
    let url = this.resolve(asked.at);
    let authorization = this.#authorizationFor(url, scope);
    for (let redirects = 0, hasAnswered = false; ; ) {
      // oxlint-disable no-await-in-loop -- an answer decides about the next request.
      const headers = {
        'user-agent': 'reveille',
        ...asked.headers,
        ...(authorization === undefined ? {} : { authorization }),
      };
      const reply = await this.#send(url, { method, headers, body: asked.body?.() ?? null, signal }, answerMs);
      const { statusCode } = reply;
      if (expected.includes(statusCode)) return reply;
      if (statusCode === 401 && !hasAnswered && url.origin === this.#origin) {
        discard(reply);
        hasAnswered = true;
        authorization = await this.#authorization.answer(
          header(reply, 'www-authenticate') ?? '',
          scope,
          authorization,
          signal,
        );
        if (authorization !== undefined) continue;
      } else if (REDIRECTS.has(statusCode) && (method === 'GET' || method === 'HEAD') && redirects < MAX_REDIRECTS) {
        discard(reply);
        redirects++;
        url = this.resolve(header(reply, 'location') ?? '', url);
        authorization = this.#authorizationFor(url, scope);
        continue;
      }
      throw await this.#refusal(reply, method, url);
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
      `${this.#host}: expected a location with ${this.#schemes()} and without a user, got ${quote(withoutUser(url))}`,
      false,
    );
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #authorizationFor(url: URL, scope: string): string | undefined {
    return url.origin === this.#origin ? this.#authorization.headerFor(scope) : undefined;
  }

  #schemes(): string {
    return this.#origin.startsWith('http:') ? 'http:// or https://' : 'https://';
  }

  async #send(url: URL, options: Sent, answerMs = ANSWER_MS): Promise<Reply> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error(`no answer within ${answerMs / 1000} s`)), answerMs);
    const { signal, ...rest } = options;
    const ends = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
    try {
      return await request(url, { ...rest, signal: ends, dispatcher: this.#agent });
    } catch (error) {
      if (error instanceof StoreError || signal?.aborted === true) throw error;
      const mistake = tlsMistake(error);
      if (mistake !== undefined) throw new StoreError(`${url.host}: ${mistake}`, false);
      throw new TransientError(`${url.host}: cannot be reached: ${reasonOf(error)}`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** @returns the error for an answer that nobody expected. Shows its code, not its text. */
  async #refusal(reply: Reply, method: string, url: URL): Promise<StoreError> {
    const { statusCode } = reply;
    const body = await readWhole(reply.body, MAX_ERROR_BYTES, this.#host).catch(() => Buffer.alloc(0));
    const code = /"code"\s*:\s*"([A-Z_]{1,40})"/.exec(body.toString())?.[1];
    const isOurs = url.origin === this.#origin;
    const who = isOurs ? this.#host : `${url.host}, to which ${this.#host} leads`;
    // Behind a redirect the path may hold a signature.
    const path = isOurs ? url.pathname.slice(0, 200) : '…';
    const what = `${who}: ${method} ${path}: answered ${statusCode}${code === undefined ? '' : ` ${code}`}`;
    if (isOurs && (statusCode === 401 || statusCode === 403)) {
      return new StoreError(`${what}: expected credentials with the right to do this: see --registry-auth-file`, false);
    }
    // Servers with TLS answer this to plain HTTP; an answer to HEAD has no text that says so.
    if (statusCode === 400 && url.protocol === 'http:' && (method === 'HEAD' || body.includes('HTTPS'))) {
      return new StoreError(`${what}: a registry with TLS is named oci://`, false);
    }
    return statusCode >= 500 || statusCode === 429 || statusCode === 408
      ? new TransientError(what)
      : new StoreError(what, false);
  }
}

/** Says what to do about the mistakes that people make with TLS at first; undefined for other failures. */
function tlsMistake(error: unknown): string | undefined {
  const reason = reasonOf(error);
  if (/wrong version number|packet length too long|record layer failure/i.test(reason)) {
    return 'expected TLS, got something else: a registry with plain HTTP is named oci+http://';
  }
  const { code } = error as { code?: unknown };
  if (UNKNOWN_AUTHORITY.has(String(code))) {
    return `expected a certificate of a known authority (${String(code)}): see --registry-ca-file`;
  }
  return WRONG_CERTIFICATE.has(String(code)) ? `expected a valid certificate for this host: ${reason}` : undefined;
}

/** Returns the failure of a connection in one line: an error with several causes has no text of its own. */
export function reasonOf(error: unknown): string {
  const { code: given, message, errors } = error as { code?: unknown; message?: string; errors?: unknown };
  // The codes of aborted requests are numbers that mean nothing to people.
  const code = typeof given === 'string' ? given : undefined;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  if ((message ?? '') === '' && first !== undefined) return reasonOf(first);
  return [...new Set([code, message])]
    .filter((part) => (part ?? '') !== '')
    .join(': ')
    .split('\n', 1)[0]!
    .slice(0, 300);
}
