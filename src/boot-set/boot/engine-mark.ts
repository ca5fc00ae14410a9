/**
 * Notices that the engine of shared pins has lost its data, although the connection stands: a mark that the servers keep
 * there is another one. Knows no pins.
 */
import { RedisError } from '../../redis/redis-error.ts';
import type { RedisLink } from '../../redis/redis-link.ts';
import type { TablesClock } from '../node/address-tables.ts';

/** Interval at which the mark is read. */
const LOOK_MS = 1000;

export class EngineMark {
  readonly #link: RedisLink;
  readonly #clock: TablesClock;
  readonly #server: string;
  readonly #onLost: () => void;
  #mark: unknown;
  #looks = 0;
  #cancel: () => void;

  constructor(link: RedisLink, clock: TablesClock, server: string, onLost: () => void) {
    this.#link = link;
    this.#clock = clock;
    this.#server = server;
    this.#onLost = onLost;
    this.#cancel = this.#lookLater();
  }

  stop(): void {
    this.#cancel();
    this.#cancel = () => {};
  }

  #lookLater(): () => void {
    return this.#clock.wake(this.#clock.now() + LOOK_MS, () => {
      this.#cancel = this.#lookLater();
      if (this.#link.state === 'up') void this.#look();
    });
  }

  async #look(): Promise<void> {
    const key = this.#link.key('mark');
    try {
      const [, mark] = await this.#link.batch([
        ['SET', key, `${this.#server} ${this.#looks++}`, 'NX'],
        ['GET', key],
      ]);
      if (typeof mark !== 'string') return;
      const isLost = this.#mark !== undefined && this.#mark !== mark;
      this.#mark = mark;
      if (isLost) this.#onLost();
    } catch (error) {
      if (!(error instanceof RedisError)) throw error;
    }
  }
}
