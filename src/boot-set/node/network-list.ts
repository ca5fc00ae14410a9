/** Networks whose addresses stand for many nodes at once. Knows CIDR notation and nothing of pins. */
import { BlockList, isIP } from 'node:net';

/** `192.0.2.0/24`, `2001:db8::/32` or one address. @returns undefined for what is no network. */
function parseNetwork(text: string): { address: string; bits: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [address, length, ...more] = text.split('/');
  const version = isIP(address ?? '');
  if (version === 0 || more.length > 0) return undefined;
  const most = version === 4 ? 32 : 128;
  if (length !== undefined && !/^[0-9]{1,3}$/.test(length)) return undefined;
  const bits = length === undefined ? most : Number(length);
  return bits > most ? undefined : { address: address!, bits, family: version === 4 ? 'ipv4' : 'ipv6' };
}

export function isNetwork(text: string): boolean {
  return parseNetwork(text) !== undefined;
}

export class NetworkList {
  readonly #list = new BlockList();
  readonly #isEmpty: boolean;

  /** @throws RangeError for what isNetwork turns down. */
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
