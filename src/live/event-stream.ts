/** Parses server-sent events (WHATWG HTML) from a stream of text. Pure: runs in a browser and in a terminal. */

export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

/** Takes text in pieces of any size. @param told receives each complete event. */
export class EventStream {
  readonly #told: (event: ServerEvent) => void;
  #rest = '';
  #event = '';
  #data: string[] = [];

  constructor(told: (event: ServerEvent) => void) {
    this.#told = told;
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#line(line.endsWith('\r') ? line.slice(0, -1) : line);
  }

  #line(line: string): void {
    if (line === '') {
      if (this.#data.length > 0) this.#told({ event: this.#event || 'message', data: this.#data.join('\n') });
      this.#event = '';
      this.#data = [];
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#event = value;
    else if (field === 'data') this.#data.push(value);
  }
}
