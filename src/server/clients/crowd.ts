/**
 * Limits on what each address and network may have of the server, by their transfers and by what they have proven. An
 * address that completed a transfer recently is never held up by the others of its network, so forging its neighbors'
 * requests can't lock out a rack. Decides; ends nothing itself.
 */
import { Jitter } from '../../session/jitter.ts';
import { type ClientAddress, ClientAddresses } from './client-addresses.ts';
import { HalfOpen, type HalfOpenLimits, type HalfOpenMember, type HalfOpenOptions } from './half-open.ts';

/**
 * ACKs are easy to forge at a port that everybody knows, and each one draws a whole window to the address it bears.
 * @limit Largest `windowsize` with `singlePort`, blocks, for an address that has completed no transfer in the last
 * hour. Setting: `singlePort`. Shows: `windowsize` in the log.
 */
const MAX_UNKNOWN_WINDOWSIZE = 4;
const KNOWN_FOR_WINDOWS_MS = 3_600_000;

export interface CrowdLimits {
  readonly halfOpen: HalfOpenLimits;
  /** Transfers of one address, without its half-open ones. Default 256. */
  readonly sessionsPerAddress: number;
  /** The same for a /24 of IPv4, and for a /64 of IPv6. Default 2,048 and 8,192. */
  readonly sessionsPerPrefix4: number;
  readonly sessionsPerPrefix6: number;
  /** Largest windowsize granted, in blocks, 1..32767. Default 64. */
  readonly maxWindowsize: number;
}

export interface CrowdMember<T> extends HalfOpenMember<T> {
  readonly peer: { readonly address: string };
}

export interface CrowdOptions<T> extends Pick<HalfOpenOptions<T>, 'hasAnswered' | 'isShared'> {
  readonly limits: CrowdLimits;
  readonly seed: number;
  /** See LauncherOptions. */
  readonly singlePort?: boolean | undefined;
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

  /** Returns the largest windowsize for an address, in blocks. */
  maxWindowsize(address: string, now: number): number {
    const { maxWindowsize } = this.#options.limits;
    if (this.#options.singlePort !== true) return maxWindowsize;
    const completedAt = this.#addresses.find(address)?.completedAt ?? Number.NEGATIVE_INFINITY;
    return now - completedAt < KNOWN_FOR_WINDOWS_MS ? maxWindowsize : Math.min(maxWindowsize, MAX_UNKNOWN_WINDOWSIZE);
  }

  /** Returns why the address may not have one more transfer now. */
  refusal(address: string, now: number): 'addressFull' | 'prefixFull' | undefined {
    const { limits, isShared } = this.#options;
    const most = address.includes(':') ? limits.sessionsPerPrefix6 : limits.sessionsPerPrefix4;
    // No address can have more than all addresses together.
    if (this.#addresses.transfers < Math.min(limits.sessionsPerAddress, most)) return undefined;
    const client = this.#addresses.find(address);
    // Forged transfers are half-open, and must not count against the address they bear.
    if (client !== undefined && client.transfers >= limits.sessionsPerAddress && !isShared(address)) {
      if (client.transfers - this.#halfOpen.count(client) >= limits.sessionsPerAddress) return 'addressFull';
    }
    if (this.#addresses.transfers < most || this.#addresses.isKnown(client, now)) return undefined;
    const network = client?.network ?? this.#addresses.networkOf(address);
    if (network === undefined || network.transfers < most) return undefined;
    return network.transfers - this.#halfOpen.count(network) >= most ? 'prefixFull' : undefined;
  }

  /** True when half-open transfers may have more than half of their limit. */
  get isCrowded(): boolean {
    return this.#halfOpen.isCrowded;
  }

  /** Like isCrowded, but exact. Checks each half-open transfer. */
  lookWhetherCrowded(): boolean {
    if (this.#halfOpen.isCrowded) this.#halfOpen.prune();
    return this.#halfOpen.isCrowded;
  }

  /** @returns a transfer to give up for this one, if too many are unanswered. */
  enter(member: T, now: number): T | undefined {
    member.client = this.#addresses.enter(member.peer.address);
    this.#halfOpen.enter(member, this.#addresses.isKnown(member.client, now));
    return this.#halfOpen.surplus(member, now);
  }

  /** Has no effect for a transfer that has not entered. */
  leave(member: T): void {
    const { client } = member;
    if (client === undefined) return;
    this.#halfOpen.leave(member);
    this.#addresses.leave(client);
    member.client = undefined;
  }

  /** Counts one more transfer of an address that is proven from its first byte, as TCP's are. @returns see part(). */
  join(address: string): ClientAddress<T> {
    return this.#addresses.enter(address);
  }

  /** Ends what join() began. Call once. */
  part(client: ClientAddress<T>): void {
    this.#addresses.leave(client);
  }

  /** Call when an address of join() has taken a whole file: it is then known to all protocols. */
  served(address: string, now: number): void {
    const client = this.#addresses.find(address);
    if (client !== undefined) this.#addresses.completed(client, now);
  }

  /**
   * Call when a transfer has been confirmed to its last block. One that has left is ignored: its client asked for
   * something else.
   */
  completed({ client }: T, now: number): void {
    if (client !== undefined) this.#addresses.completed(client, now);
  }
}
