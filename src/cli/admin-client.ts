/**
 * A client of a running server's admin address: reads the live state, its changes, reports on nodes, and metrics. Knows
 * HTTP and the token; not how the answers are used.
 */
import type { Address } from '../engine/types.ts';
import { EventStream } from '../live/event-stream.ts';
import type { LiveChange, LiveSnapshot, NodeReport } from '../live/wire.ts';
import { formatAddress } from '../text/address-text.ts';
import { escapeText } from '../text/escape.ts';
import { errorCode, errorLine } from '../text/error-text.ts';

/** Maximum wait for an answer, and maximum silence of a server that is followed, in milliseconds. */
const PATIENCE_MS = 10_000;

export interface Followed {
  snapshot(snapshot: LiveSnapshot): void;
  change(change: LiveChange): void;
}

/** One line: the server's error, or the reason why it could not be reached. */
export class AdminError extends Error {
  override readonly name = 'AdminError';
  /** Status of the answer; undefined: there was none. */
  readonly status: number | undefined;

  constructor(message: string, status?: number, cause?: unknown) {
    super(message, { cause });
    this.status = status;
  }
}

/** The reason in the body of a refusal: `error` of a JSON object, or a plain line such as that of /readyz. */
function reasonIn(body: string): string | undefined {
  let reason: unknown;
  try {
    reason = (JSON.parse(body) as { error?: unknown } | null)?.error;
  } catch {
    reason = /^.+$/.exec(body.trimEnd())?.[0];
  }
  return typeof reason === 'string' ? escapeText(reason) : undefined;
}

function isOurs(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

export class AdminClient {
  readonly #address: Address;
  readonly #token: string | undefined;

  constructor(address: Address, token: string | undefined) {
    this.#address = address;
    this.#token = token;
  }

  get address(): string {
    return formatAddress(this.#address);
  }

  /** @throws AdminError */
  async snapshot(): Promise<LiveSnapshot> {
    return (await this.#json('/api/v1/live')) as LiveSnapshot;
  }

  /** @throws AdminError */
  async node(text: string): Promise<NodeReport> {
    return (await this.#json(`/api/v1/nodes/${encodeURIComponent(text)}`)) as NodeReport;
  }

  /** @returns the server's word for it. @throws AdminError with the server's reason if it does not answer requests. */
  async ready(): Promise<string> {
    const said = await this.#read('/readyz', (response) => response.text());
    return escapeText(said.trimEnd());
  }

  /** @returns metrics in Prometheus' text format. @throws AdminError */
  async metrics(): Promise<string> {
    return await this.#read('/metrics', (response) => response.text());
  }

  /** Resolves when the signal is aborted, or when the server ends the connection. @throws AdminError */
  async follow(followed: Followed, signal: AbortSignal): Promise<void> {
    const ending = new AbortController();
    let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
    // Aborts the request and cancels the reader explicitly: the links that fetch and AbortSignal.any keep to a signal
    // may be garbage-collected while the body is read, and then nothing would end it.
    const end = (): void => {
      ending.abort();
      reader?.cancel().catch(() => {});
    };
    let isSilent = false;
    const timer = setTimeout(() => {
      isSilent = true;
      end();
    }, PATIENCE_MS);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    try {
      const response = await this.#ask('/api/v1/live/events', ending.signal);
      const stream = new EventStream(({ event, data }) => {
        if (event === 'snapshot') followed.snapshot(JSON.parse(data) as LiveSnapshot);
        else if (event === 'change') followed.change(JSON.parse(data) as LiveChange);
      });
      const decoder = new TextDecoder();
      reader = response.body!.getReader();
      while (!ending.signal.aborted) {
        // oxlint-disable-next-line no-await-in-loop -- pieces are read one after the other.
        const { value, done } = await reader.read();
        if (done) break;
        timer.refresh();
        stream.push(decoder.decode(value, { stream: true }));
      }
    } catch (error) {
      if (isOurs(signal)) return;
      throw error instanceof AdminError ? error : this.#unheard(error);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
    }
    if (isSilent) throw new AdminError(`${this.address}: no answer`);
  }

  #json(path: string): Promise<unknown> {
    return this.#read(path, (response) => response.json());
  }

  async #read<T>(path: string, bodyOf: (response: Response) => Promise<T>): Promise<T> {
    const response = await this.#ask(path, AbortSignal.timeout(PATIENCE_MS));
    try {
      return await bodyOf(response);
    } catch (error) {
      throw this.#unheard(error);
    }
  }

  async #ask(path: string, signal: AbortSignal): Promise<Response> {
    let response: Response;
    try {
      const headers = this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
      response = await fetch(`http://${this.address}${path}`, { headers, signal, redirect: 'error' });
    } catch (error) {
      throw this.#unheard(error);
    }
    if (response.ok) return response;
    const why = reasonIn(await response.text().catch(() => '')) ?? `status ${response.status}`;
    const hint = response.status === 401 && this.#token === undefined ? ' (use --api-token-file or --config)' : '';
    throw new AdminError(`${this.address}: ${why}${hint}`, response.status);
  }

  #unheard(error: unknown): AdminError {
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    const isLate = error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError');
    const why = isLate ? 'no answer' : (errorCode(cause) ?? escapeText(errorLine(cause)));
    const hint = why === 'ECONNREFUSED' ? ' (is the server running, and is this its admin address?)' : '';
    return new AdminError(`${this.address}: ${why}${hint}`, undefined, error);
  }
}
