/** Promises of the Linux engine beyond the conformance suite: shared ports, shared addresses, mappings of layouts. */
import { readFileSync } from 'node:fs';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EngineChoice, resolveEngine } from '../../src/engine/create.ts';
import { LATENCY_BOUNDS, LatencyHistogram } from '../../src/engine/latencies.ts';
import { LinuxEngine } from '../../src/engine/linux/engine.ts';
import { AF_INET, AF_INET6, NEWEST_NODE } from '../../src/engine/linux/libc.ts';
import { PeerTable } from '../../src/engine/linux/peer-table.ts';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import { type FileMemory, type MappingHandle, type SharedHandle, shareBytes } from '../../src/bytes/shared-bytes.ts';
import { type Address, HEALTHY, type Link, type LinkReceiver, type ListeningPort } from '../../src/engine/types.ts';
import { RawLink, RawPeer } from '../support/datagrams.ts';
import { Random } from '../support/random.ts';
import { temporaryFolder } from '../content/fixture.ts';

const SILENT: LinkReceiver = { onDatagram: () => {}, onUnreachable: () => {}, onUnreadable: () => {} };

let engine: LinuxEngine;
let others: LinuxEngine;

const isNewer = Number.parseInt(process.versions.node, 10) > NEWEST_NODE;

describe.runIf(isNewer)('the linux engine on a Node newer than it knows', () => {
  it('reports it, and auto uses the portable engine', async () => {
    const { kind, reason } = await resolveEngine('auto');
    expect(kind).toBe('portable');
    expect(reason).toContain(`it supports Node.js up to ${NEWEST_NODE}`);
  });
});

describe.skipIf(isNewer)('the linux engine', () => {
  beforeEach(() => {
    engine = new LinuxEngine();
    others = new LinuxEngine();
  });

  afterEach(async () => {
    await engine.close();
    await others.close();
  });

  it('works here, and is the choice of auto', async () => {
    expect(await checkLinuxEngine()).toBeUndefined();
    expect(await resolveEngine('auto')).toEqual<EngineChoice>({ kind: 'linux', reason: undefined });
    expect(await resolveEngine('portable')).toEqual<EngineChoice>({ kind: 'portable', reason: undefined });
  });

  it('knows the MTU of a route from a source address, and that a route is missing', () => {
    const lo = Number(readFileSync('/sys/class/net/lo/mtu', 'utf8'));
    // An IPv4 packet has at most 65,535 bytes.
    expect(engine.routeMtu('127.0.0.1', { address: '127.0.0.2', port: 2000 })).toBe(Math.min(lo, 65_535));
    expect(engine.routeMtu('::1', { address: '::1', port: 2000 })).toBe(lo);
    for (const [local, peer] of [
      ['127.0.0.1', '255.255.255.255'],
      ['192.0.2.77', '127.0.0.1'],
      ['::1', 'fe80::1%nowhere'],
      ['::1', '127.0.0.1'],
    ] as const) {
      expect(engine.routeMtu(local, { address: peer, port: 2000 })).toBeUndefined();
    }
  });

  it('continues promises in the turn of the event loop in which a datagram arrived', async () => {
    const peer = await RawPeer.open(others, '127.0.0.1');
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      const onDatagram = (): void => {
        setImmediate(() => {
          order.push('immediate');
          resolve();
        });
        process.nextTick(() => order.push('tick'));
        void Promise.resolve().then(() => order.push('promise'));
      };
      const options = { local: '127.0.0.1', peer: peer.local, peerPort: 'fixed' } as const;
      void engine.link(options, { ...SILENT, onDatagram }).then(({ local }) => peer.send(local, 0, 4, 0, 1));
    });
    expect(order).toEqual(['tick', 'promise', 'immediate']);
  });

  it('opens nothing more after it was closed', async () => {
    const closed = new LinuxEngine();
    await closed.close();
    const peer: Address = { address: '127.0.0.1', port: 9 };
    await expect(closed.listen({ address: '127.0.0.1', port: 0 }, () => {})).rejects.toMatchObject({
      code: 'ECANCELED',
    });
    for (const peerPort of ['fixed', 'learn'] as const) {
      const link = closed.link({ local: '127.0.0.1', peer, peerPort }, SILENT);
      await expect(link).rejects.toMatchObject({ code: 'ECANCELED' });
    }
  });

  it('gives each of many transfers its own port, and distinguishes their peers', async () => {
    const peers = await Promise.all(Array.from({ length: 40 }, () => RawPeer.open(others, '127.0.0.1')));
    const links = await Promise.all(
      peers.map((peer) => RawLink.open(engine, { local: '127.0.0.1', peer: peer.local, peerPort: 'fixed' })),
    );
    expect(new Set(links.map(({ local }) => local.port)).size).toBe(40);
    for (const [index, peer] of peers.entries()) peer.send(links[index]!.local, 0, 4, 0, index);
    await Promise.all(links.map((link) => link.inbox.has(1)));
    expect(links.map((link) => link.inbox.contents)).toEqual(peers.map((_, index) => [[0, 4, 0, index]]));
  });

  it('gives a client that starts over another port each time', async () => {
    const peer = await RawPeer.open(others, '127.0.0.1');
    const ports = new Set<number>();
    for (let turn = 0; turn < 6; turn++) {
      const link = await RawLink.open(engine, { local: '127.0.0.1', peer: peer.local, peerPort: 'fixed' });
      ports.add(link.local.port);
      if (turn % 2 === 0) link.link.close();
    }
    expect(ports.size).toBe(6);
  });

  it('sends blocks of one size as one entry, and the wire shows them one by one', async () => {
    const peer = await RawPeer.open(others, '127.0.0.1');
    const content = new Random(7).bytes(64 * 1000 + 10);
    const link = await engine.link({ local: '127.0.0.1', peer: peer.local, peerPort: 'fixed' }, SILENT);
    const view = engine.attach(shareBytes(content));
    for (let block = 1; block <= 65; block++) {
      link.data(block, view, (block - 1) * 1000, Math.min(1000, content.length - (block - 1) * 1000));
    }
    await peer.inbox.has(65);
    for (const [index, bytes] of peer.inbox.contents.entries()) {
      expect(bytes.slice(0, 4)).toEqual([0, 3, 0, index + 1]);
      expect(Buffer.from(bytes.slice(4)).equals(content.subarray(index * 1000, (index + 1) * 1000))).toBe(true);
    }
    expect(engine.health()).toEqual(HEALTHY);
  });

  it('counts unsent packets by reason', async () => {
    // Without SO_BROADCAST, the system refuses to send to a broadcast address.
    const peer: Address = { address: '255.255.255.255', port: 9 };
    const link = await engine.link({ local: '127.0.0.1', peer, peerPort: 'learn' }, SILENT);
    const view = engine.attach(shareBytes(new Uint8Array(100)));
    for (let block = 1; block <= 3; block++) link.data(block, view, 0, 100);
    link.control(Uint8Array.of(0, 4, 0, 0), 4);
    // Closing the link flushes its queue.
    link.close();
    const { sendDrops, sendErrors } = engine.health();
    expect(sendDrops).toBe(4);
    expect(Object.values(sendErrors).reduce((sum, count) => sum + count, 0)).toBe(4);
    expect(sendErrors.EACCES + sendErrors.ENETUNREACH + sendErrors.EINVAL).toBe(4);
  });

  it('times one batch in eight, and counts it once for each packet in it', async () => {
    const turnaround = new LatencyHistogram(LATENCY_BOUNDS.turnaround);
    engine.turnaround = turnaround;
    const peer = await RawPeer.open(others, '127.0.0.1');
    const link = await RawLink.open(engine, { local: '127.0.0.1', peer: peer.local, peerPort: 'fixed' });
    link.onHeard = () => link.send(0, 4, 0, 1);
    const times = 80;
    for (let count = 1; count <= times; count++) {
      peer.send(link.local, 0, 4, 0, 1);
      await peer.inbox.has(count);
    }
    const { counts, sumMs } = turnaround.counts();
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(times / 8);
    expect(sumMs).toBeGreaterThan(0);
  });

  it('loses no block to a live client when a dead one is noticed', async () => {
    const [dead, live] = await Promise.all([RawPeer.open(others, '127.0.0.1'), RawPeer.open(others, '127.0.0.1')]);
    const single = new LinuxEngine();
    try {
      const options = { local: '127.0.0.1', peerPort: 'fixed' } as const;
      const toDead = await RawLink.open(single, { ...options, peer: dead.local });
      const toLive = await RawLink.open(single, { ...options, peer: live.local });
      await dead.port.close();
      const refused = toDead.refused();
      for (let round = 0; round < 50; round++) {
        toDead.send(0, 3, 0, 1);
        toLive.send(0, 3, 0, round);
        await live.inbox.has(round + 1);
      }
      await refused;
      expect(live.inbox.contents.map((bytes) => bytes[3])).toEqual(Array.from({ length: 50 }, (_, round) => round));
      expect(toLive.unreachable).toBe(0);
    } finally {
      await single.close();
    }
  });

  it('sends each packet once, also when the news of a dead client ends its link in the middle of a flush', async () => {
    const single = new LinuxEngine();
    try {
      const live = await RawPeer.open(others, '127.0.0.1');
      const options = { local: '127.0.0.1', peerPort: 'fixed' } as const;
      const toLive = await RawLink.open(single, { ...options, peer: live.local });
      let expected = 0;
      for (let round = 0; round < 20; round++) {
        const dead = await RawPeer.open(others, '127.0.0.1');
        await dead.port.close();
        let toDead: Link | undefined;
        const ended = new Promise<void>((resolve) => {
          const onUnreachable = (): void => {
            toDead?.close();
            resolve();
          };
          void single.link({ ...options, peer: dead.local }, { ...SILENT, onUnreachable }).then(async (link) => {
            toDead = link;
            link.control(Uint8Array.of(0, 3, 0, 0), 4);
            // The packet leaves at the end of this turn. The refusal is then pending and fails the first packet of the
            // next flush.
            await Promise.resolve();
            await Promise.resolve();
            for (let packet = 0; packet < 3; packet++) {
              toLive.send(0, 3, round, packet);
              link.control(Uint8Array.of(0, 3, 0, packet), 4);
            }
          });
        });
        expected += 3;
        await Promise.all([ended, live.inbox.has(expected)]);
      }
      toLive.send(9);
      await live.inbox.has(expected + 1);
      const right = Array.from({ length: expected }, (_, index) => [0, 3, Math.floor(index / 3), index % 3]);
      expect(live.inbox.contents).toEqual([...right, [9]]);
    } finally {
      await single.close();
    }
  });

  describe('copies a file', () => {
    const SIZE = 5 * 1024 ** 2 + 1;
    let file: FileHandle;

    beforeEach(async () => {
      const path = join(temporaryFolder(), 'file');
      await writeFile(path, Buffer.alloc(SIZE, 'a'));
      file = await open(path, 'r+');
    });

    afterEach(() => file.close());

    async function filled(copy: FileMemory): Promise<number> {
      let at = 0;
      // oxlint-disable-next-line no-await-in-loop -- one piece after the other.
      for (let more = 1; more > 0 && at < SIZE; at += more) more = await copy.fill(file.fd, at, SIZE - at, at);
      return at;
    }

    /** Four bytes from `offset` on, as a client receives them in block 1. */
    async function sent(handle: SharedHandle, offset: number): Promise<string> {
      const peer = await RawPeer.open(others, '127.0.0.1');
      const link = await engine.link({ local: '127.0.0.1', peer: peer.local, peerPort: 'fixed' }, SILENT);
      link.data(1, engine.attach(handle), offset, 4);
      await peer.inbox.has(1);
      link.close();
      return Buffer.from(peer.inbox.datagrams[0]!.bytes.subarray(4)).toString();
    }

    it('to memory that shows no later change, in several reads, and returns the memory to the system at once', async () => {
      const copy = engine.allocateFile(SIZE);
      if (copy === undefined) throw new Error('Not reserved');
      expect(await filled(copy)).toBe(SIZE);
      expect(await copy.fill(file.fd, 0, 4, SIZE)).toBe(0);
      await file.write('bbbb', 0);
      await file.write('bbbb', SIZE - 4);
      expect([await sent(copy.handle, 0), await sent(copy.handle, SIZE - 4)]).toEqual(['aaaa', 'aaaa']);
      const start = (copy.handle as MappingHandle).address;
      const isMapped = (): boolean =>
        readFileSync('/proc/self/maps', 'latin1')
          .split('\n')
          .some((line) => {
            const [from = '', to = ''] = line.split(' ', 1)[0]!.split('-');
            return from !== '' && BigInt(`0x${from}`) <= start && start < BigInt(`0x${to}`);
          });
      expect(isMapped()).toBe(true);
      copy.free();
      expect(isMapped()).toBe(false);
    });

    it('with the error of the disk, when it cannot be read', async () => {
      const copy = engine.allocateFile(SIZE)!;
      const folder = await open(tmpdir());
      await expect(copy.fill(folder.fd, 0, 4, 0)).rejects.toMatchObject({ code: 'EISDIR' });
      await folder.close();
      copy.free();
    });

    it('does not happen without such memory', () => {
      expect(engine.allocateFile(2 ** 50)).toBeUndefined();
    });
  });

  it('bound to a wildcard answers from the address that the request was sent to', async () => {
    for (const [wildcard, addresses] of [
      ['0.0.0.0', ['127.0.0.1', '127.0.0.2', '127.9.8.7']],
      ['::', ['::1']],
    ] as const) {
      const asked: string[] = [];
      const port = await engine.listen({ address: wildcard, port: 0 }, (bytes, length, peer, at) => {
        asked.push(at.local.address);
        at.reply(bytes, length, peer);
      });
      for (const address of addresses) {
        const to: Address = { address, port: port.local.port };
        const client = await RawLink.open(others, { local: wildcard, peer: to, peerPort: 'learn' });
        client.send(7, 8, 9);
        // The link accepts packets only from its peer's address.
        await client.inbox.has(1);
        expect(client.inbox.contents).toEqual([[7, 8, 9]]);
      }
      expect(asked).toEqual(addresses);
    }
  });

  it('does not receive datagrams that were sent to a broadcast address', async () => {
    const heard: number[] = [];
    let told = (): void => {};
    const last = new Promise<void>((resolve) => {
      told = resolve;
    });
    const port: ListeningPort = await engine.listen({ address: '0.0.0.0', port: 0 }, (bytes) => {
      heard.push(bytes[0]!);
      if (bytes[0] === 2) told();
    });
    const { createSocket } = await import('node:dgram');
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, () => resolve()));
    socket.setBroadcast(true);
    socket.send(Uint8Array.of(1), port.local.port, '127.255.255.255');
    socket.send(Uint8Array.of(2), port.local.port, '127.0.0.1');
    await last;
    socket.close();
    expect(heard).toEqual([2]);
  });
});

describe('a peer table', () => {
  it.each([
    ['IPv4', AF_INET, 2],
    ['IPv6', AF_INET6, 7],
  ] as const)('of %s peers agrees with a map, whatever is set and deleted', (_name, family, words) => {
    const random = new Random(family);
    const table = new PeerTable(family);
    const model = new Map<string, number>();
    const keys = Array.from({ length: 300 }, () => {
      const key = new Int32Array(8);
      for (let word = 0; word < words; word++) key[word] = random.between(-3, 3);
      // The flow label is not part of an IPv6 key.
      if (family === AF_INET6) key[1] = 0;
      return key;
    });
    for (let turn = 0; turn < 20_000; turn++) {
      const key = random.pick(keys);
      const name = key.join();
      if (random.chance(0.66)) {
        table.set(key, 0, turn);
        model.set(name, turn);
      } else {
        table.delete(key, 0);
        model.delete(name);
      }
      const asked = random.pick(keys);
      expect(table.find(asked, 0)).toBe(model.get(asked.join()) ?? -1);
      expect(table.size).toBe(model.size);
    }
  });
});
