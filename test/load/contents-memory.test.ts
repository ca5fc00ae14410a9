/** Memory of contents that nobody reads any more goes back to the system. */
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { built } from '../support/built.ts';
import { ServedStoreProcess } from '../support/served-store.ts';

const MIB = 1024 ** 2;
const FILES = 30;
const FILE_BYTES = 12 * MIB;

it('of the portable engine is collected after files have been sent', async () => {
  const root = await mkdtemp(join(tmpdir(), 'reveille-contents-'));
  onTestFinished(() => rm(root, { recursive: true }));
  const names = Array.from({ length: FILES }, (_, index) => `file-${index}`);
  for (const name of names) {
    // oxlint-disable-next-line no-await-in-loop -- few.
    await writeFile(join(root, name), '');
    // oxlint-disable-next-line no-await-in-loop -- few.
    await truncate(join(root, name), FILE_BYTES);
  }
  const limits = ['--cache-bytes', `${2 * FILE_BYTES}`, '--sessions-per-address', '1000'];
  const server = new ServedStoreProcess([root, '--engine', 'portable', '--workers', '1', ...limits]);
  onTestFinished(() => server.end('SIGKILL'));
  await server.start();
  const residentBytes = (): Promise<number> => server.metric('process_resident_memory_bytes');
  const before = await residentBytes();
  for (const filename of names) {
    let bytes = 0;
    // oxlint-disable-next-line no-await-in-loop -- one after the other.
    const { outcome } = await built.fetchFile({
      server: server.address,
      filename,
      mode: 'octet',
      wish: { blksize: 1428, windowsize: 64 },
      sink: { write: (part) => (bytes += part.length) },
      lingerMs: 0,
    });
    expect({ outcome, bytes }).toEqual({ outcome: 'complete', bytes: FILE_BYTES });
  }
  // 24 MiB are kept, and 64 MiB may wait for a collection; all files together have 360.
  expect((await residentBytes()) - before).toBeLessThan(180 * MIB);
}, 60_000);
