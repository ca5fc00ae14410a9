/**
 * Shares which node uses an address: what one server has learned from names and tables, the others know as memory, which
 * a node's own words override as everywhere. Only addresses of nodes that have acknowledged a file are shared, and doubts.
 */
import type { RedisCommand, RedisLink } from '../../redis/redis-link.ts';
import { ipNode, type NodeId, ownerOf } from '../node/node-identity.ts';
import type { NodeFinder } from './node-finder.ts';
import {
  ADDRESS_SHARED_MS,
  CLAIM_ADDRESS,
  decodeClaim,
  encodeClaim,
  READ_ADDRESS,
  type SharedNode,
} from './shared-record.ts';

/** @limit Addresses whose shared node a server remembers. Shows: nothing: they are read again. */
const MAX_ADDRESSES = 65_536;
/** A claim that a node repeats is written again once the shared one is this much older. */
const RENEW_MS = 60_000;

/** A claim that the engine is known to have. */
interface Shared {
  readonly text: string;
  readonly learnedAt: number;
  readonly seenAt: number;
}

export class SharedAddresses {
  readonly #link: RedisLink;
  readonly #finder: NodeFinder;
  readonly #shared = new Map<string, Shared>();

  constructor(link: RedisLink, finder: NodeFinder) {
    this.#link = link;
    this.#finder = finder;
  }

  /** Forgets what the engine has: it may have lost it. */
  forget(): void {
    this.#shared.clear();
  }

  isFresh(address: string, since: number): boolean {
    return (this.#shared.get(address)?.seenAt ?? Number.NEGATIVE_INFINITY) > since;
  }

  question(address: string): readonly RedisCommand[] {
    return [['EVAL', READ_ADDRESS, 1, this.#link.key('at', address)]];
  }

  /** @param answers those to question(). @returns true when they name the node, and this server did not know it. */
  learn(address: string, [answer]: readonly unknown[], now: number): boolean {
    const [text, leftMs] = Array.isArray(answer) ? (answer as readonly unknown[]) : [];
    const learnedAt = now - Math.max(0, ADDRESS_SHARED_MS - (typeof leftMs === 'number' ? leftMs : 0));
    this.#note(address, { text: typeof text === 'string' ? text : '', learnedAt, seenAt: now });
    const claim = decodeClaim(text);
    return claim !== undefined && this.#finder.hear(address, claim.ids, claim.bySelf, learnedAt);
  }

  /** Returns the commands that tell others which node uses the address of these pins. */
  claims(strand: NodeId, { address, pins }: SharedNode, now: number): readonly RedisCommand[] {
    if (address === '' || ownerOf(strand) !== strand) return [];
    const claim = this.#finder.offer(address);
    if (claim === undefined) return [];
    const isProven = pins.some(({ provisional }) => !provisional) && claim.ids.includes(strand);
    const isDoubted = strand === ipNode(address) && claim.ids.length === 0;
    if (!isProven && !isDoubted) return [];
    const text = encodeClaim(claim);
    const shared = this.#shared.get(address);
    const { learnedAt } = claim;
    const leftMs = Math.floor(ADDRESS_SHARED_MS - (now - learnedAt));
    if (leftMs <= 0 || (shared?.text === text && learnedAt - shared.learnedAt < RENEW_MS)) return [];
    this.#note(address, { text, learnedAt, seenAt: now });
    return [['EVAL', CLAIM_ADDRESS, 1, this.#link.key('at', address), text, leftMs]];
  }

  #note(address: string, shared: Shared): void {
    this.#shared.delete(address);
    this.#shared.set(address, shared);
    if (this.#shared.size > MAX_ADDRESSES) this.#shared.delete(this.#shared.keys().next().value!);
  }
}
