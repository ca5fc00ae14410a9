/** The observers of a server: a Prometheus that scrapes each second, and a reader of the live page. */

const EVERY_MS = 1000;

export class Watch {
  readonly #ending = new AbortController();
  readonly #admin: string;
  #timer: NodeJS.Timeout | undefined;
  #scraping: Promise<unknown> = Promise.resolve();
  scrapes = 0;
  /** Bytes of the last scrape, and bytes sent to the page. */
  scrapeBytes = 0;
  pageBytes = 0;

  /** @param admin `http://127.0.0.1:6970`. */
  constructor(admin: string) {
    this.#admin = admin;
  }

  /** Starts to scrape once a second. */
  scrape(): void {
    this.#timer = setInterval(() => {
      this.#scraping = this.#scrapeOnce();
    }, EVERY_MS);
  }

  async #scrapeOnce(): Promise<void> {
    const response = await fetch(`${this.#admin}/metrics`);
    if (!response.ok) throw new Error(`Expected metrics, got ${response.status}`);
    this.scrapeBytes = (await response.text()).length;
    this.scrapes++;
  }

  /** Opens the page's event stream. @throws Error when there is none. */
  async openPage(): Promise<void> {
    const url = `${this.#admin}/api/v1/live/events`;
    const response = await fetch(url, { signal: this.#ending.signal });
    if (!response.ok || response.body === null) throw new Error(`Expected events at ${url}, got ${response.status}`);
    void this.#read(response.body);
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    try {
      for await (const bytes of body) this.pageBytes += bytes.length;
    } catch (error) {
      if (!this.#ending.signal.aborted) throw error;
    }
  }

  /** Stops scraping. The page stays open. */
  async stopScraping(): Promise<void> {
    clearInterval(this.#timer);
    await this.#scraping;
  }

  async end(): Promise<void> {
    await this.stopScraping();
    this.#ending.abort();
  }
}
