/** Rules for the links of every engine. */
import { describe, expect, test } from 'vitest';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';
import { RawLink } from '../support/datagrams.ts';
import { Random } from '../support/random.ts';
import { type EngineRow, useBench } from './engine-row.ts';

const ERROR_5 = [0, 5, 0, 5];

export function describeLinks(row: EngineRow): void {
  const { name, address, second } = row;

  describe(`${name} on ${address}`, () => {
    const bench = useBench(row);

    describe('a link to a fixed peer', () => {
      test('uses a separate port and receives from its peer', async () => {
        const peer = await bench().peer();
        const one = await bench().link(peer, 'fixed');
        const two = await bench().link(peer, 'fixed');
        expect(one.local.address).toBe(address);
        expect(one.local.port).not.toBe(two.local.port);
        one.send(1);
        two.send(2);
        await bench().until(peer.inbox.has(2));
        expect(peer.inbox.datagrams.map(({ from }) => from)).toEqual([one.local, two.local]);
        peer.send(two.local, 4);
        peer.send(one.local, 3);
        await bench().until(Promise.all([one.inbox.has(1), two.inbox.has(1)]));
        expect([one.inbox.contents, two.inbox.contents]).toEqual([[[3]], [[4]]]);
      });

      test('ignores strangers and answers none', async () => {
        const peer = await bench().peer();
        const link = await bench().link(peer, 'fixed');
        const strangers = [await bench().peer(), await bench().peer(second)];
        for (const stranger of strangers) {
          stranger.send(link.local, 0, 4, 0, 1);
          stranger.send(link.local, 0, 5, 0, 0, 0);
        }
        peer.send(link.local, 0, 4, 0, 2);
        await bench().until(link.inbox.has(1));
        expect(link.inbox.contents).toEqual([[0, 4, 0, 2]]);
        link.send(0, 3, 0, 3);
        await bench().until(peer.inbox.has(1));
        const answers = strangers.flatMap(({ inbox }) => inbox.contents.map((bytes) => bytes.slice(0, 4)));
        expect(answers).toEqual([]);
      });

      test.each([1, 2, 3, 8])('reports a peer whose port is closed, after %i sends at once', async (sends) => {
        const peer = await bench().peer();
        await bench().until(peer.port.close());
        const link = await bench().link(peer, 'fixed');
        const refused = link.refused();
        for (let sent = 0; sent < sends; sent++) link.send(0, 3, 0, sent);
        await bench().until(refused);
        expect(link.unreachable).toBeGreaterThan(0);
      });

      test('receives the last packets of its peer, and then that the peer has gone', async () => {
        const peer = await bench().peer();
        const link = await bench().link(peer, 'fixed');
        const refused = link.refused();
        let refusedBefore = false;
        link.onHeard = () => {
          refusedBefore = link.unreachable > 0;
        };
        peer.send(link.local, 0, 4, 0, 1);
        const closed = peer.port.close();
        link.send(0, 3, 0, 1);
        await bench().until(Promise.all([closed, refused, link.inbox.has(1)]));
        expect(refusedBefore).toBe(false);
      });

      test('to port 0 causes no exception and keeps no port', async () => {
        const open = RawLink.open(bench().engine, { local: address, peer: { address, port: 0 }, peerPort: 'fixed' });
        const link = await bench().until(open.catch(() => undefined));
        expect(() => link?.send(1)).not.toThrow();
        link?.link.close();
        if (link !== undefined) await bench().deaf(link.local);
      });
    });

    describe('a link that learns its peer’s port', () => {
      test('takes the port of the first answer, and speaks to that from then on', async () => {
        const asked = await bench().peer();
        const answering = await bench().peer();
        const link = await bench().link(asked, 'learn');
        link.send(0, 1);
        await bench().until(asked.inbox.has(1));
        answering.send(link.local, 0, 3, 0, 1);
        await bench().until(link.inbox.has(1));
        link.send(0, 4, 0, 1);
        await bench().until(answering.inbox.has(1));
        expect(answering.inbox.datagrams).toEqual([{ bytes: Uint8Array.of(0, 4, 0, 1), from: link.local }]);
        expect(asked.inbox.contents).toEqual([[0, 1]]);
      });

      test('then answers strangers with ERROR 5, once each, and continues undisturbed', async () => {
        const peer = await bench().peer();
        const stranger = await bench().peer();
        const link = await bench().link(peer, 'learn');
        peer.send(link.local, 0, 3, 0, 1);
        await bench().until(link.inbox.has(1));
        stranger.send(link.local, 0, 3, 0, 2, 9);
        await bench().until(stranger.inbox.has(1));
        peer.send(link.local, 0, 3, 0, 3);
        await bench().until(link.inbox.has(2));
        expect(link.inbox.contents).toEqual([
          [0, 3, 0, 1],
          [0, 3, 0, 3],
        ]);
        expect(stranger.inbox.contents.map((bytes) => bytes.slice(0, 4))).toEqual([ERROR_5]);
        expect(stranger.inbox.datagrams[0]?.from).toEqual(link.local);
        expect(stranger.inbox.contents[0]?.at(-1)).toBe(0);
      });

      test('never answers a stranger’s ERROR or empty datagram', async () => {
        const peer = await bench().peer();
        const stranger = await bench().peer();
        const link = await bench().link(peer, 'learn');
        peer.send(link.local, 0, 3, 0, 1);
        await bench().until(link.inbox.has(1));
        stranger.send(link.local, 0, 5, 0, 5, 0);
        stranger.send(link.local, 0, 5);
        stranger.send(link.local);
        stranger.send(link.local, 0);
        // Only this packet is answered.
        stranger.send(link.local, 0, 4, 0, 1);
        await bench().until(stranger.inbox.has(1));
        peer.send(link.local, 0, 3, 0, 2);
        await bench().until(link.inbox.has(2));
        link.send(0, 4, 0, 2);
        await bench().until(peer.inbox.has(1));
        expect(stranger.inbox.contents).toHaveLength(1);
        expect(link.inbox.contents).toEqual([
          [0, 3, 0, 1],
          [0, 3, 0, 2],
        ]);
      });

      test('answers a flood of strangers with no flood of its own', async () => {
        const peer = await bench().peer();
        const stranger = await bench().peer();
        const link = await bench().link(peer, 'learn');
        peer.send(link.local, 0, 3, 0, 1);
        await bench().until(link.inbox.has(1));
        for (let sent = 0; sent < 40; sent++) stranger.send(link.local, 0, 4, 0, sent);
        peer.send(link.local, 0, 3, 0, 2);
        await bench().until(link.inbox.has(2));
        // Any answers to the stranger were sent before this packet.
        link.send(0, 4, 0, 2);
        await bench().until(peer.inbox.has(1));
        peer.send(stranger.local, 77);
        await bench().until(stranger.inbox.has(1));
        const answers = stranger.inbox.contents.filter((bytes) => bytes[0] === 0);
        expect(answers.length).toBeLessThanOrEqual(16);
      });

      test.skipIf(second === undefined)('does not take an answer from another address', async () => {
        const peer = await bench().peer();
        const elsewhere = await bench().peer(second);
        const link = await bench().link(peer, 'learn');
        elsewhere.send(link.local, 0, 3, 0, 9);
        peer.send(link.local, 0, 3, 0, 1);
        await bench().until(link.inbox.has(1));
        expect(link.inbox.contents).toEqual([[0, 3, 0, 1]]);
      });
    });

    describe.each(['fixed', 'learn'] as const)('a link with a %s peer', (kind) => {
      test('puts the header and exactly the slice asked on the wire', async () => {
        const peer = await bench().peer();
        const link = await bench().link(peer, kind);
        const content = new Random(11).bytes(70_000);
        const view = bench().engine.attach(shareBytes(content));
        let received = 0;
        for (const length of [0, 1, 511, 512, 1468, 8192, 65_464]) {
          for (const block of [0, 1, 255, 256, 65_535]) {
            const offset = (block * 7) % (content.length - length + 1);
            link.link.data(block, view, offset, length);
            await bench().until(peer.inbox.has(++received));
            const { bytes } = peer.inbox.datagrams[received - 1]!;
            const expected = Buffer.concat([
              Uint8Array.of(0, 3, block >> 8, block & 0xff),
              content.subarray(offset, offset + length),
            ]);
            expect({ block, length, same: Buffer.compare(bytes, expected) === 0 }).toEqual({
              block,
              length,
              same: true,
            });
          }
        }
      });

      test('sends what a control buffer held at the call, and no more of it than asked', async () => {
        const peer = await bench().peer();
        const link = await bench().link(peer, kind);
        const buffer = new Uint8Array(512);
        for (let round = 1; round <= 20; round++) {
          buffer.fill(round);
          link.link.control(buffer, round);
        }
        buffer.fill(0xff);
        await bench().until(peer.inbox.has(20));
        expect(peer.inbox.contents).toEqual(Array.from({ length: 20 }, (_, n) => Array(n + 1).fill(n + 1)));
      });

      test('still sends the packets handed over before it was closed', async () => {
        const peer = await bench().peer();
        const link = await bench().link(peer, kind);
        link.link.data(5, bench().engine.attach(shareBytes(Uint8Array.of(1, 2, 3))), 1, 2);
        link.send(0, 4, 0, 5);
        link.link.close();
        await bench().until(peer.inbox.has(2));
        expect(peer.inbox.contents).toEqual([
          [0, 3, 0, 5, 2, 3],
          [0, 4, 0, 5],
        ]);
      });

      test('sends and hears nothing once it is closed, and may be closed again', async () => {
        const peer = await bench().peer();
        const link = await bench().link(peer, kind);
        const view = bench().engine.attach(shareBytes(Uint8Array.of(1)));
        peer.send(link.local, 0, 3, 0, 1);
        await bench().until(link.inbox.has(1));
        peer.send(link.local, 0, 3, 0, 2);
        link.link.close();
        link.send(0, 4, 0, 9);
        link.link.data(9, view, 0, 1);
        link.link.close();
        await bench().deaf(link.local);
        const next = await bench().link(peer, kind);
        next.send(0, 4, 0, 1);
        await bench().until(peer.inbox.has(1));
        expect(peer.inbox.datagrams).toEqual([{ bytes: Uint8Array.of(0, 4, 0, 1), from: next.local }]);
        expect(link.inbox.contents).toEqual([[0, 3, 0, 1]]);
        expect(link.unreachable).toBe(0);
      });

      test('that is closed by a packet does not receive the packets after it', async () => {
        const peer = await bench().peer();
        const link = await bench().link(peer, kind);
        link.onHeard = () => link.link.close();
        for (let sent = 0; sent < 5; sent++) peer.send(link.local, 0, 3, 0, sent);
        await bench().until(link.inbox.has(1));
        await bench().deaf(link.local);
        expect(link.inbox.contents).toEqual([[0, 3, 0, 0]]);
      });
    });
  });
}
