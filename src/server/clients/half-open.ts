/**
 * Transfers that nobody has answered yet. A forged sender never answers, and whoever forges one can forge thousands:
 * together they may hold so much and no more. Where there are too many, one is given up at random among those of the
 * address, or else of the network, that has more than its share, or else of all. Knows counts and ages; the owner says who has answered.
 */
import type { Jitter } from '../../session/jitter.ts';
import type { ClientAddress, ClientNetwork } from './client-addresses.ts';

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

/** A transfer, and where it stands in each list; -1: not in it. */
export interface HalfOpenMember<T> {
  /** When its first reply left, in milliseconds; 0 before. */
  readonly startedAt: number;
  /** It ends unless its answer turns out to be there: it counts until then, and is not picked again. */
  givenUp: boolean;
  client: ClientAddress<T> | undefined;
  inAll: number;
  inAddress: number;
  /** -1 as well where the address is known: nobody else's requests cost it its place. */
  inNetwork: number;
}

export interface HalfOpenOptions<T> {
  readonly limits: HalfOpenLimits;
  /** Whether a member is half-open no longer. */
  readonly hasAnswered: (member: T) => boolean;
  /** Whether an address stands for many nodes: then it has no limit of its own. */
  readonly isShared: (address: string) => boolean;
  /** Draws the member to give up. */
  readonly random: Jitter;
}

export class HalfOpen<T extends HalfOpenMember<T>> {
  readonly #options: HalfOpenOptions<T>;
  /** Of addresses that are not known, and of those that are: neither costs the other its place. */
  readonly #strangers: T[] = [];
  readonly #known: T[] = [];

  constructor(options: HalfOpenOptions<T>) {
    this.#options = options;
  }

  /** @param member has its client. */
  enter(member: T, isKnown: boolean): void {
    const client = member.client!;
    const { network } = client;
    // Most addresses have one: an array that begins empty would have room for sixteen more.
    if (client.halfOpen === undefined) client.halfOpen = [member];
    else client.halfOpen.push(member);
    member.inAddress = client.halfOpen.length - 1;
    member.inAll = (isKnown ? this.#known : this.#strangers).push(member) - 1;
    if (isKnown) return;
    network.halfOpen ??= [];
    member.inNetwork = network.halfOpen.push(member) - 1;
  }

  /** Takes a member out. Calling it again does nothing. */
  leave(member: T): void {
    if (member.inAddress < 0) return;
    const { halfOpen, network } = member.client!;
    remove(this.#allLike(member), member, 'inAll');
    remove(halfOpen!, member, 'inAddress');
    if (member.inNetwork >= 0) remove(network.halfOpen!, member, 'inNetwork');
  }

  /** How many of an address, or of a network, have not answered. Looks at each. */
  count({ halfOpen }: ClientAddress<T> | ClientNetwork<T>): number {
    return halfOpen === undefined ? 0 : this.#prune(halfOpen);
  }

  /** One to give up, now that this one has come; undefined where there is room for all. */
  surplus(member: T, now: number): T | undefined {
    const { total, perPrefix, perAddress } = this.#options.limits;
    const { address, halfOpen, network } = member.client!;
    const isLimited = halfOpen!.length > perAddress && !this.#options.isShared(address);
    return (
      (isLimited ? this.#pick(halfOpen!, perAddress, member, now) : undefined) ??
      (member.inNetwork < 0 ? undefined : this.#pick(network.halfOpen!, perPrefix, member, now)) ??
      this.#pick(this.#allLike(member), total, member, now)
    );
  }

  /** True when the lists hold more than half of `limits.total`. They may hold members that have answered: prune() takes those out. */
  get isCrowded(): boolean {
    return Math.max(this.#known.length, this.#strangers.length) > this.#options.limits.total / 2;
  }

  /** Takes out all who have answered. Looks at each. */
  prune(): void {
    this.#prune(this.#known);
    this.#prune(this.#strangers);
  }

  #allLike({ inNetwork }: T): T[] {
    return inNetwork < 0 ? this.#known : this.#strangers;
  }

  /** One at random of a list that is too long: of those looked at, one of a network that has more than its share. */
  #pick(members: readonly T[], limit: number, newest: T, now: number): T | undefined {
    const { hasAnswered, random } = this.#options;
    let found: T | undefined;
    for (let tries = 0; tries < TRIES && members.length > limit; tries++) {
      const member = members[random.next(members.length)]!;
      if (hasAnswered(member)) {
        this.leave(member);
        continue;
      }
      if (member === newest || member.givenUp) continue;
      const { startedAt } = member;
      const isLate = startedAt > 0 && now - startedAt >= GRACE_MS;
      if (!isLate && members.length <= HARD * limit) continue;
      if (found === undefined || this.#excess(member) > this.#excess(found)) found = member;
    }
    return found;
  }

  /** Takes out those that have answered. @returns how many are left. */
  #prune(members: readonly T[]): number {
    const { hasAnswered } = this.#options;
    // From the end: the last one comes into the place of one that leaves.
    for (let at = members.length - 1; at >= 0; at--) if (hasAnswered(members[at]!)) this.leave(members[at]!);
    return members.length;
  }

  /** How many its network has if that is more than its share, 0 otherwise: a rack that boots is no reason. */
  #excess({ client, inNetwork }: T): number {
    const size = inNetwork < 0 ? 0 : client!.network.halfOpen!.length;
    return size > this.#options.limits.perPrefix ? size : 0;
  }
}

/** Puts the last one into its place. */
function remove<T extends HalfOpenMember<T>>(members: T[], member: T, at: 'inAll' | 'inAddress' | 'inNetwork'): void {
  const last = members.pop()!;
  if (last !== member) {
    members[member[at]] = last;
    last[at] = member[at];
  }
  member[at] = -1;
}
