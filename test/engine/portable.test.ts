/** Behavior that only real sockets can get wrong. Rules for every engine are in conformance.ts. */
import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Driver } from '../../src/engine/driver.ts';
import { LATENCY_BOUNDS, LatencyHistogram } from '../../src/engine/latencies.ts';
import { PortableEngine } from '../../src/engine/portable.ts';
import type { Address } from '../../src/engine/types.ts';
import { decodeRequest } from '../../src/protocol/request.ts';
import { RawLink, RawPeer } from '../support/datagrams.ts';
import { MiniServer, download } from '../support/mini-server.ts';
import { Random } from '../support/random.ts';

const HERE = '127.0.0.1';

/** Random bytes, and packets that are nearly valid. Never an ERROR, which would rightly end a transfer. */
function hostile(random: Random): Uint8Array {
  const bytes = random.bytes(random.pick([0, 1, 2, 3, 4, 5, 9, 60, 516, 1500, random.between(0, 9000)]));
  if (random.chance(0.8)) bytes.set([0, random.pick([0, 1, 2, 3, 4, 6, 7, 255])].slice(0, bytes.length));
  if (random.chance(0.2)) {
    const text = random.pick([
      '\0\x01a\0octet\0blksize\0',
      '\0\x01\0\0\0\0',
      '\0\x06blksize\0-1\0',
      `\0\x01${'x'.repeat(600)}`,
    ]);
    return Uint8Array.from(text, (character) => character.charCodeAt(0));
  }
  return bytes;
}

describe('the portable engine', () => {
  let engine: PortableEngine;

  beforeEach(() => {
    engine = new PortableEngine();
  });

  afterEach(async () => {
    await engine.close();
  });

  test('hands hostile datagrams through unharmed, at a listening port and at a live link', async () => {
    const seed = 20_260;
    const random = new Random(seed);
    const server = await RawPeer.open(engine, HERE);
    const client = await RawPeer.open(engine, HERE);
    const link = await RawLink.open(engine, { local: HERE, peer: client.local, peerPort: 'fixed' });
    for (let round = 1; round <= 100; round++) {
      const sent = Array.from({ length: 20 }, () => hostile(random));
      for (const bytes of sent) {
        client.port.reply(bytes, bytes.length, server.local);
        client.port.reply(bytes, bytes.length, link.local);
      }
      await Promise.all([server.inbox.has(20 * round), link.inbox.has(20 * round)]);
      for (const { inbox } of [server, link]) {
        const arrived = inbox.datagrams.slice(-20);
        arrived.forEach(({ bytes }, at) => {
          const same = Buffer.compare(bytes, sent[at]!) === 0;
          expect({ seed, round, same }).toEqual({ seed, round, same: true });
          expect(() => decodeRequest(bytes, bytes.length)).not.toThrow();
        });
      }
    }
  });

  test('completes a download while both its ports and the listening port are flooded', async () => {
    const seed = 77;
    const random = new Random(seed);
    const content = random.bytes(400_000);
    const server = new MiniServer(engine, new Map([['file', content]]));
    const at = await server.listen(HERE);
    // The stranger sends from the right host but the wrong port.
    const stranger = await RawPeer.open(engine, HERE);
    const ports: Address[] = [at];
    const link = engine.link.bind(engine);
    engine.link = async (options, receiver) => {
      const opened = await link(options, receiver);
      ports.push(opened.local);
      return opened;
    };
    let pelted = 0;
    const { report, bytes } = await download(new Driver(engine, new Float64Array(8)), {
      local: HERE,
      server: at,
      name: 'file',
      onKept: () => {
        for (let each = 0; each < 5; each++) {
          const datagram = hostile(random);
          stranger.port.reply(datagram, datagram.length, random.pick(ports));
          pelted++;
        }
      },
    });
    expect({ seed, ...report }).toMatchObject({ seed, outcome: 'complete', fault: undefined });
    expect({ seed, same: Buffer.compare(bytes, content) === 0 }).toEqual({ seed, same: true });
    expect(await server.reports.get('file')).toMatchObject({ fault: undefined, outcome: 'complete' });
    expect(pelted).toBeGreaterThan(3000);
    // The stranger got ERROR 5, but not for every datagram.
    expect(stranger.inbox.datagrams.length).toBeGreaterThan(0);
    expect(stranger.inbox.datagrams.length).toBeLessThanOrEqual(8);
  });

  test('a sender survives the packets of its own hostile peer, and still completes', async () => {
    const random = new Random(5);
    const server = new MiniServer(engine, new Map([['file', random.bytes(5000)]]));
    const at = await server.listen(HERE);
    const client = await RawPeer.open(engine, HERE);
    client.send(at, 0, 1, ...Buffer.from('file\0octet\0'));
    let heard = 0;
    for (let block = 1; block <= 10; block++) {
      // On a busy machine a block may arrive twice.
      do await client.inbox.has(++heard);
      while (client.inbox.datagrams[heard - 1]!.bytes[3] !== block);
      const { from, bytes } = client.inbox.datagrams[heard - 1]!;
      expect([...bytes.subarray(0, 4)]).toEqual([0, 3, 0, block]);
      for (let sent = 0; sent < 100; sent++) {
        const datagram = hostile(random);
        // Every packet is sent except an ACK, which could advance the transfer.
        if (datagram[1] !== 4) client.port.reply(datagram, datagram.length, from!);
      }
      client.send(from!, 0, 4, 0, block);
    }
    expect(await server.reports.get('file')).toMatchObject({ outcome: 'complete', bytes: 5000, fault: undefined });
  });

  test('recognizes a peer by any spelling of its IPv6 address', async () => {
    const peer = await RawPeer.open(engine, '::1');
    for (const address of ['::1', '0:0:0:0:0:0:0:1', '::0001']) {
      for (const peerPort of ['fixed', 'learn'] as const) {
        const link = await RawLink.open(engine, { local: '::1', peer: { address, port: peer.local.port }, peerPort });
        peer.send(link.local, 0, 4, 0, 1);
        await link.inbox.has(1);
        expect(link.inbox.contents).toEqual([[0, 4, 0, 1]]);
      }
    }
  });

  test('listening on an address this host does not have fails with the system’s code', async () => {
    const nowhere = { address: '192.0.2.1', port: 0 };
    await expect(engine.listen(nowhere, () => {})).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
    const options = { local: nowhere.address, peer: nowhere, peerPort: 'learn' } as const;
    await expect(RawLink.open(engine, options)).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
  });

  test('counts unsent datagrams by reason, and times one datagram in eight', async () => {
    // Without SO_BROADCAST, the system refuses to send to a broadcast address.
    const nobody = await RawLink.open(engine, {
      local: HERE,
      peer: { address: '255.255.255.255', port: 9 },
      peerPort: 'learn',
    });
    nobody.send(0, 1);
    await expect.poll(() => engine.health().sendDrops).toBe(1);
    expect(Object.values(engine.health().sendErrors).reduce((sum, count) => sum + count, 0)).toBe(1);

    const turnaround = new LatencyHistogram(LATENCY_BOUNDS.turnaround);
    engine.turnaround = turnaround;
    const peer = await RawPeer.open(engine, HERE);
    const link = await RawLink.open(engine, { local: HERE, peer: peer.local, peerPort: 'fixed' });
    link.onHeard = () => link.send(0, 4, 0, 1);
    for (let count = 1; count <= 16; count++) {
      peer.send(link.local, 0, 4, 0, 1);
      await peer.inbox.has(count);
    }
    expect(turnaround.counts().counts.reduce((sum, count) => sum + count, 0)).toBe(2);
  });

  describe.skipIf(process.platform !== 'linux')('gives every descriptor back', () => {
    const descriptors = (): number => readdirSync('/proc/self/fd').length;

    test('after 100 downloads, however they ended', async () => {
      const files = new Map([['file', new Random(9).bytes(3000)]]);
      const server = new MiniServer(engine, files);
      const at = await server.listen(HERE);
      const clients = new Driver(engine, new Float64Array(8));
      const before = descriptors();
      for (let round = 0; round < 5; round++) {
        const fetched = Array.from({ length: 20 }, (_, n) =>
          download(clients, {
            local: HERE,
            server: at,
            name: 'file',
            lingerMs: n % 2 === 0 ? 0 : 20,
            onKept: (bytes) => {
              if (n % 5 === 4 && bytes > 1000) throw new Error('This client breaks off');
            },
          }),
        );
        const outcomes = (await Promise.all(fetched)).map(({ report }) => report.outcome);
        expect(outcomes).toEqual(Array.from({ length: 20 }, (_, n) => (n % 5 === 4 ? 'aborted' : 'complete')));
        // The next clients may get the same ports, so no sender of this round may still be sending to them.
        await server.idle();
      }
      const reports = await server.idle();
      expect(reports).toHaveLength(100);
      expect(reports.filter(({ outcome }) => outcome === 'unreachable')).toHaveLength(20);
      expect(descriptors()).toBe(before);
    });

    test('after links that could not be opened, and an engine closed while opening them', async () => {
      const other = new PortableEngine();
      const peer = await RawPeer.open(other, HERE);
      const before = descriptors();
      for (const port of [0, 1]) {
        for (const address of ['::1', 'nonsense', HERE]) {
          const opened = RawLink.open(engine, { local: HERE, peer: { address, port }, peerPort: 'fixed' });
          await opened.then(
            (raw) => raw.link.close(),
            () => {},
          );
        }
      }
      expect(descriptors()).toBe(before);
      const opening = Array.from({ length: 20 }, () =>
        RawLink.open(engine, { local: HERE, peer: peer.local, peerPort: 'fixed' }),
      );
      const settled = Promise.allSettled([...opening, RawPeer.open(engine, HERE)]);
      await engine.close();
      await settled;
      expect(descriptors()).toBe(before);
      await other.close();
    });
  });
});
