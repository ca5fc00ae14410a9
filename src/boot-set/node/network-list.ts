/** List of networks; used for those whose addresses each stand for many nodes. Knows CIDR notation, and no pins. */
import { BlockList, isIP, SocketAddress } from 'node:net';

/** Parses `192.0.2.0/24`, `2001:db8::/32` or a single address. @returns undefined when the text is not a network. */
function parseNetwork(text: string): { address: string; bits: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [address, length, ...more] = text.split('/');
  const version = isIP(address ?? '');
  if (version === 0 || more.length > 0) return undefined;
  const most = version === 4 ? 32 : 128;
  if (length !== undefined && !/^[0-9]{1,3}$/.test(length)) return undefined;
  const bits = length === undefined ? most : Number(length);
  return bits > most ? undefined : { address: address!, bits, family: version === 4 ? 'ipv4' : 'ipv6' };
}

/** The 16-bit groups of an IPv6 address, the bytes of an IPv4 address. @param address without a zone. */
function partsOf(address: string, family: 'ipv4' | 'ipv6'): number[] {
  if (family === 'ipv4') return address.split('.').map(Number);
  const groups = (text: string): number[] =>
    (text === '' ? [] : text.split(':')).flatMap((group) => {
      if (!group.includes('.')) return [Number.parseInt(group, 16)];
      const [a = 0, b = 0, c = 0, d = 0] = partsOf(group, 'ipv4');
      return [a * 256 + b, c * 256 + d];
    });
  const [front = '', back] = address.split('::');
  const [first, last] = [groups(front), groups(back ?? '')];
  return [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last];
}

/**
 * Reads a network, or one address.
 *
 * @returns the network in its usual spelling, with its length, and whether what was given has bits behind that length: an
 *   address in the network rather than the network. undefined for what is neither.
 */
export function readNetwork(text: string): { readonly network: string; readonly hasHostBits: boolean } | undefined {
  const parsed = parseNetwork(text);
  if (parsed === undefined || parsed.address.includes('%')) return undefined;
  const { address, bits, family } = parsed;
  const width = family === 'ipv4' ? 8 : 16;
  const parts = partsOf(address, family);
  const masked = parts.map((part, index) => {
    const free = 2 ** Math.min(width, Math.max(0, (index + 1) * width - bits));
    return part - (part % free);
  });
  const joined = family === 'ipv4' ? masked.join('.') : masked.map((part) => part.toString(16)).join(':');
  return {
    network: `${new SocketAddress({ address: joined, family }).address}/${bits}`,
    hasHostBits: masked.some((part, index) => part !== parts[index]),
  };
}

export class NetworkList {
  readonly #list = new BlockList();
  readonly #isEmpty: boolean;

  /** @param networks CIDR networks or addresses. @throws RangeError when isNetwork() rejects one of them. */
  constructor(networks: readonly string[]) {
    this.#isEmpty = networks.length === 0;
    for (const text of networks) {
      const network = parseNetwork(text);
      if (network === undefined) throw new RangeError(`Expected a network such as 192.0.2.0/24, got ${text}`);
      this.#list.addSubnet(network.address, network.bits, network.family);
    }
  }

  has(address: string): boolean {
    if (this.#isEmpty) return false;
    const bare = address.split('%', 1)[0]!;
    const version = isIP(bare);
    return version !== 0 && this.#list.check(bare, version === 4 ? 'ipv4' : 'ipv6');
  }
}
