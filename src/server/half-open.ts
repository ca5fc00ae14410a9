/**
 * Transfers that nobody has answered yet. A forged sender never answers, and whoever forges one can forge thousands:
 * together they may hold so much and no more. Where there are too many, one is given up at random among those of the
 * address, or else of the network, that has more than its share, or else of all. Knows counts and ages; the owner says who has answered.
 */
import type { Jitter } from '../session/jitter.ts';

export interface HalfOpenLimits {
  /** Above these, members that have had a second to answer are given up. Default 2,048, 512 of a network, 64 of an address. */
  readonly total: number;
  readonly perPrefix: number;
  readonly perAddress: number;
}

/** Above so many times a limit, members are given up that may still answer: the others keep more than half the sessions. */
const HARD = 2;
/** How long a client may take to answer the first reply before it is given up for others. */
const GRACE_MS = 1000;
/** Members looked at for one to give up. */
const TRIES = 4;

export interface HalfOpenMember {
  /** When its first reply left, in milliseconds; 0 before. */
  readonly startedAt: number;
}

/** A member and where it stands in each list. */
export interface Place<T> {
  readonly member: T;
  readonly address: string;
  /** undefined: its address is known, and nobody else's requests cost it its place. */
  readonly prefix: string | undefined;
  inAll: number;
  inAddress: number;
  inPrefix: number;
}

export class HalfOpen<T extends HalfOpenMember> {
  readonly #limits: HalfOpenLimits;
  readonly #hasAnswered: (member: T) => boolean;
  readonly #random: Jitter;
  /** Of addresses that are not known, and of those that are: neither costs the other its place. */
  readonly #strangers: Place<T>[] = [];
  readonly #known: Place<T>[] = [];
  readonly #addresses = new Map<string, Place<T>[]>();
  readonly #prefixes = new Map<string, Place<T>[]>();

  /** @param hasAnswered whether a member is half-open no longer. @param random draws who is given up. */
  constructor(limits: HalfOpenLimits, hasAnswered: (member: T) => boolean, random: Jitter) {
    this.#limits = limits;
    this.#hasAnswered = hasAnswered;
    this.#random = random;
  }

  /** @param prefix undefined for an address that is known. */
  enter(member: T, address: string, prefix: string | undefined): Place<T> {
    const place: Place<T> = { member, address, prefix, inAll: -1, inAddress: -1, inPrefix: -1 };
    place.inAddress = addTo(this.#addresses, address, place);
    place.inAll = this.#allLike(place).push(place) - 1;
    if (prefix !== undefined) place.inPrefix = addTo(this.#prefixes, prefix, place);
    return place;
  }

  /** Takes a member out. Calling it again does nothing. */
  leave(place: Place<T>): void {
    if (place.inAddress < 0) return;
    removeFrom(this.#addresses, place.address, place, 'inAddress');
    remove(this.#allLike(place), place, 'inAll');
    if (place.prefix !== undefined) removeFrom(this.#prefixes, place.prefix, place, 'inPrefix');
  }

  /** How many of an address have not answered. Looks at each. */
  countOfAddress(address: string): number {
    return this.#count(this.#addresses.get(address));
  }

  /** How many of a network have not answered. Looks at each. */
  countOfPrefix(prefix: string): number {
    return this.#count(this.#prefixes.get(prefix));
  }

  /** One to give up, now that this one has come; undefined where there is room for all. @param isShared no limit per address. */
  surplus(place: Place<T>, isShared: boolean, now: number): T | undefined {
    const { address, prefix } = place;
    const { total, perPrefix, perAddress } = this.#limits;
    return (
      (isShared ? undefined : this.#pick(this.#addresses.get(address), perAddress, place, now)) ??
      (prefix === undefined ? undefined : this.#pick(this.#prefixes.get(prefix), perPrefix, place, now)) ??
      this.#pick(this.#allLike(place), total, place, now)
    );
  }

  #allLike({ prefix }: Place<T>): Place<T>[] {
    return prefix === undefined ? this.#known : this.#strangers;
  }

  /** One at random of a list that is too long: of those looked at, one of a network that has more than its share. */
  #pick(places: readonly Place<T>[] = [], limit: number, newest: Place<T>, now: number): T | undefined {
    let found: Place<T> | undefined;
    for (let tries = 0; tries < TRIES && places.length > limit; tries++) {
      const place = places[this.#random.next(places.length)]!;
      if (this.#hasAnswered(place.member)) {
        this.leave(place);
        continue;
      }
      if (place === newest) continue;
      const { startedAt } = place.member;
      const isLate = startedAt > 0 && now - startedAt >= GRACE_MS;
      if (!isLate && places.length <= HARD * limit) continue;
      if (found === undefined || this.#excess(place) > this.#excess(found)) found = place;
    }
    return found?.member;
  }

  /** How many its network has if that is more than its share, 0 otherwise: a rack that boots is no reason. */
  #excess({ prefix }: Place<T>): number {
    const size = prefix === undefined ? 0 : (this.#prefixes.get(prefix)?.length ?? 0);
    return size > this.#limits.perPrefix ? size : 0;
  }

  #count(places: readonly Place<T>[] = []): number {
    // From the end: the last one comes into the place of one that leaves.
    for (let at = places.length - 1; at >= 0; at--) if (this.#hasAnswered(places[at]!.member)) this.leave(places[at]!);
    return places.length;
  }
}

function addTo<T>(lists: Map<string, Place<T>[]>, key: string, place: Place<T>): number {
  const places = lists.get(key);
  if (places !== undefined) return places.push(place) - 1;
  // Most addresses have one: an array that begins empty would have room for sixteen more.
  lists.set(key, [place]);
  return 0;
}

type At = 'inAll' | 'inAddress' | 'inPrefix';

function removeFrom<T>(lists: Map<string, Place<T>[]>, key: string, place: Place<T>, at: At): void {
  const places = lists.get(key)!;
  remove(places, place, at);
  if (places.length === 0) lists.delete(key);
}

/** Puts the last one into its place. */
function remove<T>(places: Place<T>[], place: Place<T>, at: At): void {
  const last = places.pop()!;
  if (last !== place) {
    places[place[at]] = last;
    last[at] = place[at];
  }
  place[at] = -1;
}
