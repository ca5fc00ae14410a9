/**
 * Half-open transfers: their clients have not answered yet. A forged sender never answers and can send thousands of
 * requests, so their number is limited. Above a limit, one of them is given up at random: one of an address above its
 * share, otherwise one of a network above its share, otherwise any. Knows counts and ages; the owner knows which
 * clients have answered.
 */
import type { Jitter } from '../../session/jitter.ts';
import type { ClientAddress, ClientNetwork } from './client-addresses.ts';

export interface HalfOpenLimits {
  /**
   * Above these limits, members that have had a second to answer are given up. Default 2,048 in total, 512 for a
   * network, 64 for an address.
   */
  readonly total: number;
  readonly perPrefix: number;
  readonly perAddress: number;
}

/**
 * A limit is never exceeded by more than this factor: the others keep more than half the sessions.
 * @limit Factor by which half-open transfers may exceed a limit while all of them may still answer. Shows:
 * `reveille_requests_ignored_total{reason="unanswered"}`.
 */
const HARD = 2;
/** How long a client may take to answer the first reply before it is given up for others. */
const GRACE_MS = 1000;
/**
 * The same above {@link HARD} times a limit. A client's ACK may be on its way for so long while a whole hall boots; if
 * its transfer were given up, it would acknowledge to a closed port until its patience ends. A newcomer has received
 * nothing, and asks again. At 2,048, a flood must exceed 16,000 requests a second to turn newcomers away.
 * @limit Age below which a half-open transfer keeps its place, even above that factor; a new request that finds no older
 * transfer stays unanswered. Shows: `reveille_requests_ignored_total{reason="unanswered"}`.
 */
const SHORT_GRACE_MS = 250;
/** Members examined to find one to give up. */
const TRIES = 4;

/** A transfer, and its index in each list; -1: not in it. */
export interface HalfOpenMember<T> {
  /** When its first reply was sent, ms; 0 before. */
  readonly startedAt: number;
  /**
   * True when it is to be given up, unless an answer has arrived unread. It counts until its worker ends it, and is not
   * picked again.
   */
  givenUp: boolean;
  client: ClientAddress<T> | undefined;
  inAll: number;
  inAddress: number;
  /**
   * Index in the network's list. Also -1 for a known address, so that requests of its neighbors can't end its
   * transfers.
   */
  inNetwork: number;
}

export interface HalfOpenOptions<T> {
  readonly limits: HalfOpenLimits;
  /** Tells whether a member has answered and is no longer half-open. */
  readonly hasAnswered: (member: T) => boolean;
  /** Tells whether an address stands for many nodes: it then has no limit of its own. */
  readonly isShared: (address: string) => boolean;
  /** Draws the member to give up. */
  readonly random: Jitter;
}

export class HalfOpen<T extends HalfOpenMember<T>> {
  readonly #options: HalfOpenOptions<T>;
  /**
   * Members with unknown and with known addresses, in separate lists: a member of one list never displaces one of the
   * other.
   */
  readonly #strangers: T[] = [];
  readonly #known: T[] = [];

  constructor(options: HalfOpenOptions<T>) {
    this.#options = options;
  }

  /** @param member a member with its client set. */
  enter(member: T, isKnown: boolean): void {
    const client = member.client!;
    const { network } = client;
    // Most addresses have one member: an array that begins empty would have room for sixteen more.
    if (client.halfOpen === undefined) client.halfOpen = [member];
    else client.halfOpen.push(member);
    member.inAddress = client.halfOpen.length - 1;
    member.inAll = (isKnown ? this.#known : this.#strangers).push(member) - 1;
    if (isKnown) return;
    network.halfOpen ??= [];
    member.inNetwork = network.halfOpen.push(member) - 1;
  }

  /** Removes a member. Calling it again has no effect. */
  leave(member: T): void {
    if (member.inAddress < 0) return;
    const { halfOpen, network } = member.client!;
    remove(this.#allLike(member), member, 'inAll');
    remove(halfOpen!, member, 'inAddress');
    if (member.inNetwork >= 0) remove(network.halfOpen!, member, 'inNetwork');
  }

  /** Returns how many members of an address or a network have not answered. Checks each. */
  count({ halfOpen }: ClientAddress<T> | ClientNetwork<T>): number {
    return halfOpen === undefined ? 0 : this.#prune(halfOpen);
  }

  /**
   * Returns a member to give up now that this one has entered, possibly itself; undefined where there is room for all.
   */
  surplus(member: T, now: number): T | undefined {
    const { total, perPrefix, perAddress } = this.#options.limits;
    const { address, halfOpen, network } = member.client!;
    const isLimited = halfOpen!.length > perAddress && !this.#options.isShared(address);
    const isKnown = member.inNetwork < 0;
    // A flood with a node's address must not lock the node out, so the newest member of an address is always served.
    return (
      (isLimited ? this.#pick(halfOpen!, perAddress, member, now, 0) : undefined) ??
      (isKnown ? undefined : this.#pick(network.halfOpen!, perPrefix, member, now, SHORT_GRACE_MS)) ??
      this.#pick(this.#allLike(member), total, member, now, isKnown ? 0 : SHORT_GRACE_MS)
    );
  }

  /**
   * True when a list holds more than half of `limits.total`. Lists may hold members that have answered: prune() removes
   * them.
   */
  get isCrowded(): boolean {
    return Math.max(this.#known.length, this.#strangers.length) > this.#options.limits.total / 2;
  }

  /** Removes all members that have answered. Checks each. */
  prune(): void {
    this.#prune(this.#known);
    this.#prune(this.#strangers);
  }

  #allLike({ inNetwork }: T): T[] {
    return inNetwork < 0 ? this.#known : this.#strangers;
  }

  /**
   * Picks a random member of a list that is too long; among those examined it prefers a network above its share.
   *
   * @param hardGrace how long a member may take to answer when the list has reached its hard limit, ms. If all examined
   *   are younger, the newest is picked; 0: never.
   */
  #pick(members: readonly T[], limit: number, newest: T, now: number, hardGrace: number): T | undefined {
    const { hasAnswered, random } = this.#options;
    let found: T | undefined;
    for (let tries = 0; tries < TRIES && members.length > limit; tries++) {
      const member = members[random.next(members.length)]!;
      if (hasAnswered(member)) {
        this.leave(member);
        continue;
      }
      if (member === newest || member.givenUp) continue;
      const age = member.startedAt > 0 ? now - member.startedAt : 0;
      if (age < (members.length > HARD * limit ? hardGrace : GRACE_MS)) continue;
      if (found === undefined || this.#excess(member) > this.#excess(found)) found = member;
    }
    return found ?? (hardGrace > 0 && members.length > HARD * limit ? newest : undefined);
  }

  /** Removes members that have answered. @returns how many are left. */
  #prune(members: readonly T[]): number {
    const { hasAnswered } = this.#options;
    // Backward, because the last member takes the place of one that leaves.
    for (let at = members.length - 1; at >= 0; at--) if (hasAnswered(members[at]!)) this.leave(members[at]!);
    return members.length;
  }

  /** Returns the size of its network if that is above its share, otherwise 0: a booting rack is not penalized. */
  #excess({ client, inNetwork }: T): number {
    const size = inNetwork < 0 ? 0 : client!.network.halfOpen!.length;
    return size > this.#options.limits.perPrefix ? size : 0;
  }
}

/** Moves the last member into its place. */
function remove<T extends HalfOpenMember<T>>(members: T[], member: T, at: 'inAll' | 'inAddress' | 'inNetwork'): void {
  const last = members.pop()!;
  if (last !== member) {
    members[member[at]] = last;
    last[at] = member[at];
  }
  member[at] = -1;
}
