/**
 * Who may have how much of the server: limits for addresses and their networks, by what they have and by what they have
 * proven. An address that completed a transfer of late is never held up because of what others do, so that nobody can
 * lock a rack out by forging its neighbours. Decides; ends nothing itself.
 */
import { Jitter } from '../../session/jitter.ts';
import { ClientAddresses } from './client-addresses.ts';
import { HalfOpen, type HalfOpenLimits, type HalfOpenMember } from './half-open.ts';

export interface CrowdLimits {
  readonly halfOpen: HalfOpenLimits;
  /** Transfers of one address that have been answered, or will be. Default 256. */
  readonly sessionsPerAddress: number;
  /** The same of a /24 of IPv4, and of a /64 of IPv6. Default 2,048 and 8,192. */
  readonly sessionsPerPrefix4: number;
  readonly sessionsPerPrefix6: number;
}

export interface CrowdMember<T> extends HalfOpenMember<T> {
  readonly peer: { readonly address: string };
}

export interface CrowdOptions<T> {
  readonly limits: CrowdLimits;
  /** Whether an address stands for many nodes: then it has no limit of its own. */
  readonly isShared: (address: string) => boolean;
  readonly hasAnswered: (member: T) => boolean;
  readonly seed: number;
}

export class Crowd<T extends CrowdMember<T>> {
  readonly #options: CrowdOptions<T>;
  readonly #halfOpen: HalfOpen<T>;
  readonly #addresses = new ClientAddresses<T>();

  constructor(options: CrowdOptions<T>) {
    this.#options = options;
    const { limits, hasAnswered, isShared, seed } = options;
    this.#halfOpen = new HalfOpen({ limits: limits.halfOpen, hasAnswered, isShared, random: new Jitter(seed) });
  }

  isKnown(address: string, now: number): boolean {
    return this.#addresses.isKnown(this.#addresses.find(address), now);
  }

  /** Why the address may not have one more transfer now. */
  refusal(address: string, now: number): 'addressFull' | 'prefixFull' | undefined {
    const { limits, isShared } = this.#options;
    const most = address.includes(':') ? limits.sessionsPerPrefix6 : limits.sessionsPerPrefix4;
    // Nobody can have more than all have.
    if (this.#addresses.transfers < Math.min(limits.sessionsPerAddress, most)) return undefined;
    const client = this.#addresses.find(address);
    // What is forged is half-open, and must not count against the one whose address it bears.
    if (client !== undefined && client.transfers >= limits.sessionsPerAddress && !isShared(address)) {
      if (client.transfers - this.#halfOpen.count(client) >= limits.sessionsPerAddress) return 'addressFull';
    }
    if (this.#addresses.transfers < most || this.#addresses.isKnown(client, now)) return undefined;
    const network = client?.network ?? this.#addresses.networkOf(address);
    if (network === undefined || network.transfers < most) return undefined;
    return network.transfers - this.#halfOpen.count(network) >= most ? 'prefixFull' : undefined;
  }

  /** True when half-open transfers may take more than half of their room. */
  get isCrowded(): boolean {
    return this.#halfOpen.isCrowded;
  }

  /** As isCrowded, for certain. Looks at each half-open transfer. */
  lookWhetherCrowded(): boolean {
    if (this.#halfOpen.isCrowded) this.#halfOpen.prune();
    return this.#halfOpen.isCrowded;
  }

  /** @returns a transfer that is to be given up for this one, if there are too many that nobody has answered. */
  enter(member: T, now: number): T | undefined {
    member.client = this.#addresses.enter(member.peer.address);
    this.#halfOpen.enter(member, this.#addresses.isKnown(member.client, now));
    return this.#halfOpen.surplus(member, now);
  }

  /** Calling it for one that has not entered does nothing. */
  leave(member: T): void {
    const { client } = member;
    if (client === undefined) return;
    this.#halfOpen.leave(member);
    this.#addresses.leave(client);
    member.client = undefined;
  }

  /** A transfer has been confirmed to its last block. One that has left says nothing: its client asked for something else. */
  completed({ client }: T, now: number): void {
    if (client !== undefined) this.#addresses.completed(client, now);
  }
}
