/** Files sent while they are still being read from slow storage: real sockets, threads and files. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Server, TransferRecord } from '../../src/index.ts';
import { built } from '../support/built.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { PacedStorage, sharedFiles } from '../support/paced-storage.ts';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';

const MIB = 1024 ** 2;
const unavailable = await checkLinuxEngine();
const ENGINES = unavailable === undefined ? (['linux', 'portable'] as const) : (['portable'] as const);

describe.each(ENGINES)('by the %s engine, a file that nobody has read yet', (engine) => {
  let folder: string;
  let server: Server | undefined;
  let transfers: TransferRecord[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'reveille-cold-'));
    transfers = [];
  });

  afterEach(async () => {
    await server?.stop(0);
    await rm(folder, { recursive: true });
  });

  async function serve(bytesPerS: number, limitBytes = Number.POSITIVE_INFINITY): Promise<PacedStorage> {
    const storage = new PacedStorage(bytesPerS);
    const { BufferCache, DEFAULT_LIMITS, Directory, startServer } = built;
    server = await startServer({
      listen: [{ address: '127.0.0.1', port: 0 }],
      sources: ({ allocateFile = sharedFiles }) => [
        new Directory({
          root: folder,
          cache: new BufferCache({ limitBytes }),
          clock: () => performance.now(),
          allocateFile: storage.pace(allocateFile),
        }),
      ],
      engine,
      workers: 1,
      limits: DEFAULT_LIMITS,
      observer: { onTransfer: (record) => transfers.push(record), onRefusal: () => {}, onWarning: () => {} },
    });
    return storage;
  }

  interface Got {
    readonly outcome: string;
    readonly errorText: string;
    readonly bytes: Buffer;
    readonly firstMs: number;
  }

  async function download(filename: string, mode: 'octet' | 'netascii' = 'octet', windowsize = 1): Promise<Got> {
    const parts: Buffer[] = [];
    const asked = performance.now();
    let firstMs = Number.NaN;
    const { outcome, errorText } = await built.fetchFile({
      server: server!.addresses[0]!,
      filename,
      mode,
      wish: { blksize: 16_384, windowsize, tsize: true },
      sink: {
        write: (bytes) => {
          if (parts.length === 0) firstMs = performance.now() - asked;
          parts.push(Buffer.from(bytes));
        },
      },
      lingerMs: 0,
    });
    return { outcome, errorText, bytes: Buffer.concat(parts), firstMs };
  }

  it('is sent to twenty clients from one reading, from its first bytes on', async () => {
    const content = seededBytes(SEED, 3 * MIB);
    await writeFile(join(folder, 'kernel'), content);
    const storage = await serve(1_500_000);
    const got = await Promise.all(
      Array.from({ length: 20 }, (_, index) => download('kernel', 'octet', 1 + (index % 8))),
    );
    for (const { outcome, bytes, firstMs } of got) {
      expect({ outcome, isSame: bytes.equals(content) }).toEqual({ outcome: 'complete', isSame: true });
      // The storage takes two seconds for the whole file.
      expect(firstMs).toBeLessThan(1500);
    }
    expect(storage.bytesRead).toBe(content.length);
  }, 60_000);

  it('ends its transfers when it is changed meanwhile, and the next ones get the new file', async () => {
    const [before, after] = [seededBytes(SEED, MIB), seededBytes(SEED + 1, MIB)];
    await writeFile(join(folder, 'kernel'), before);
    await serve(500_000);
    const running = [download('kernel'), download('kernel', 'octet', 4)];
    await expect.poll(() => server!.transfers().filter(({ bytes }) => bytes > 0).length, { timeout: 20_000 }).toBe(2);
    await writeFile(join(folder, 'kernel'), after, { flag: 'r+' });
    for (const { outcome, errorText, bytes } of await Promise.all(running)) {
      expect({ outcome, errorText }).toEqual({ outcome: 'clientError', errorText: 'File changed' });
      expect(bytes.length).toBeLessThan(before.length);
    }
    const next = await download('kernel');
    expect(next.bytes.equals(after)).toBe(true);
    await expect.poll(() => transfers.map(({ outcome }) => outcome)).toEqual(['aborted', 'aborted', 'complete']);
  }, 60_000);

  it('is sent even if it is larger than the memory for contents', async () => {
    const content = seededBytes(SEED, 3 * MIB + 5);
    await writeFile(join(folder, 'initrd'), content);
    const storage = await serve(50_000_000, MIB);
    const got = await Promise.all([download('initrd'), download('initrd', 'octet', 8)]);
    for (const { outcome, bytes } of got)
      expect({ outcome, isSame: bytes.equals(content) }).toEqual({ outcome: 'complete', isSame: true });
    expect(storage.bytesRead).toBe(2 * content.length);
  }, 60_000);

  it.each([Number.POSITIVE_INFINITY, MIB])(
    'is converted to netascii while it is read, whatever its size (memory: %f bytes)',
    async (limitBytes) => {
      const line = 'A line that ends as local lines do.\n';
      const text = line.repeat(Math.ceil((limitBytes === MIB ? 2 * MIB : 17 * MIB) / line.length));
      await writeFile(join(folder, 'large.txt'), text);
      await serve(Number.POSITIVE_INFINITY, limitBytes);
      const { outcome, bytes } = await download('large.txt', 'netascii', 8);
      // The client converts line ends back, so the transfer itself was longer.
      expect({ outcome, isSame: bytes.equals(Buffer.from(text)) }).toEqual({ outcome: 'complete', isSame: true });
      await expect.poll(() => transfers.map(({ size }) => size)).toEqual([text.length + text.length / line.length]);
    },
    120_000,
  );
});
