/** Control messages that carry the local address a datagram was sent to, or the one to send from. */
import { CMSGHDR, IP_PKTINFO, SOL_IP } from './libc.ts';

/** struct in_pktinfo: interface, address to send from, address sent to. struct in6_pktinfo: address, interface. */
export const IN_PKTINFO = { size: 12, interface: 0, from: 4, to: 8 } as const;
export const IN6_PKTINFO = { size: 20, to: 0, interface: 16 } as const;

export function controlMessage(level: number, type: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((CMSGHDR.size + data.length + 7) & ~7);
  const view = new DataView(bytes.buffer);
  view.setUint32(CMSGHDR.length, CMSGHDR.size + data.length, true);
  view.setUint32(CMSGHDR.level, level, true);
  view.setUint32(CMSGHDR.type, type, true);
  bytes.set(data, CMSGHDR.size);
  return bytes;
}

/** Returns the control message to send from an IPv4 address. @param address its four bytes. */
export function speakFrom(address: Uint8Array): Uint8Array {
  const info = new Uint8Array(IN_PKTINFO.size);
  info.set(address, IN_PKTINFO.from);
  return controlMessage(SOL_IP, IP_PKTINFO, info);
}
