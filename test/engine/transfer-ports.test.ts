/**
 * Ports that one thread takes and another uses: the first reply, packets before and after it, strangers, the end. Each
 * test runs with both ways of reading: io_uring, and one call per socket.
 */
import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';
import { LinuxEngine } from '../../src/engine/linux/engine.ts';
import { loadLibc } from '../../src/engine/linux/libc.ts';
import { PortChoice } from '../../src/engine/linux/port-range.ts';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import { toSockaddr } from '../../src/engine/linux/socket-address.ts';
import { type TransferSocket, TransferSockets } from '../../src/engine/linux/transfer-sockets.ts';
import type { Address, Link, LinkReceiver, TransferPort } from '../../src/engine/types.ts';
import { RawPeer } from '../support/datagrams.ts';

const LOCAL = '127.0.0.1';
/** A socket of its own knows its ends. */
const NO_ENDS = { local: '', peer: { address: '', port: 0 } };
const unavailable = await checkLinuxEngine();

/** Records the events of a link, and waits for them. */
class Heard implements LinkReceiver {
  readonly datagrams: number[][] = [];
  unreachable = 0;
  unreadable = 0;
  #stirred: () => void = () => {};

  onDatagram(bytes: Uint8Array, length: number): void {
    this.datagrams.push([...bytes.subarray(0, length)]);
    this.#stirred();
  }

  onUnreachable(): void {
    this.unreachable++;
    this.#stirred();
  }

  onUnreadable(): void {
    this.unreadable++;
    this.#stirred();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#stirred = resolve;
      });
    }
  }
}

describe.skipIf(unavailable !== undefined).each([
  ['io_uring', true],
  ['a call for each socket', false],
])('a port that another thread has taken, read by %s', (_name, uring) => {
  let main: LinuxEngine;
  let worker: LinuxEngine;
  let others: LinuxEngine;

  beforeEach(() => {
    main = new LinuxEngine();
    worker = new LinuxEngine({ uring });
    others = new LinuxEngine();
  });

  afterEach(async () => {
    await Promise.all([main, worker, others].map((engine) => engine.close()));
  });

  function take(peer: Address): TransferPort {
    const port = main.transferPorts.take({ address: LOCAL, port: 69 }, peer, 1468, 0);
    if (typeof port === 'string') throw new Error(`Expected a port, got ${port}`);
    return port;
  }

  function adopt(port: TransferPort): { link: Link; heard: Heard } {
    const heard = new Heard();
    return { link: worker.adopt(port, NO_ENDS, heard), heard };
  }

  it.each<[string, Address]>([
    ['to a network that its address does not reach', { address: '203.0.113.9', port: 2000 }],
    ['to a broadcast address', { address: '255.255.255.255', port: 2000 }],
    ['by an interface that is gone', { address: 'fe80::1%nosuch0', port: 2000 }],
  ])('is unavailable %s, which counts as an error, and the next peer gets one', async (_what, nobody) => {
    main.transferPorts.stock([LOCAL], 4);
    for (let time = 0; time < 20; time++)
      expect(main.transferPorts.take({ address: LOCAL, port: 69 }, nobody, 1468, 0)).toBe('unreachable');
    expect(main.health().sendDrops).toBe(20);
    const peer = await RawPeer.open(others, LOCAL);
    take(peer.local).release();
  });

  it('is unavailable while all descriptors for transfers are in use, and available when one has been closed', async () => {
    const few = new LinuxEngine({ descriptors: 2 });
    onTestFinished(() => few.close());
    const peer = { address: LOCAL, port: 2000 };
    const ports = [1, 2, 3].map(() => few.transferPorts.take({ address: LOCAL, port: 69 }, peer, 1468, 0));
    expect(ports.map((port) => (typeof port === 'string' ? port : 'port'))).toEqual(['port', 'port', 'noDescriptor']);
    expect(few.transferPorts.take({ address: '127.0.0.2', port: 69 }, peer, 1468, 0)).toBe('noDescriptor');
    (ports[0] as TransferPort).release();
    expect(few.transferPorts.take({ address: '127.0.0.2', port: 69 }, peer, 1468, 0)).toMatchObject({
      local: { address: '127.0.0.2' },
    });
  });

  it('is in stock at each address alike, however few descriptors there are, and a shortage is reported', async () => {
    const few = new LinuxEngine({ descriptors: 80 });
    onTestFinished(() => few.close());
    const before = readdirSync('/proc/self/fd').length;
    few.transferPorts.stock([LOCAL, '127.0.0.2'], 80);
    expect(few.transferPorts.shortage).toBe(undefined);
    // The stock is one of every eight descriptors, shared by two addresses.
    expect(readdirSync('/proc/self/fd').length - before).toBe(10);
    few.transferPorts.stock([LOCAL, '127.0.0.2'], 81);
    expect(few.transferPorts.shortage).toMatch(
      /^81 transfers may run at once, but there are descriptors for 80 only: the process may open \d+$/,
    );
    const narrow = new LinuxEngine({ dataPorts: { from: 20_000, to: 20_009 } });
    onTestFinished(() => narrow.close());
    narrow.transferPorts.stock([], 11);
    expect(narrow.transferPorts.shortage).toBe('11 transfers may run at once, but there are ports for 10 only');
  });

  it('leaves nothing open at addresses that were asked once, where there are few descriptors', async () => {
    const few = new LinuxEngine({ descriptors: 20 });
    onTestFinished(() => few.close());
    for (let last = 1; last <= 50; last++) {
      const port = few.transferPorts.take(
        { address: `127.0.1.${last}`, port: 69 },
        { address: LOCAL, port: 2000 },
        1468,
        0,
      );
      expect(port).toMatchObject({ local: { address: `127.0.1.${last}` } });
      (port as TransferPort).release();
    }
  });

  it('carries the first reply of one thread, and all later packets of the other', async () => {
    const peer = await RawPeer.open(others, LOCAL);
    const port = take(peer.local);
    port.control(Uint8Array.of(0, 6), 2);
    await peer.inbox.has(1);
    expect(peer.inbox.datagrams[0]?.from).toEqual(port.local);
    const { link, heard } = adopt(port);
    peer.send(port.local, 0, 4, 0, 0);
    await heard.until(() => heard.datagrams.length === 1);
    expect(heard.datagrams).toEqual([[0, 4, 0, 0]]);
    const content = Uint8Array.from({ length: 3000 }, (_, index) => index & 0xff);
    const view = worker.attach(shareBytes(content));
    link.data(1, view, 0, 1468);
    link.data(2, view, 1468, 1468);
    link.data(3, view, 2936, 64);
    await peer.inbox.has(4);
    const blocks = peer.inbox.contents.slice(1);
    expect(blocks.map((bytes) => bytes.slice(0, 4))).toEqual([1, 2, 3].map((block) => [0, 3, 0, block]));
    expect(Uint8Array.from(blocks.flatMap((bytes) => bytes.slice(4)))).toEqual(content);
    link.close();
    port.release();
  });

  it('receives packets that its peer sent before the adoption, and none from before its peer was set', async () => {
    const peer = await RawPeer.open(others, LOCAL);
    const port = take(peer.local);
    peer.send(port.local, 0, 4, 0, 7);
    peer.send(port.local, 0, 4, 0, 8);
    const { link, heard } = adopt(port);
    await heard.until(() => heard.datagrams.length === 2);
    expect(heard.datagrams).toEqual([
      [0, 4, 0, 7],
      [0, 4, 0, 8],
    ]);
    link.close();
    port.release();
  });

  it('is read at once with all others when the thread catches up, however many have datagrams', async () => {
    const peer = await RawPeer.open(others, LOCAL);
    const ports = Array.from({ length: 200 }, () => take(peer.local));
    const adopted = ports.map(adopt);
    for (const port of ports) peer.send(port.local, 0, 4, 0, 1);
    // Lets queued packets leave without a turn of the event loop.
    await Promise.resolve();
    worker.catchUp();
    expect(adopted.filter(({ heard }) => heard.datagrams.length !== 1)).toEqual([]);
    for (const { link } of adopted) link.close();
    for (const port of ports) port.release();
  });

  it('ignores strangers, and looks closed to them', async () => {
    const peer = await RawPeer.open(others, LOCAL);
    const port = take(peer.local);
    const { link, heard } = adopt(port);
    const stranger = new Heard();
    const probe = await others.link({ local: LOCAL, peer: port.local, peerPort: 'fixed' }, stranger);
    probe.control(Uint8Array.of(0, 5, 0, 0), 4);
    await stranger.until(() => stranger.unreachable > 0);
    peer.send(port.local, 0, 4, 0, 1);
    await heard.until(() => heard.datagrams.length > 0);
    expect(heard.datagrams).toEqual([[0, 4, 0, 1]]);
    link.close();
    port.release();
  });

  it('reports that the port of its peer is closed', async () => {
    const peer = await RawPeer.open(others, LOCAL);
    const port = take(peer.local);
    const { link, heard } = adopt(port);
    await peer.port.close();
    link.control(Uint8Array.of(0, 3, 0, 1), 4);
    await heard.until(() => heard.unreachable > 0);
    expect(heard.datagrams).toEqual([]);
    link.close();
    port.release();
  });

  it('receives a burst of more datagrams than there are buffers, and loses none that the socket held', async () => {
    const peer = await RawPeer.open(others, LOCAL);
    const port = take(peer.local);
    const { link, heard } = adopt(port);
    for (let count = 0; count < 200; count++) peer.send(port.local, 0, 4, count >> 8, count & 0xff);
    await heard.until(() => heard.datagrams.length === 200);
    expect(heard.datagrams.map((bytes) => bytes[3])).toEqual(Array.from({ length: 200 }, (_, count) => count & 0xff));
    link.close();
    port.release();
  });

  it('serves many at once, each its own peer, and leaves nothing open', async () => {
    const peers = await Promise.all(Array.from({ length: 100 }, () => RawPeer.open(others, LOCAL)));
    const ports = peers.map(({ local }) => take(local));
    const links = ports.map(adopt);
    expect(new Set(ports.map(({ local }) => local.port)).size).toBe(100);
    for (const [index, peer] of peers.entries()) peer.send(ports[index]!.local, 0, 4, 0, index);
    for (const [index, { heard }] of links.entries()) {
      await heard.until(() => heard.datagrams.length > 0);
      expect(heard.datagrams).toEqual([[0, 4, 0, index]]);
    }
    for (const { link } of links) link.control(Uint8Array.of(0, 3, 0, 9), 4);
    await Promise.all(peers.map((peer) => peer.inbox.has(1)));
    for (const { link } of links) link.close();
    for (const port of ports) port.release();
    // The ports are now closed to every sender.
    for (const { local } of ports.slice(0, 10)) {
      const heard = new Heard();
      const probe = await others.link({ local: LOCAL, peer: local, peerPort: 'fixed' }, heard);
      probe.control(Uint8Array.of(0, 4, 0, 0), 4);
      await heard.until(() => heard.unreachable > 0);
      probe.close();
    }
  });

  it('is released in the middle of a transfer without a packet to anybody else', async () => {
    const peer = await RawPeer.open(others, LOCAL);
    const port = take(peer.local);
    const { link, heard } = adopt(port);
    link.close();
    link.close();
    peer.send(port.local, 0, 4, 0, 1);
    port.release();
    port.release();
    const next = take(peer.local);
    expect(next.local.port).not.toBe(port.local.port);
    const other = adopt(next);
    peer.send(next.local, 0, 4, 0, 2);
    await other.heard.until(() => other.heard.datagrams.length > 0);
    expect(heard.datagrams).toEqual([]);
    other.link.close();
    next.release();
  });
});

describe.skipIf(unavailable !== undefined)('where the range of ports cannot be read', () => {
  it('the system chooses different ports, from its own range and without reserved ones', () => {
    // With ProcSubset=pid, a service reads nothing from /proc/sys.
    const choice = new PortChoice(undefined, () => '');
    expect(choice.isSystems).toBe(true);
    const sockets = new TransferSockets(loadLibc(), LOCAL, choice, { left: 1000 }, () => 0);
    onTestFinished(() => sockets.close());
    sockets.spare = 200;
    expect(sockets.refill(200)).toBe(false);
    const peer = { address: LOCAL, port: 9 };
    const sockaddr = toSockaddr(loadLibc(), peer);
    const taken = Array.from({ length: 200 }, () => sockets.take(sockaddr, peer, 0) as TransferSocket);
    onTestFinished(() => {
      for (const socket of taken) sockets.giveBack(socket, peer);
    });
    const ports = taken.map(({ local }) => local.port);
    expect(new Set(ports).size).toBe(200);
    const known = new Set(new PortChoice(undefined).draw());
    expect(ports.filter((port) => !known.has(port))).toEqual([]);
  });

  it('does not apply if the operator has given a range', () => {
    const choice = new PortChoice({ from: 40_000, to: 40_007 }, () => '');
    expect([choice.isSystems, new Set(choice.draw())]).toEqual([
      false,
      new Set(Array.from({ length: 8 }, (_, at) => 40_000 + at)),
    ]);
  });
});
