/**
 * Questions to the engine of shared pins, with what they took and how they failed, and the engine's clock: servers' own
 * clocks may differ. Knows no pins.
 */
import { RedisError } from '../../redis/redis-error.ts';
import type { RedisCommand, RedisLink } from '../../redis/redis-link.ts';
import type { TablesClock } from '../node/address-tables.ts';

/** Upper bounds of the buckets, ms. */
const BOUNDS_MS = [0.5, 1, 2, 5, 10, 20, 50, 100] as const;

/** An answer within this time sets the engine's clock. */
const PROMPT_MS = 20;

export interface EngineStats {
  readonly isUp: boolean;
  readonly failed: Readonly<Record<RedisError['failure'], number>>;
  /** Time that answers took. */
  readonly waits: {
    readonly boundsMs: readonly number[];
    /** Counts by bucket, not cumulative; the last is for longer times. */
    readonly counts: readonly number[];
    readonly sumMs: number;
  };
}

export interface SharedPinsStats extends EngineStats {
  /** Nodes whose boot here the other servers do not know. */
  readonly unshared: number;
  /** Boots that continued with another server's version instead of their own. */
  readonly adopted: number;
  /** Boots that stayed with their own version although another server shares another one. */
  readonly kept: number;
  /** Shared pins that were not accepted: the store lacks their version, or they can't be read. */
  readonly refused: number;
}

export class SharedEngine {
  readonly link: RedisLink;
  /** See SteadyTime. */
  readonly #clock: Pick<TablesClock, 'now'>;
  readonly #onRefused: (reason: string) => void;
  readonly #failed = { down: 0, deadline: 0, refused: 0 };
  readonly #waits: number[] = [...BOUNDS_MS, 0].map(() => 0);
  #waitedMs = 0;
  /** Added to the server's time, it gives the engine's, ms. */
  #offsetMs: number | undefined;

  constructor(link: RedisLink, clock: Pick<TablesClock, 'now'>, onRefused: (reason: string) => void) {
    this.link = link;
    this.#clock = clock;
    this.#onRefused = onRefused;
  }

  get isUp(): boolean {
    return this.link.state === 'up';
  }

  stats(): EngineStats {
    const waits = { boundsMs: BOUNDS_MS, counts: [...this.#waits], sumMs: this.#waitedMs };
    return { isUp: this.isUp, failed: { ...this.#failed }, waits };
  }

  /** True once the engine has told its time. */
  get hasTime(): boolean {
    return this.#offsetMs !== undefined;
  }

  /** Converts a time of this server to the engine's clock. */
  toEngine(time: number): number {
    return Math.round(time + (this.#offsetMs ?? 0));
  }

  fromEngine(time: number): number {
    return time - (this.#offsetMs ?? 0);
  }

  /**
   * Runs one of the scripts, and further commands in the same write.
   *
   * @returns what the script found for each key, and the other answers; undefined when they did not come within
   *   `deadlineMs`, or one of them is a refusal.
   */
  async ask(
    script: RedisCommand,
    more: readonly RedisCommand[],
    deadlineMs: number,
  ): Promise<{ readonly found: readonly unknown[]; readonly more: readonly unknown[] } | undefined> {
    const from = this.#clock.now();
    try {
      const answers = await this.link.batch([script, ...more], Math.max(1, deadlineMs));
      const refused = answers.find((answer) => answer instanceof RedisError);
      const now = this.#clock.now();
      this.#count(now - from);
      const [told, found] = Array.isArray(answers[0]) ? (answers[0] as readonly unknown[]) : [];
      const time = typeof told === 'string' ? Number(told) : Number.NaN;
      if (refused === undefined && Array.isArray(found) && Number.isSafeInteger(time)) {
        // An answer that came at once tells the time best.
        if (this.#offsetMs === undefined || now - from < PROMPT_MS) this.#offsetMs = time - (from + now) / 2;
        return { found, more: answers.slice(1) };
      }
      this.#failed.refused++;
      this.#onRefused(refused === undefined ? 'an answer of another form' : refused.message);
    } catch (error) {
      if (!(error instanceof RedisError)) throw error;
      this.#failed[error.failure]++;
    }
    return undefined;
  }

  #count(ms: number): void {
    const at = BOUNDS_MS.findIndex((most) => ms <= most);
    this.#waits[at < 0 ? BOUNDS_MS.length : at]!++;
    this.#waitedMs += ms;
  }
}
