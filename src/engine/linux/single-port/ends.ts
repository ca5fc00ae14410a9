/** Both ends of a transfer at a shared port, in the forms that look-ups and sends need. */
import type { Address } from '../../types.ts';
import {
  AF_INET,
  IP_PKTINFO,
  IPV6_PKTINFO,
  type Libc,
  SOCKADDR_IN,
  SOCKADDR_IN6,
  SOCKADDR_ROOM,
  SOL_IP,
  SOL_IPV6,
} from '../libc.ts';
import { controlMessage, IN6_PKTINFO, IN_PKTINFO, speakFrom } from '../packet-info.ts';
import type { ReceiveRing } from '../receive-ring.ts';
import { type Family, familyOf, toSockaddr, writeSockaddr } from '../socket-address.ts';
import { LOCAL_WORDS } from './end-table.ts';

const NO_CONTROL = new Uint8Array(0);

/** Our address of a received datagram, as the words by which an EndTable finds it. */
export class LocalEnd {
  /** Room for an IPv6 address, which may lie across words in the ring. */
  readonly words = new Int32Array(LOCAL_WORDS);
  readonly #bytes = new Uint8Array(this.words.buffer);
  readonly #family: Family;

  constructor(family: Family) {
    this.#family = family;
  }

  /** Takes the address of the datagram in a slot; zeros at a socket that is bound to one. */
  read(ring: ReceiveRing, slot: number): void {
    const isV4 = this.#family === AF_INET;
    const info = isV4 ? ring.control(slot, SOL_IP, IP_PKTINFO) : ring.control(slot, SOL_IPV6, IPV6_PKTINFO);
    if (info < 0) {
      this.words.fill(0);
      return;
    }
    const to = info + (isV4 ? IN_PKTINFO.to : IN6_PKTINFO.to);
    for (let byte = 0; byte < (isV4 ? 4 : 16); byte++) this.#bytes[byte] = ring.bytes[to + byte]!;
  }
}

export class Ends {
  readonly family: Family;
  /** The peer's sockaddr, and the same as words. */
  readonly peer = new Uint8Array(SOCKADDR_ROOM);
  readonly peerWords = new Int32Array(this.peer.buffer);
  /** Our address; zeros for a socket that is bound to it. */
  readonly local = new Int32Array(LOCAL_WORDS);
  /** The control message to send from our address; empty where the socket's own is right. */
  readonly control: Uint8Array;

  /**
   * @param isWildcard true if the socket is bound to no address: each packet then carries ours.
   * @throws Error when the peer's or our address names an interface that no longer exists.
   */
  constructor(libc: Libc, local: string, peer: Address, isWildcard: boolean) {
    this.family = familyOf(local);
    writeSockaddr(libc, peer, this.peer);
    this.control = isWildcard ? this.#controlOf(toSockaddr(libc, { address: local, port: 0 })) : NO_CONTROL;
  }

  /** @param sockaddr our address. */
  #controlOf(sockaddr: Uint8Array): Uint8Array {
    const own = new Uint8Array(this.local.buffer);
    if (this.family === AF_INET) {
      const address = sockaddr.subarray(SOCKADDR_IN.address, SOCKADDR_IN.address + 4);
      own.set(address);
      return speakFrom(address);
    }
    const address = sockaddr.subarray(SOCKADDR_IN6.address, SOCKADDR_IN6.address + 16);
    own.set(address);
    const info = new Uint8Array(IN6_PKTINFO.size);
    info.set(address, IN6_PKTINFO.to);
    // Zero unless the address is link-local.
    info.set(sockaddr.subarray(SOCKADDR_IN6.scope, SOCKADDR_IN6.scope + 4), IN6_PKTINFO.interface);
    return controlMessage(SOL_IPV6, IPV6_PKTINFO, info);
  }
}
