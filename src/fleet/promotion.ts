/**
 * Promotions: moves of a channel that hold on every server of a fleet. Their form in Redis, their order, and what a
 * server does about one. Pure.
 */
import { isDigest } from '../boot-set/store/layout.ts';
import type { PromotionRecord } from '../boot-set/store/records.ts';

export type { PromotionRecord } from '../boot-set/store/records.ts';

/** Longest text of a promotion that is read, in characters. */
const MAX_TEXT = 1000;

/** Returns true for a count that a record may hold. */
export function isWholeNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Latest time that a Date holds, in milliseconds since the epoch (ECMA-262 21.4.1.1). */
const LAST_TIME = 8.64e15;

/** Returns true for a time that a record may hold, in milliseconds since the epoch. */
export function isTime(value: unknown): value is number {
  return isWholeNumber(value) && value <= LAST_TIME;
}

export function promotionText({ generation, at, manifest }: PromotionRecord): string {
  return JSON.stringify({ generation, at, manifest });
}

/** Returns undefined for anything but a promotion: whoever can reach Redis may have written the text. */
export function parsePromotion(text: unknown): PromotionRecord | undefined {
  if (typeof text !== 'string' || text.length > MAX_TEXT) return undefined;
  try {
    return promotionOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export function promotionOf(value: unknown): PromotionRecord | undefined {
  const { generation, at, manifest } = (value ?? {}) as Partial<Record<keyof PromotionRecord, unknown>>;
  const isOne = isWholeNumber(generation) && generation > 0 && isTime(at) && typeof manifest === 'string';
  return isOne && isDigest(manifest) ? { generation, at, manifest } : undefined;
}

/**
 * Returns true when `one` supersedes `other`. Two promotions have the same generation when Redis lost the first in a
 * failover; the later one then counts.
 */
export function supersedes(one: PromotionRecord, other: PromotionRecord | undefined): boolean {
  if (other === undefined) return true;
  if (one.generation !== other.generation) return one.generation > other.generation;
  return one.at === other.at ? one.manifest > other.manifest : one.at > other.at;
}

/**
 * Decision of a server about a channel:
 * - `move`: make the promoted version current.
 * - `stage`: fetch the promoted version first; the channel stays until then.
 * - `offer`: give Redis the promotion that it has lost.
 * - `conflict`: stay. Redis has a lower generation that is later than this server's: the server has the memory of a
 *   fleet whose Redis was replaced, and must not take the fleet back to it.
 */
export type PromotionStep = 'nothing' | 'move' | 'stage' | 'offer' | 'conflict';

/**
 * @param own promotion that the server has followed last.
 * @param shared promotion in Redis.
 * @param isStaged true when the server holds the version of `shared`.
 */
export function promotionStep(
  own: PromotionRecord | undefined,
  shared: PromotionRecord | undefined,
  isStaged: boolean,
): PromotionStep {
  if (shared === undefined) return own === undefined ? 'nothing' : 'offer';
  if (supersedes(shared, own)) return isStaged ? 'move' : 'stage';
  if (own === undefined || !supersedes(own, shared)) return 'nothing';
  return own.at >= shared.at ? 'offer' : 'conflict';
}
