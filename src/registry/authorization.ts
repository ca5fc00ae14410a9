/**
 * Authorization for a registry: reads its challenge and gets a token where it wants one. Follows the distribution
 * project's token specification and RFC 7235. Sends credentials only to the registry and to the realm that it names.
 */
import type { Dispatcher } from 'undici';
import { quote, StoreError } from '../boot-set/store/store-error.ts';
import { readWhole } from './bounded-body.ts';
import { withoutUser } from './reference.ts';
import type { Credentials } from './credentials.ts';

/** @limit Size of an answer with a token. Shows: an error message. */
const MAX_TOKEN_ANSWER_BYTES = 64 * 1024;
/** Tokens are renewed this long before they end. */
const EARLY_MS = 10_000;
/** Lifetime of a token whose answer names none, by the specification. */
const DEFAULT_LIFETIME_S = 60;
const MAX_CHALLENGE_CHARACTERS = 4096;

export interface Challenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Parses `WWW-Authenticate`. @returns the challenges with lower-case schemes. */
export function parseChallenges(header: string): Challenge[] {
  const text = header.slice(0, MAX_CHALLENGE_CHARACTERS);
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  // A parameter `name="value"` or `name=value`, or the word that begins a challenge.
  const parts = /([A-Za-z0-9._~+-]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?/g;
  for (const [, name = '', quoted, plain] of text.matchAll(parts)) {
    const value = quoted?.replace(/\\(.)/g, '$1') ?? plain;
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} });
    else if (challenges.length > 0) challenges.at(-1)!.parameters[name.toLowerCase()] = value;
  }
  return challenges;
}

interface Token {
  readonly header: string;
  /** End of its use, by the monotonic clock, in milliseconds. */
  readonly until: number;
}

/** Options of undici's `request`. */
export type Sent = Omit<Dispatcher.RequestOptions, 'origin' | 'path' | 'signal'> & {
  readonly signal?: AbortSignal | undefined;
};

export interface AuthorizationOptions {
  readonly origin: string;
  readonly host: string;
  /** Reads the credentials when they are needed. */
  readonly credentials: () => Credentials | undefined;
  readonly ask: (url: URL, options: Sent) => Promise<Dispatcher.ResponseData>;
}

export class Authorization {
  readonly #options: AuthorizationOptions;
  readonly #tokens = new Map<string, Token>();
  #isBasic = false;

  constructor(options: AuthorizationOptions) {
    this.#options = options;
  }

  /** Returns the header to send at first; undefined when the registry has not asked for any yet. */
  headerFor(scope: string): string | undefined {
    if (this.#isBasic) return this.#options.credentials()?.basic;
    const token = this.#tokens.get(scope);
    return token !== undefined && performance.now() < token.until ? token.header : undefined;
  }

  /**
   * Answers a 401.
   *
   * @param challenge value of `WWW-Authenticate`.
   * @param tried header that was refused.
   * @returns the header to try again with; undefined when there is none that has not been tried.
   * @throws StoreError when the registry asks for something else, or gives no token.
   */
  async answer(
    challenge: string,
    scope: string,
    tried: string | undefined,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    const challenges = parseChallenges(challenge);
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer !== undefined) {
      this.#tokens.delete(scope);
      return await this.#fetchToken(bearer, scope, signal);
    }
    if (!challenges.some(({ scheme }) => scheme === 'basic')) {
      throw new StoreError(`${this.#options.host}: expected a registry that asks for Basic or Bearer`, false);
    }
    const basic = this.#options.credentials()?.basic;
    this.#isBasic = basic !== undefined;
    return basic === tried ? undefined : basic;
  }

  async #fetchToken({ parameters }: Challenge, scope: string, signal: AbortSignal | undefined): Promise<string> {
    const { origin, host, ask } = this.#options;
    const { realm = '', service } = parameters;
    if (!URL.canParse(realm))
      throw new StoreError(`${host}: expected the URL of a token server, got ${quote(realm)}`, false);
    const url = new URL(realm);
    const isAllowed = url.protocol === 'https:' || (url.protocol === 'http:' && origin.startsWith('http:'));
    if (!isAllowed || url.username !== '' || url.password !== '') {
      const schemes = origin.startsWith('http:') ? 'http:// or https://' : 'https://';
      throw new StoreError(
        `${host}: expected a token server with ${schemes} and without a user, got ${quote(withoutUser(url))}`,
        false,
      );
    }
    const credentials = this.#options.credentials();
    const asked: [string, string][] = [
      ...(service === undefined ? [] : [['service', service] as [string, string]]),
      ...scope.split(' ').map((one): [string, string] => ['scope', one]),
    ];
    let reply: Dispatcher.ResponseData;
    if (credentials?.identityToken === undefined) {
      for (const [key, value] of asked) url.searchParams.append(key, value);
      const headers = credentials?.basic === undefined ? {} : { authorization: credentials.basic };
      reply = await ask(url, { method: 'GET', headers, signal });
    } else {
      const form = new URLSearchParams([
        ['grant_type', 'refresh_token'],
        ['client_id', 'reveille'],
        ['service', service ?? ''],
        ['scope', scope],
        ['refresh_token', credentials.identityToken],
      ]);
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      reply = await ask(url, { method: 'POST', headers, body: form.toString(), signal });
    }
    const what = `${host}: the token server ${url.host}`;
    const text = (await readWhole(reply.body, MAX_TOKEN_ANSWER_BYTES, what)).toString();
    if (reply.statusCode !== 200) {
      const who = credentials === undefined ? 'without credentials' : 'with the credentials given';
      throw new StoreError(`${what} answered ${reply.statusCode} ${who}: see --registry-auth-file`, false);
    }
    return this.#keep(scope, text, what);
  }

  #keep(scope: string, text: string, what: string): string {
    let answer: { token?: unknown; access_token?: unknown; expires_in?: unknown } = {};
    try {
      answer = (JSON.parse(text) as typeof answer | null) ?? {};
    } catch {
      // Below, an answer without a token.
    }
    // The specification has both names, and registries send either.
    const token = typeof answer.token === 'string' ? answer.token : answer.access_token;
    if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
      throw new StoreError(`${what}: expected JSON with a token, got something else`, false);
    }
    const seconds = typeof answer.expires_in === 'number' ? answer.expires_in : DEFAULT_LIFETIME_S;
    const header = `Bearer ${token}`;
    this.#tokens.set(scope, { header, until: performance.now() + seconds * 1000 - EARLY_MS });
    return header;
  }
}
