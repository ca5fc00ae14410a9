/** The order of the two ways in which bytes go to a socket: writes of Node.js and sendfile(2). */
import type { ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import type { StreamSystem } from '../../src/engine/stream-system.ts';
import { Sending } from '../../src/http/sending.ts';

it('no run of sendfile(2) overtakes a write, when bytes arrive while the socket takes none', async () => {
  const KIB = 1024;
  const size = 200 * KIB;
  /** Calls that take a write into the socket. */
  const held: (() => void)[] = [];
  const order: (readonly [from: number, to: number])[] = [];
  const response = Object.assign(
    new Writable({
      highWaterMark: 16 * KIB,
      write: (slice: Buffer, _, taken) =>
        void held.push(() => {
          const from = slice.readUInt32LE();
          order.push([from, from + slice.length]);
          taken();
        }),
    }),
    { socket: { _handle: { fd: 1 } } },
  );
  const system = {
    view: (address: bigint, length: number): Uint8Array => {
      const slice = Buffer.alloc(length);
      slice.writeUInt32LE(Number(address));
      return slice;
    },
    sendFile: (_socket: number, _fd: number, from: number, length: number): number => {
      if (order.length % 3 === 0) return -1;
      const count = Math.min(length, 20 * KIB);
      order.push([from, from + count]);
      return count;
    },
  };
  const sending = new Sending({
    response: response as unknown as ServerResponse,
    body: { place: { address: 0n, fd: 2 }, from: 0, to: size, arrived: 15 * KIB, ringBytes: 0 },
    system: system as unknown as StreamSystem,
    isCopied: false,
    onNeeds: () => queueMicrotask(() => sending.arrive(size)),
    onUnreadable: () => {},
  });
  sending.go();
  while (!response.writableFinished) {
    // oxlint-disable-next-line no-await-in-loop -- each turn waits for the next write.
    await new Promise((resolve) => setImmediate(resolve));
    held.shift()?.();
  }
  expect(order.map(([from]) => from)).toEqual([0, ...order.slice(0, -1).map(([, to]) => to)]);
  expect(order.at(-1)![1]).toBe(size);
});
