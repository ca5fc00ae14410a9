/**
 * Rules for every engine, whatever it is made of: listening, closing, the clock. Links are in link-conformance.ts,
 * whole transfers in driver-conformance.ts.
 */
import { describe, expect, test } from 'vitest';
import { RawLink, RawPeer } from '../support/datagrams.ts';
import { lastingPort } from '../support/ports.ts';
import { type EngineRow, useBench } from './engine-row.ts';

export function describeEngine(row: EngineRow): void {
  const { name, address, second } = row;

  describe(`${name} on ${address}`, () => {
    const bench = useBench(row);

    describe('listening', () => {
      test('a request carries its sender, and the reply leaves from the address and port that it was sent to', async () => {
        const server = await bench().listen();
        const client = await bench().peer();
        client.send(server.local, 0, 1, 7);
        await bench().until(server.inbox.has(1));
        expect(server.inbox.datagrams).toEqual([{ bytes: Uint8Array.of(0, 1, 7), from: client.local }]);
        server.send(client.local, 0, 5, 9, 9);
        await bench().until(client.inbox.has(1));
        expect(client.inbox.datagrams).toEqual([{ bytes: Uint8Array.of(0, 5, 9, 9), from: server.local }]);
        expect(server.local.address).toBe(address);
      });

      test.skipIf(second === undefined)('two addresses with the same port each answer for themselves', async () => {
        const server = await bench().listen(address, await lastingPort());
        const other = await bench().listen(second, server.local.port);
        const client = await bench().peer();
        client.send(other.local, 2);
        client.send(server.local, 1);
        await bench().until(Promise.all([server.inbox.has(1), other.inbox.has(1)]));
        expect(server.inbox.contents).toEqual([[1]]);
        expect(other.inbox.contents).toEqual([[2]]);
        other.send(client.local, 3);
        await bench().until(client.inbox.has(1));
        expect(client.inbox.datagrams[0]?.from).toEqual({ address: second, port: server.local.port });
      });

      test('empty datagrams arrive as empty datagrams', async () => {
        const server = await bench().listen();
        const client = await bench().peer();
        client.send(server.local);
        await bench().until(server.inbox.has(1));
        expect(server.inbox.contents).toEqual([[]]);
      });

      test('a reply holds the bytes of the buffer at the time of the call', async () => {
        const server = await bench().listen();
        const client = await bench().peer();
        const buffer = Uint8Array.of(0, 5, 1, 2, 99, 99);
        server.port.reply(buffer, 4, client.local);
        buffer.fill(0xff);
        await bench().until(client.inbox.has(1));
        expect(client.inbox.contents).toEqual([[0, 5, 1, 2]]);
      });

      test('an address in use is refused with EADDRINUSE', async () => {
        const server = await bench().listen();
        await expect(bench().until(bench().engine.listen(server.local, () => {}))).rejects.toMatchObject({
          code: 'EADDRINUSE',
        });
      });

      test('an address that was closed is free again, and closing it once more does not harm its next owner', async () => {
        const server = await bench().listen(address, await lastingPort());
        await bench().until(server.port.close());
        const next = await bench().listen(address, server.local.port);
        await bench().until(server.port.close());
        server.send(next.local, 1);
        const client = await bench().peer();
        client.send(next.local, 2);
        await bench().until(next.inbox.has(1));
        expect(next.inbox.contents).toEqual([[2]]);
        expect(server.inbox.contents).toEqual([]);
      });

      test('a reply to port 0 is lost without an exception', async () => {
        const server = await bench().listen();
        const client = await bench().peer();
        server.send({ address, port: 0 }, 1);
        server.send(client.local, 2);
        await bench().until(client.inbox.has(1));
        expect(client.inbox.contents).toEqual([[2]]);
      });
    });

    describe('closing the engine', () => {
      test('closes links and listening addresses', async () => {
        const server = await bench().listen();
        const peer = await bench().peer();
        const fixed = await bench().link(peer, 'fixed');
        const learning = await bench().link(peer, 'learn');
        await bench().until(bench().engine.close());
        for (const each of [server, fixed, learning]) {
          await bench().deaf(each.local);
          expect(() => (each instanceof RawPeer ? each.send(peer.local, 1) : each.send(1))).not.toThrow();
        }
        expect([server, fixed, learning].flatMap(({ inbox }) => inbox.contents)).toEqual([]);
      });

      test('closes links that are still being opened', async () => {
        const peer = await bench().peer();
        const opening = [
          RawLink.open(bench().engine, { local: address, peer: peer.local, peerPort: 'fixed' }),
          RawLink.open(bench().engine, { local: address, peer: peer.local, peerPort: 'learn' }),
          RawPeer.open(bench().engine, address),
        ];
        const settled = Promise.allSettled(opening);
        await bench().until(bench().engine.close());
        const results = await bench().until(settled);
        for (const each of results) if (each.status === 'fulfilled') await bench().deaf(each.value.local);
        const codes = results.flatMap((each) =>
          each.status === 'rejected' ? [(each.reason as { code: unknown }).code] : [],
        );
        expect(codes.filter((code) => typeof code !== 'string')).toEqual([]);
      });

      test('may be done twice', async () => {
        await bench().listen();
        await bench().until(bench().engine.close());
        await expect(bench().until(bench().engine.close())).resolves.toBeUndefined();
      });
    });

    describe('the clock', () => {
      test('never wakes early, wakes once, and in the order of the moments', async () => {
        const woken: number[] = [];
        const early: number[] = [];
        const wakes = [3, 1, 9, 1, 0, -5, 20].map((inMs) => {
          const at = bench().engine.clock.now() + inMs;
          return new Promise<void>((resolve) => {
            bench().engine.clock.wake(at, () => {
              if (bench().engine.clock.now() < at) early.push(inMs);
              woken.push(inMs);
              resolve();
            });
          });
        });
        expect(woken).toEqual([]);
        await bench().until(Promise.all(wakes));
        expect(early).toEqual([]);
        expect(woken).toHaveLength(7);
        expect(woken.filter((inMs) => inMs > 3)).toEqual([9, 20]);
      });

      test('does not wake for a cancelled deadline', async () => {
        const woken: string[] = [];
        const cancel = bench().engine.clock.wake(bench().engine.clock.now() + 2, () => woken.push('cancelled'));
        cancel();
        cancel();
        await bench().until(
          new Promise<void>((resolve) => {
            bench().engine.clock.wake(bench().engine.clock.now() + 5, resolve);
          }),
        );
        expect(woken).toEqual([]);
      });

      test('counts whole milliseconds, the same for all engines of a thread', () => {
        expect(Number.isInteger(bench().engine.clock.now())).toBe(true);
        expect(Math.abs(bench().engine.clock.now() - bench().others.clock.now())).toBeLessThanOrEqual(5);
      });
    });
  });
}
