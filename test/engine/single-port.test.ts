/** Ports that all transfers of a listening address share: whose packets come to which thread, by real sockets. */
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';
import { LinuxEngine } from '../../src/engine/linux/engine.ts';
import { AF_INET, AF_INET6, loadLibc, SO_REUSEPORT, SOL_IPV6, SOL_SOCKET } from '../../src/engine/linux/libc.ts';
import { ReceiveRing } from '../../src/engine/linux/receive-ring.ts';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import { PortGroup } from '../../src/engine/linux/single-port/port-group.ts';
import { workerOf } from '../../src/engine/linux/single-port/steering.ts';
import { familyOf, sockaddrLength, toSockaddr } from '../../src/engine/linux/socket-address.ts';
import { UdpSocket } from '../../src/engine/linux/udp-socket.ts';
import type { Address, Link, LinkReceiver, ListeningPort, TransferPort } from '../../src/engine/types.ts';
import { SEED } from '../support/content.ts';
import { RawPeer } from '../support/datagrams.ts';
import { Random } from '../support/random.ts';

const unavailable = await checkLinuxEngine();
const WORKERS = 3;
const RRQ = [0, 1, 97, 0, 111, 99, 116, 101, 116, 0];
const ACK = [0, 4, 0, 1];
const ERROR = [0, 5, 0, 0, 0];
/** Socket option that adds a header of destination options; needs CAP_NET_RAW. */
const IPV6_DSTOPTS = 59;
/** A header of them: next header, length, and a padding of four bytes. */
const PADDING = Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0);

/** A transfer's port, and the thread that must use it. */
interface SinglePort {
  readonly taken: TransferPort;
  readonly peer: Address;
  readonly worker: LinuxEngine;
}

class Heard implements LinkReceiver {
  readonly datagrams: number[][] = [];
  unreachable = 0;
  onHeard: () => void = () => {};

  onDatagram(bytes: Uint8Array, length: number): void {
    this.datagrams.push([...bytes.subarray(0, length)]);
    this.onHeard();
  }

  onUnreachable(): void {
    this.unreachable++;
  }

  onUnreadable(): void {}

  async has(count: number): Promise<void> {
    while (this.datagrams.length < count) {
      await new Promise<void>((resolve) => {
        this.onHeard = resolve;
      });
    }
  }
}

describe.skipIf(unavailable !== undefined)('the filter of a shared port', () => {
  const random = new Random(SEED);
  const libc = unavailable === undefined ? loadLibc() : undefined!;

  /** Sends from a socket that is closed afterwards. On loopback the datagram has arrived when the call returns. */
  function send(from: Address, to: Address, bytes: readonly number[], hasOptions = false): void {
    const socket = new UdpSocket(libc, { local: from, receiveBufferBytes: 4096, packetInfo: false });
    const status = hasOptions ? libc.setsockopt(socket.fd, SOL_IPV6, IPV6_DSTOPTS, PADDING, PADDING.length) : 0;
    expect(status).toBe(0);
    const length = sockaddrLength(familyOf(to.address));
    expect(libc.sendto(socket.fd, Uint8Array.from(bytes), bytes.length, 0, toSockaddr(libc, to), length)).toBe(
      bytes.length,
    );
    socket.close();
  }

  interface Group {
    readonly group: PortGroup;
    /** Reads a socket. @returns the opcodes, sorted, and the workers that JavaScript names for their senders. */
    readonly read: (socket: UdpSocket) => { readonly opcodes: number[]; readonly workers: number[] };
  }

  function open(local: Address, workers: number): Group {
    const group = new PortGroup(libc, local, workers);
    const ring = new ReceiveRing(libc, 64, 64);
    onTestFinished(() => {
      group.close();
      ring.free();
    });
    const read = (socket: UdpSocket): ReturnType<Group['read']> => {
      const opcodes: number[] = [];
      const chosen = new Set<number>();
      for (let count = ring.receive(socket.fd); count > 0; count = ring.receive(socket.fd)) {
        for (let slot = 0; slot < count; slot++) {
          opcodes.push(ring.datagrams[slot]![1]!);
          chosen.add(workerOf(ring.words, ring.peerWord(slot), workers));
        }
      }
      return { opcodes: opcodes.toSorted((one, other) => one - other), workers: [...chosen] };
    };
    return { group, read };
  }

  const anyV4: () => string = () => `127.${random.between(0, 255)}.${random.between(0, 255)}.${random.between(1, 254)}`;

  it.each<[string, string, () => string, number]>([
    ['IPv4', '0.0.0.0', anyV4, 2],
    ['IPv4', '127.0.0.1', anyV4, 7],
    ['IPv6', '::', () => '::1', 4],
    ['IPv6', '::1', () => '::1', 3],
  ])(`agrees with JavaScript: %s, %s (REVEILLE_SEED=${SEED})`, (_family, local, from, workers) => {
    const { group, read } = open({ address: local, port: 0 }, workers);
    const to = { address: group.main.family === AF_INET ? '127.0.0.1' : '::1', port: group.main.local.port };
    const opcodes = [1, 2, 3, 4, 5, 6, 0];
    for (let sent = 0; sent < 420; sent++) {
      send({ address: from(), port: 0 }, to, [0, opcodes[sent % opcodes.length]!, 0, sent & 0xff]);
    }
    const sixtyOf = (...some: readonly number[]): number[] => some.flatMap((opcode) => Array<number>(60).fill(opcode));
    expect(read(group.main).opcodes).toEqual(sixtyOf(1, 2));
    const shares = group.workers.map((socket) => read(socket));
    expect(shares.map((share) => share.workers)).toEqual(shares.map((_, worker) => [worker]));
    const all = shares.flatMap((share) => share.opcodes);
    expect(all.toSorted((one, other) => one - other)).toEqual(sixtyOf(0, 3, 4, 5, 6));
    // Each worker gets at least half of its share.
    for (const share of shares) expect(share.opcodes.length).toBeGreaterThan(300 / workers / 2);
  });

  it('gives packets without an opcode to the main thread', () => {
    const { group, read } = open({ address: '127.0.0.1', port: 0 }, 2);
    send({ address: '127.0.0.2', port: 0 }, group.main.local, [4]);
    expect(read(group.main).opcodes).toHaveLength(1);
  });

  it.runIf(process.getuid?.() === 0)('gives packets with extension headers to the main thread', () => {
    const { group, read } = open({ address: '::1', port: 0 }, 2);
    send({ address: '::1', port: 0 }, group.main.local, ACK, true);
    expect(read(group.main).opcodes).toEqual([4]);
  });

  it('is for one server alone: nobody else can bind the address, by whatever socket', () => {
    const { group } = open({ address: '127.0.0.1', port: 0 }, 2);
    const { port } = group.main.local;
    for (const address of ['127.0.0.1', '0.0.0.0']) {
      expect(() => new PortGroup(libc, { address, port }, 2)).toThrow('bind: EADDRINUSE');
    }
    // A socket that would share the port comes first this time.
    const other = new UdpSocket(libc, {
      local: { address: '127.0.0.1', port: 0 },
      receiveBufferBytes: 4096,
      packetInfo: false,
      sharesPort: true,
    });
    onTestFinished(() => other.close());
    expect(libc.setsockopt(other.fd, SOL_SOCKET, SO_REUSEPORT, Uint8Array.of(1, 0, 0, 0), 4)).toBe(0);
    expect(() => new PortGroup(libc, other.local, 2)).toThrow('bind: EADDRINUSE');
  });
});

describe.skipIf(unavailable !== undefined).each([
  ['a wildcard', '0.0.0.0', '127.0.0.9'],
  ['one address', '127.0.0.9', '127.0.0.9'],
  ['an IPv6 wildcard', '::', '::1'],
])('a port that transfers share, at %s', (_name, wildcard, LOCAL) => {
  let main: LinuxEngine;
  let others: LinuxEngine;
  let workers: LinuxEngine[];
  let port: ListeningPort;
  let asked: Address;
  let requests: Address[];
  let arrivals: number[];
  let strays: [tag: number, opcode: number, number: number][];
  let onStray: () => void;

  beforeEach(async () => {
    main = new LinuxEngine({ singlePort: WORKERS });
    others = new LinuxEngine();
    workers = Array.from({ length: WORKERS }, () => new LinuxEngine());
    requests = [];
    strays = [];
    onStray = (): void => {};
    main.transferPorts.strays = {
      onPacket: (...stray) => {
        strays.push(stray);
        onStray();
      },
      onUnreachable: (tag) => {
        strays.push([tag, 0, 0]);
        onStray();
      },
    };
    arrivals = [];
    port = await main.listen({ address: wildcard, port: 0 }, (_bytes, _length, peer, _port, arrivedAt) => {
      requests.push(peer);
      arrivals.push(arrivedAt);
    });
    asked = { address: LOCAL, port: port.local.port };
  });

  afterEach(async () => {
    await Promise.all([...workers, others].map((engine) => engine.close()));
    await main.close();
  });

  const peerAt = (): Promise<RawPeer> => RawPeer.open(others, LOCAL.includes(':') ? '::1' : '127.0.0.2');

  function take(peer: Address, tag = 0): SinglePort {
    const taken = main.transferPorts.take(asked, peer, 1468, tag);
    if (typeof taken === 'string') throw new Error(`Expected a port, got ${taken}`);
    return { taken, peer, worker: workers[taken.worker!]! };
  }

  function adopt({ taken, peer, worker }: SinglePort, heard = new Heard()): { link: Link; heard: Heard } {
    return { link: worker.adopt(taken, { local: LOCAL, peer }, heard), heard };
  }

  it('carries first replies, blocks and ACKs of many peers, each between the right ends', async () => {
    const peers = await Promise.all(Array.from({ length: 40 }, peerAt));
    const content = Uint8Array.from({ length: 3000 }, (_, index) => index & 0xff);
    const links = peers.map((peer) => {
      const taken = take(peer.local);
      const { link, heard } = adopt(taken);
      taken.taken.control(Uint8Array.of(0, 6), 2);
      return { peer, taken, link, heard };
    });
    await Promise.all(
      links.map(async ({ peer, taken, link, heard }, index) => {
        await peer.inbox.has(1);
        expect(peer.inbox.datagrams[0]?.from).toEqual(asked);
        peer.send(asked, 0, 4, 0, index);
        await heard.has(1);
        expect(heard.datagrams).toEqual([[0, 4, 0, index]]);
        const view = taken.worker.attach(shareBytes(content));
        link.data(1, view, 0, 1468);
        link.data(2, view, 1468, 1468);
        link.data(3, view, 2936, 64);
        await peer.inbox.has(4);
        const blocks = peer.inbox.datagrams.slice(1);
        expect(blocks.map(({ from }) => from)).toEqual([asked, asked, asked]);
        expect(Uint8Array.from(blocks.flatMap(({ bytes }) => [...bytes.subarray(4)]))).toEqual(content);
        link.close();
        taken.taken.release();
      }),
    );
    expect(new Set(links.map(({ taken }) => taken.worker)).size).toBe(WORKERS);
    expect(requests).toEqual([]);
  });

  it('hears requests at the main thread alone, also from the peer of a running transfer', async () => {
    const peer = await peerAt();
    const { link, heard } = adopt(take(peer.local));
    peer.send(asked, ...RRQ);
    peer.send(asked, ...ACK);
    await heard.has(1);
    expect(heard.datagrams).toEqual([ACK]);
    main.catchUp();
    expect(requests).toEqual([peer.local]);
    link.close();
  });

  it('opens the links of orders that have come before it delivers what has been read', async () => {
    const peer = await peerAt();
    const first = await peerAt();
    const taken = take(peer.local);
    // The socket is read from the first link on.
    let other = take(first.local);
    for (let tries = 0; other.worker !== taken.worker && tries < 100; tries++) {
      // oxlint-disable-next-line no-await-in-loop -- one peer after the other until one has the same worker.
      other = take((await peerAt()).local);
    }
    adopt(other);
    const heard = new Heard();
    let left = 1;
    taken.worker.beforeDelivery = (): void => {
      if (left-- > 0) adopt(taken, heard);
    };
    peer.send(asked, ...ACK);
    await heard.has(1);
    expect(heard.datagrams).toEqual([ACK]);
  });

  it('gives the packets of a peer to its next transfer once the former one is closed', async () => {
    const peer = await peerAt();
    const former = adopt(take(peer.local));
    peer.send(asked, ...ERROR);
    await former.heard.has(1);
    former.link.close();
    former.link.control(Uint8Array.from(ACK), ACK.length);
    const next = adopt(take(peer.local));
    peer.send(asked, ...ACK);
    await next.heard.has(1);
    next.link.control(Uint8Array.of(0, 9), 2);
    await peer.inbox.has(1);
    expect(former.heard.datagrams).toEqual([ERROR]);
    expect(peer.inbox.contents).toEqual([[0, 9]]);
  });

  it('reports the closed ports of all peers to the main thread, whichever socket hears of them', async () => {
    const alive = await peerAt();
    const count = 60;
    const links = await Promise.all(
      Array.from({ length: count }, async (_, tag) => {
        const peer = await peerAt();
        const { link } = adopt(take(peer.local, tag));
        await peer.port.close();
        return link;
      }),
    );
    const { link } = adopt(take(alive.local, count));
    const reported = new Set<number>();
    // The kernel limits the errors that it sends: those that are missing are provoked again.
    while (reported.size < count) {
      for (const [tag, one] of links.entries()) if (!reported.has(tag)) one.control(Uint8Array.from(ACK), 4);
      link.control(Uint8Array.from(ACK), 4);
      // oxlint-disable-next-line no-await-in-loop -- the next round is for those that this one has not brought.
      await new Promise<void>((resolve) => {
        onStray = resolve;
      });
      for (const [tag, opcode] of strays.splice(0)) {
        expect(opcode).toBe(0);
        reported.add(tag);
      }
    }
    expect(reported.has(count)).toBe(false);
    // No error of another peer costs a packet.
    expect(workers.reduce((sum, worker) => sum + worker.health().sendDrops, 0)).toBe(0);
  });

  it.runIf(process.getuid?.() === 0 && wildcard === '::')('forwards packets with extension headers', async () => {
    const libc = loadLibc();
    const peer = new UdpSocket(libc, {
      local: { address: '::1', port: 0 },
      receiveBufferBytes: 4096,
      packetInfo: false,
    });
    onTestFinished(() => peer.close());
    expect(libc.setsockopt(peer.fd, SOL_IPV6, IPV6_DSTOPTS, PADDING, PADDING.length)).toBe(0);
    const { link } = adopt(take(peer.local, 7));
    const to = toSockaddr(libc, asked);
    for (const packet of [ACK, [0, 5, 0, 8, 0], [0, 3, 0, 1], [0, 4, 1]]) {
      libc.sendto(peer.fd, Uint8Array.from(packet), packet.length, 0, to, sockaddrLength(AF_INET6));
    }
    await Promise.resolve();
    main.catchUp();
    expect(strays).toEqual([
      [7, 4, 1],
      [7, 5, 8],
    ]);
    // The rest is for the server to count.
    expect(requests).toEqual([peer.local, peer.local]);
    link.close();
  });

  it('knows when a request arrived that has waited to be read', async () => {
    const peer = await peerAt();
    // The kernel begins to stamp packets a moment after the first socket has asked for it.
    const wait = async (): Promise<number> => {
      const before = main.clock.now();
      peer.send(asked, ...RRQ);
      await Promise.resolve();
      while (main.clock.now() < before + 50);
      main.catchUp();
      return arrivals.at(-1)! - before;
    };
    await expect.poll(wait, { timeout: 10_000 }).toBeLessThan(40);
    expect(await wait()).toBeGreaterThanOrEqual(-1);
  });

  it('keeps its sockets when nobody listens for a while', async () => {
    const peer = await peerAt();
    const { link, heard } = adopt(take(peer.local));
    const wanted = { address: wildcard, port: asked.port };
    await port.close();
    peer.send(asked, ...RRQ);
    peer.send(asked, ...ACK);
    await heard.has(1);
    await main.listen(wanted, (_bytes, _length, from) => requests.push(from));
    main.catchUp();
    expect(requests).toEqual([]);
    peer.send(asked, ...RRQ);
    await Promise.resolve();
    main.catchUp();
    expect(requests).toEqual([peer.local]);
    link.close();
  });
});
