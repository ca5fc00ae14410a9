/**
 * The last ten minutes, second by second: throughput, transfers, time to first reply; and sums over the last minute.
 * Fed with counters that only grow and with transfers as they end. Uses fixed memory; time is an argument.
 */
import type { ServerStats } from '../server/types.ts';
import type { ChartPoint } from '../live/wire.ts';

/** Number of seconds kept. */
export const SERIES_S = 600;
/** Number of seconds that sums cover. */
const MINUTE_S = 60;
/** Buckets for times to first reply: eight for each doubling, up to a minute. */
const BUCKETS = 128;
const PER_OCTAVE = 8;

/** Values of counters; each only grows. */
export interface Counts {
  readonly requests: number;
  readonly dataSent: number;
  readonly bytesSent: number;
  readonly retransmits: number;
  readonly receiveDrops: number;
  readonly sendDrops: number;
  readonly overload: number;
  readonly unreadable: number;
  readonly threadsLost: number;
  readonly transfersResumed: number;
  /** Transfers that were lost with their thread. Over HTTP their clients resume. */
  readonly transfersLost: number;
}

const NOTHING: Counts = {
  requests: 0,
  dataSent: 0,
  bytesSent: 0,
  retransmits: 0,
  receiveDrops: 0,
  sendDrops: 0,
  overload: 0,
  unreadable: 0,
  threadsLost: 0,
  transfersResumed: 0,
  transfersLost: 0,
};
const KEYS = Object.keys(NOTHING) as (keyof Counts)[];

export function countsOf(stats: ServerStats): Counts {
  const { packets, ignoredTotal, http } = stats;
  return {
    requests: stats.requestsTotal,
    dataSent: packets.dataSent,
    bytesSent: packets.dataBytesSent + (http?.sentBytesTotal ?? 0),
    retransmits: packets.dataRetransmitted,
    receiveDrops: packets.receiveDrops + stats.requestDropsTotal,
    sendDrops: packets.sendDrops,
    overload: (ignoredTotal['queueFull'] ?? 0) + (ignoredTotal['expired'] ?? 0),
    unreadable: (ignoredTotal['busy'] ?? 0) + (http?.overloadedTotal ?? 0),
    threadsLost: stats.workersLostTotal + (http?.threadsLostTotal ?? 0),
    transfersResumed: stats.transfersResumedTotal,
    transfersLost: Object.values(stats.transfersLostTotal).reduce((sum, lost) => sum + lost, 0),
  };
}

interface Second {
  readonly at: number;
  readonly counts: Counts;
  readonly bytesPerS: number;
  readonly requestsPerS: number;
  readonly active: number;
}

function bucketOf(ms: number): number {
  return Math.min(BUCKETS - 1, Math.round(PER_OCTAVE * Math.log2(ms + 1)));
}

function msOf(bucket: number): number {
  return Math.round((2 ** (bucket / PER_OCTAVE) - 1) * 10) / 10;
}

export class TimeSeries {
  readonly #seconds: Second[] = [];
  /** A row of buckets for each second, by its number modulo SERIES_S. */
  readonly #replies = new Uint32Array(SERIES_S * BUCKETS);
  /** Seconds whose points have changed since takeChanged() was last called. */
  readonly #changed = new Set<number>();
  #last = 0;
  #lastMs = 0;

  /** Takes a sample; called about once a second. @param nowMs milliseconds since the epoch. */
  sample(nowMs: number, counts: Counts, active: number): void {
    const at = Math.floor(nowMs / 1000);
    const before = this.#seconds.at(-1);
    if (before !== undefined && at <= before.at) return;
    this.#advance(at);
    const passedS = (nowMs - this.#lastMs) / 1000;
    const perS = (key: keyof Counts): number =>
      before === undefined ? 0 : Math.max(0, (counts[key] - before.counts[key]) / passedS);
    this.#lastMs = nowMs;
    this.#seconds.push({ at, counts, bytesPerS: perS('bytesSent'), requestsPerS: perS('requests'), active });
    if (this.#seconds.length > SERIES_S) this.#seconds.shift();
    this.#changed.add(at);
  }

  /**
   * Records a first reply. @param sentMs time it was sent, in milliseconds since the epoch. @param tookMs time since
   * its request, in milliseconds.
   */
  replied(sentMs: number, tookMs: number, nowMs: number): void {
    const at = Math.floor(sentMs / 1000);
    this.#advance(Math.floor(nowMs / 1000));
    if (at <= this.#last - SERIES_S || at > this.#last) return;
    this.#replies[(at % SERIES_S) * BUCKETS + bucketOf(tookMs)]!++;
    this.#changed.add(at);
  }

  /** @returns a point for every second kept, oldest first. */
  points(): ChartPoint[] {
    return this.#seconds.map((second) => this.#point(second));
  }

  /** @returns the points that have changed since the last call; readers have the older ones already. */
  takeChanged(): ChartPoint[] {
    const points = this.#seconds.filter(({ at }) => this.#changed.has(at)).map((second) => this.#point(second));
    this.#changed.clear();
    return points;
  }

  get now(): { readonly bytesPerS: number; readonly requestsPerS: number } {
    return this.#seconds.at(-1) ?? { bytesPerS: 0, requestsPerS: 0 };
  }

  /** Growth of the counters over the last minute. */
  get minute(): Counts {
    const last = this.#seconds.at(-1);
    const first = this.#seconds.at(-1 - MINUTE_S) ?? this.#seconds[0];
    if (last === undefined || first === undefined) return NOTHING;
    return Object.fromEntries(KEYS.map((key) => [key, last.counts[key] - first.counts[key]])) as unknown as Counts;
  }

  /** @returns a percentile over the last minute; null when no first reply was sent. */
  firstReplyOfMinute(share: number): number | null {
    const sums = Array.from({ length: BUCKETS }, () => 0);
    for (let at = Math.max(0, this.#last - MINUTE_S + 1); at <= this.#last; at++) {
      const row = (at % SERIES_S) * BUCKETS;
      for (let bucket = 0; bucket < BUCKETS; bucket++) sums[bucket]! += this.#replies[row + bucket]!;
    }
    return percentile(sums, share);
  }

  /** Empties the rows of seconds that begin. */
  #advance(at: number): void {
    for (let next = Math.max(this.#last + 1, at - SERIES_S + 1); next <= at; next++) {
      const row = (next % SERIES_S) * BUCKETS;
      this.#replies.fill(0, row, row + BUCKETS);
    }
    this.#last = Math.max(this.#last, at);
  }

  #point({ at, bytesPerS, active }: Second): ChartPoint {
    const row = (at % SERIES_S) * BUCKETS;
    const counts = this.#replies.subarray(row, row + BUCKETS);
    return {
      at,
      bytesPerS: Math.round(bytesPerS),
      active,
      firstReplyP50: percentile(counts, 0.5),
      firstReplyP99: percentile(counts, 0.99),
    };
  }
}

/** @returns the percentile by nearest rank. */
function percentile(counts: ArrayLike<number>, share: number): number | null {
  let sum = 0;
  for (let bucket = 0; bucket < counts.length; bucket++) sum += counts[bucket]!;
  if (sum === 0) return null;
  let left = Math.max(1, Math.ceil(sum * share));
  for (let bucket = 0; bucket < counts.length; bucket++) {
    left -= counts[bucket]!;
    if (left <= 0) return msOf(bucket);
  }
  return null;
}
