import { describe, expect, it } from 'vitest';
import { fetchFile } from '../../src/client/fetch.ts';
import { Jitter } from '../../src/session/jitter.ts';
import { seededBytes } from '../support/content.ts';
import { SERVER, World } from './world.ts';

const FILES = {
  loader: seededBytes(1, 20_000),
  config: seededBytes(2, 300),
  kernel: seededBytes(3, 150_000),
  empty: seededBytes(1, 0),
};
const NAMES = ['loader', 'config', 'kernel', 'empty'] as const;
const WISHES = [
  {},
  { tsize: true, blksize: 1432 },
  { blksize: 1024, tsize: true },
  { blksize: 1468, windowsize: 4 },
  { blksize: 1468, windowsize: 16 },
];

const only = process.env['REVEILLE_SEED'];
const SEEDS =
  only === undefined
    ? Array.from({ length: Number(process.env['REVEILLE_SEEDS'] ?? 15) }, (_, index) => index + 1)
    : [Number(only)];

/** @returns the number of transfers that the server counted. */
async function bootRack(seed: number): Promise<number> {
  const random = new Jitter(seed * 7919);
  const world = await World.start({
    seed,
    files: FILES,
    limits: { sessions: 1 + random.next(12) },
    singlePort: seed % 2 === 0,
    faults: {
      loss: random.next(8) / 100,
      duplicate: random.next(10) / 100,
      reorder: random.next(10) / 100,
      reorderMs: 4,
      delayMs: random.next(4),
      jitterMs: random.next(4),
    },
  });
  const nodes = Array.from({ length: 24 }, async (_, node) => {
    const engine = world.network.engine();
    const local = `10.1.0.${node}`;
    for (const name of NAMES) {
      const chunks: Uint8Array[] = [];
      const wish = WISHES[random.next(WISHES.length)]!;
      const result = await fetchFile({
        engine,
        local,
        seed: seed * 1000 + node,
        server: SERVER,
        filename: name,
        mode: 'octet',
        wish,
        sink: { write: (bytes) => chunks.push(bytes.slice()) },
        patienceMs: 240_000,
      });
      expect(result, `seed ${seed}, node ${node}, ${name}`).toMatchObject({ outcome: 'complete' });
      const same = Buffer.compare(Buffer.concat(chunks), FILES[name]) === 0;
      expect(same, `seed ${seed}, node ${node}: the bytes of ${name}`).toBe(true);
    }
  });
  const booted = Promise.all(nodes);
  await world.clock.runAsync(1_200_000);
  await booted;
  const stopped = world.server.stop(0);
  await world.pass(1000);
  await stopped;
  expect(world.held, `seed ${seed}: content held`).toBe(0);
  expect(world.server.stats(), `seed ${seed}`).toMatchObject({ transfersActive: 0, transfersQueued: 0 });
  // If the network delivers the copy of a request after the transfer has ended, the client rejects the new transfer
  // with ERROR 5.
  const failed = world.transfers.filter(({ outcome, errorCode }) => outcome === 'clientError' && errorCode !== 5);
  expect(failed, `seed ${seed}: REVEILLE_SEED=${seed} replays it`).toEqual([]);
  return world.transfers.length;
}

describe('a rack that boots over a bad network through a narrow gate', () => {
  it('gets every file to every node, byte for byte, and leaves nothing behind', {
    timeout: 120_000 + 1000 * SEEDS.length,
  }, async () => {
    for (const seed of SEEDS) expect(await bootRack(seed)).toBeGreaterThanOrEqual(24 * NAMES.length);
  });
});
