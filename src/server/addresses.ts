/** The machine's own addresses and the MTU of their interfaces. Knows no sockets. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { errorCode } from '../text/error-text.ts';

export interface LocalAddress {
  /** The address as text; link-local IPv6 with its scope (`fe80::1%eth0`). */
  readonly address: string;
  readonly family: 4 | 6;
  /** Largest IP packet that leaves the interface unfragmented, bytes. */
  readonly mtu: number;
  /** True for a loopback interface, which leads to this machine alone. */
  readonly isLoopback: boolean;
  /** The mask of an IPv4 address's network as a 32-bit number, and the network's broadcast address. */
  readonly network?: { readonly mask: number; readonly broadcast: string } | undefined;
}

/** The addresses that stand for every local address of a family. */
export const WILDCARDS: ReadonlyMap<string, 4 | 6> = new Map([
  ['0.0.0.0', 4],
  ['::', 6],
]);

/** Ethernet's MTU, used when an interface does not report its own. */
export const MTU_DEFAULT = 1500;
/**
 * IP, UDP and TFTP DATA headers, bytes: RFC 2348 counts none of them as part of a block.
 * @limit Bytes by which a granted `blksize` is smaller than the MTU, IPv4. Setting: `maxBlksize`. Shows: `blksize` in
 * the log.
 */
const HEADERS_V4 = 20 + 8 + 4;
/**
 * @limit Bytes by which a granted `blksize` is smaller than the MTU, IPv6. Setting: `maxBlksize`. Shows: `blksize` in
 * the log.
 */
const HEADERS_V6 = 40 + 8 + 4;

function interfaceMtu(name: string): number {
  try {
    const mtu = Number(readFileSync(`/sys/class/net/${name}/mtu`, 'utf8'));
    return Number.isInteger(mtu) && mtu > 0 ? mtu : MTU_DEFAULT;
  } catch {
    return MTU_DEFAULT;
  }
}

export function localAddresses(): LocalAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses]) => {
    const mtu = interfaceMtu(name);
    return (addresses ?? []).map((info): LocalAddress => {
      const scoped = info.family === 'IPv6' && info.scopeid !== 0;
      return {
        address: scoped ? `${info.address}%${name}` : info.address,
        family: info.family === 'IPv6' ? 6 : 4,
        mtu,
        isLoopback: info.internal,
        network: info.family === 'IPv4' ? networkOf(info.address, info.netmask) : undefined,
      };
    });
  });
}

function toNumber(address: string): number {
  return address.split('.').reduce((value, byte) => value * 256 + Number(byte), 0) >>> 0;
}

/** @returns undefined for a network of one or two addresses, which has no broadcast address (RFC 3021). */
function networkOf(address: string, netmask: string): LocalAddress['network'] {
  const mask = toNumber(netmask);
  const everybody = (toNumber(address) | ~mask) >>> 0;
  if (mask >= 0xfffffffe) return undefined;
  return { mask, broadcast: [24, 16, 8, 0].map((shift) => (everybody >>> shift) & 255).join('.') };
}

/** Tells whether an IPv4 address is in the network of a local address. */
export function isInNetwork(address: string, { address: own, network }: LocalAddress): boolean {
  if (network === undefined || address.includes(':')) return false;
  return ((toNumber(own) ^ toNumber(address)) & network.mask) === 0;
}

/**
 * Returns the largest blksize whose packets leave an interface of this MTU unfragmented. Firmware often can't
 * reassemble.
 */
export function largestBlksize({ family, mtu }: Pick<LocalAddress, 'family' | 'mtu'>): number {
  return mtu - (family === 4 ? HEADERS_V4 : HEADERS_V6);
}

/**
 * Tells whether listening failed because the machine lacks the address. Node.js reports EINVAL for a scope whose
 * interface is missing.
 */
export function isAbsent(address: string, error: unknown): boolean {
  const code = errorCode(error);
  return code === 'EADDRNOTAVAIL' || (code === 'EINVAL' && address.includes('%'));
}
