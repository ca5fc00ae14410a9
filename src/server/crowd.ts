/**
 * Who may have how much of the server: limits for addresses and their networks, by what they have and by what they have
 * proven. An address that completed a transfer of late is never held up because of what others do, so that nobody can
 * lock a rack out by forging its neighbours. Decides; ends nothing itself.
 */
import { Jitter } from '../session/jitter.ts';
import { prefixOf } from '../text/address-prefix.ts';
import { HalfOpen, type HalfOpenLimits, type Place } from './half-open.ts';
import { KnownAddresses } from './known-addresses.ts';

import { SessionShares } from './session-shares.ts';

export interface CrowdLimits {
  readonly halfOpen: HalfOpenLimits;
  /** Transfers of one address that have been answered, or will be. Default 256. */
  readonly sessionsPerAddress: number;
  /** The same of a /24 of IPv4, and of a /64 of IPv6. Default 2,048 and 8,192. */
  readonly sessionsPerPrefix4: number;
  readonly sessionsPerPrefix6: number;
}

export interface CrowdMember {
  readonly peer: { readonly address: string };
  readonly startedAt: number;
  /** Where it stands among those that nobody has answered. */
  place: Place<CrowdMember> | undefined;
}

export interface CrowdOptions<T> {
  readonly limits: CrowdLimits;
  /** Whether an address stands for many nodes: then it has no limit of its own. */
  readonly isShared: (address: string) => boolean;
  readonly hasAnswered: (member: T) => boolean;
  readonly seed: number;
}

export class Crowd<T extends CrowdMember> {
  readonly #options: CrowdOptions<T>;
  readonly #halfOpen: HalfOpen<CrowdMember>;
  readonly #known = new KnownAddresses();
  readonly #shares = new SessionShares();

  constructor(options: CrowdOptions<T>) {
    this.#options = options;
    const { limits, hasAnswered, seed } = options;
    this.#halfOpen = new HalfOpen(limits.halfOpen, hasAnswered as (member: CrowdMember) => boolean, new Jitter(seed));
  }

  isKnown(address: string, now: number): boolean {
    return this.#known.has(address, now);
  }

  /** Why the address may not have one more transfer now. */
  refusal(address: string, now: number): 'addressFull' | 'prefixFull' | undefined {
    const { limits, isShared } = this.#options;
    // What is forged is half-open, and must not count against the one whose address it bears.
    if (this.#shares.ofAddress(address) >= limits.sessionsPerAddress && !isShared(address)) {
      const answered = this.#shares.ofAddress(address) - this.#halfOpen.countOfAddress(address);
      if (answered >= limits.sessionsPerAddress) return 'addressFull';
    }
    const most = address.includes(':') ? limits.sessionsPerPrefix6 : limits.sessionsPerPrefix4;
    if (this.#shares.total < most) return undefined;
    const prefix = prefixOf(address);
    if (this.#shares.ofPrefix(prefix) < most || this.#known.has(address, now)) return undefined;
    const answered = this.#shares.ofPrefix(prefix) - this.#halfOpen.countOfPrefix(prefix);
    return answered >= most ? 'prefixFull' : undefined;
  }

  /** @returns a transfer that is to be given up for this one, if there are too many that nobody has answered. */
  enter(member: T, now: number): T | undefined {
    const { address } = member.peer;
    const prefix = prefixOf(address);
    this.#shares.enter(address, prefix);
    member.place = this.#halfOpen.enter(member, address, this.#known.has(address, now) ? undefined : prefix);
    return this.#halfOpen.surplus(member.place, this.#options.isShared(address), now) as T | undefined;
  }

  /** Calling it for one that has not entered does nothing. */
  leave(member: T): void {
    if (member.place === undefined) return;
    const { address } = member.peer;
    this.#shares.leave(address, prefixOf(address));
    this.#halfOpen.leave(member.place);
    member.place = undefined;
  }

  /** A transfer of that address has been confirmed to its last block. */
  completed(address: string, now: number): void {
    this.#known.add(address, now);
  }
}
