/**
 * The connection to the server: requests, with the token where one is needed, and the stream of changes. Uses fetch,
 * since an EventSource can't send a token. Reconnects when the server is back.
 */
import { EventStream } from '../live/event-stream.ts';
import type { LiveChange, LiveSnapshot, NodeReport } from '../live/wire.ts';

const TOKEN_KEY = 'reveille-token';
/** Waits between two attempts, in milliseconds. */
const AGAIN_MS = [500, 1000, 2000, 5000] as const;
/** A live server sends something every second. */
const SILENCE_MS = 8000;

export type ConnectionState =
  | { readonly kind: 'open' }
  | { readonly kind: 'lost'; readonly why: string }
  /** The server wants a token, or another one. */
  | { readonly kind: 'locked'; readonly why: string };

export interface ConnectionEvents {
  snapshot(snapshot: LiveSnapshot): void;
  change(change: LiveChange): void;
  state(state: ConnectionState): void;
}

/** The server has refused a request. */
class Refused extends Error {
  readonly status: number;

  constructor(status: number, why: string) {
    super(why);
    this.status = status;
  }
}

async function refusalOf(response: Response): Promise<Refused> {
  try {
    const { error } = (await response.json()) as { error?: string };
    return new Refused(response.status, error ?? response.statusText);
  } catch {
    return new Refused(response.status, response.statusText);
  }
}

export class Connection {
  readonly #events: ConnectionEvents;
  #token = sessionStorage.getItem(TOKEN_KEY) ?? '';
  #failures = 0;
  #abort: AbortController | undefined;

  constructor(events: ConnectionEvents) {
    this.#events = events;
  }

  /** Connects, or reconnects with another token. */
  open(token?: string): void {
    if (token !== undefined) {
      this.#token = token;
      sessionStorage.setItem(TOKEN_KEY, token);
    }
    this.#abort?.abort();
    this.#abort = new AbortController();
    void this.#follow(this.#abort.signal);
  }

  /** @throws Error with the server's message. */
  async node(text: string): Promise<NodeReport> {
    const response = await fetch(`api/v1/nodes/${encodeURIComponent(text)}`, { headers: this.#headers() });
    if (!response.ok) throw await refusalOf(response);
    return (await response.json()) as NodeReport;
  }

  #headers(): Record<string, string> {
    return this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` };
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#read(signal);
        this.#events.state({ kind: 'lost', why: 'The server closed the connection.' });
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Refused && [401, 403, 429].includes(error.status)) {
          this.#events.state({ kind: 'locked', why: error.message });
          return;
        }
        this.#events.state({
          kind: 'lost',
          why: error instanceof Refused ? error.message : 'The server does not answer.',
        });
      }
      const wait = AGAIN_MS[Math.min(this.#failures++, AGAIN_MS.length - 1)]!;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const both = AbortSignal.any([signal, silence.signal]);
      const response = await fetch('api/v1/live/events', { headers: this.#headers(), signal: both, cache: 'no-store' });
      if (!response.ok || response.body === null) throw await refusalOf(response);
      const stream = new EventStream(({ event, data }) => {
        if (event === 'snapshot') this.#events.snapshot(JSON.parse(data) as LiveSnapshot);
        else if (event === 'change') this.#events.change(JSON.parse(data) as LiveChange);
      });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        this.#events.state({ kind: 'open' });
        this.#failures = 0;
        stream.push(value);
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
