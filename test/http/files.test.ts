/** Bytes on their way: files that are still being read, that fit into no memory, and that are cut short. */
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { HttpOptions } from '../../src/index.ts';
import { temporaryFolder } from '../content/fixture.ts';
import { built } from '../support/built.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { PacedStorage, sharedFiles } from '../support/paced-storage.ts';
import { RawHttp, rawGet } from '../support/raw-http.ts';
import { serveFolder } from '../support/server.ts';
import { keyPairFiles } from '../support/tls-files.ts';

const LARGE = seededBytes(SEED, 3_000_000);
const ANY = [{ address: '127.0.0.1', port: 0 }];

interface Options {
  readonly engine?: 'auto' | 'portable';
  readonly limitBytes?: number;
  readonly bytesPerS?: number;
  readonly http?: Partial<HttpOptions>;
}

async function serve(options: Options = {}): Promise<Awaited<ReturnType<typeof serveFolder>> & { path: string }> {
  const root = temporaryFolder();
  const path = join(root, 'kernel');
  writeFileSync(path, LARGE);
  const { bytesPerS, limitBytes } = options;
  const storage = bytesPerS === undefined ? undefined : new PacedStorage(bytesPerS);
  const live = await serveFolder(root, {
    engine: options.engine ?? 'auto',
    http: { listen: ANY, threads: 2, ...options.http },
    cache: new built.BufferCache(limitBytes === undefined ? {} : { limitBytes }),
    pace: (allocate) => (storage === undefined ? allocate : storage.pace(allocate ?? sharedFiles)),
  });
  onTestFinished(async () => void (await live.server.stop(0)));
  return { ...live, path };
}

describe.each(['auto', 'portable'] as const)('a file, %s engine', (engine) => {
  it('is sent while it is read', async () => {
    const { server } = await serve({ engine, bytesPerS: 3_000_000 });
    const client = new RawHttp(server.httpAddresses[0]!).send('GET /kernel HTTP/1.1\r\n\r\n');
    const begun = performance.now();
    await client.until((bytes) => bytes.length > 1000);
    const firstMs = performance.now() - begun;
    expect((await client.answer()).body.equals(LARGE)).toBe(true);
    expect(firstMs).toBeLessThan((performance.now() - begun) / 2);
    client.close();
  });

  it('that does not fit into memory is sent through a ring, also in parts', async () => {
    const { server } = await serve({ engine, limitBytes: 1_500_000, bytesPerS: 50_000_000 });
    const [at] = server.httpAddresses;
    expect((await rawGet(at!, '/kernel')).body.equals(LARGE)).toBe(true);
    for (const [from, to] of [
      [0, 10],
      [1_999_999, 2_400_001],
      [2_900_000, 3_000_000],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- each has a ring of its own, and one is enough at a time.
      const part = await rawGet(at!, '/kernel', [`Range: bytes=${from}-${to - 1}`]);
      expect(part.body.equals(LARGE.subarray(from, to))).toBe(true);
    }
  });

  it('may change while it is read: the connection ends, and the answer is not whole', async () => {
    const live = await serve({ engine, bytesPerS: 1_500_000 });
    const { server, path } = live;
    const client = new RawHttp(server.httpAddresses[0]!).send('GET /kernel HTTP/1.1\r\n\r\n');
    await client.until((bytes) => bytes.length > 70_000);
    truncateSync(path, 1_000_000);
    const all = await client.all();
    expect(all.length).toBeLessThan(LARGE.length);
    expect(await live.transfer(({ file }) => file === 'kernel')).toMatchObject({ outcome: 'aborted' });
    expect((await rawGet(server.httpAddresses[0]!, '/kernel')).body.length).toBe(1_000_000);
  });
});

describe('a mapped file that is cut short under its readers', () => {
  it.each([
    ['HTTP', false],
    ['HTTPS', true],
  ])('ends their answers, but not the process: %s', async (_, isSecure) => {
    const root = temporaryFolder();
    const path = join(root, 'kernel');
    const content = seededBytes(SEED, 24 * 1024 * 1024);
    writeFileSync(path, content);
    const tls = isSecure ? await keyPairFiles(root) : undefined;
    const live = await serveFolder(root, {
      immutable: true,
      http: isSecure ? { listen: [], listenSecure: ANY, tls, threads: 2 } : { listen: ANY, threads: 2 },
    });
    onTestFinished(async () => void (await live.server.stop(0)));
    const [at] = live.server.httpAddresses;
    const connect = (): RawHttp => new RawHttp(at!, isSecure ? { tls: { rejectUnauthorized: false } } : {});
    const readers = [1, 2, 3, 4].map(() => connect().send('GET /kernel HTTP/1.1\r\n\r\n'));
    await Promise.all(readers.map((reader) => reader.until((bytes) => bytes.length > 1000)));
    for (const { socket } of readers) socket.pause();
    truncateSync(path, 4096);
    for (const { socket } of readers) socket.resume();
    for (const reader of readers) {
      // oxlint-disable-next-line no-await-in-loop -- each ends by itself.
      expect((await reader.all()).length).toBeLessThan(content.length);
    }
    await expect.poll(() => live.transfers.length).toBe(4);
    for (const { outcome, fault } of live.transfers) {
      expect({ outcome, fault }).toEqual({ outcome: 'aborted', fault: 'The content became unreadable' });
    }
    expect(live.server.stats().http).toMatchObject({ threadsLostTotal: 0, connections: 0 });
    writeFileSync(join(root, 'other'), 'still here');
    expect((await connect().send('GET /other HTTP/1.1\r\n\r\n').answer()).body.toString()).toBe('still here');
  });
});
