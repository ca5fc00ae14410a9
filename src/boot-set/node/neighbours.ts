/**
 * Reads which machine has which address from the kernel's neighbor table. IPv4 only: the kernel offers no file of IPv6
 * neighbors. Uses only addresses on the link, by the interface's netmask: for addresses behind a router the MAC would
 * be the router's.
 */
import { readFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { macNode, type NodeId } from './node-identity.ts';
import type { AddressTable } from './address-tables.ts';

/** /proc/net/arp is a link to this file; a unit with ProcSubset=pid does not see that link. */
const TABLE = '/proc/self/net/arp';
/** Flag of a complete entry (ATF_COM). */
const COMPLETE = 0x02;

export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

function toNumber(address: string): number {
  return address.split('.').reduce((value, byte) => value * 256 + Number(byte), 0) >>> 0;
}

/** Returns true when the device has an address in the same network as `address`. */
function isOnLink(address: string, device: string, interfaces: Interfaces): boolean {
  return (interfaces[device] ?? []).some((own) => {
    if (own.family !== 'IPv4') return false;
    const mask = toNumber(own.netmask);
    return ((toNumber(own.address) ^ toNumber(address)) & mask) === 0 && own.address !== address;
  });
}

/** @param text contents of /proc/net/arp. */
export function parseNeighbours(text: string, interfaces: Interfaces): ReadonlyMap<string, NodeId> {
  const neighbours = new Map<string, NodeId>();
  for (const line of text.split('\n').slice(1)) {
    const [address, type, flags, hardware, , device] = line.trim().split(/ +/);
    // Type 1 is Ethernet.
    if (device === undefined || type !== '0x1' || (Number(flags) & COMPLETE) === 0) continue;
    const node = macNode(hardware!);
    if (node !== undefined && isIPv4(address!) && isOnLink(address!, device, interfaces))
      neighbours.set(address!, node);
  }
  return neighbours;
}

export class Neighbours implements AddressTable {
  async read(): Promise<ReadonlyMap<string, NodeId>> {
    return parseNeighbours(await readFile(TABLE, 'utf8'), networkInterfaces());
  }
}
