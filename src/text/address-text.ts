/**
 * Converts `ADDR:PORT` to an Address and back. Accepts addresses only, never names: listening must not depend on DNS.
 */
import { isIPv4, isIPv6 } from 'node:net';

/** The same shape as the engine's Address, which this layer must not know. */
interface Address {
  readonly address: string;
  readonly port: number;
}

/** @returns undefined when `text` is not `1.2.3.4:PORT` or `[IPv6]:PORT` with a port of 0..65535. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^[\]]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, six, four, digits] = match;
  const port = Number(digits);
  if (port > 65535) return undefined;
  if (six !== undefined) return isIPv6(six) ? { address: six, port } : undefined;
  return four !== undefined && isIPv4(four) ? { address: four, port } : undefined;
}

export function formatHost(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

export function formatAddress({ address, port }: Address): string {
  return `${formatHost(address)}:${port}`;
}
