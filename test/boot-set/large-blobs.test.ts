/** Files of boot sets that are sent while they are read. */
import { chmodSync, truncateSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { MapFile } from '../../src/bytes/shared-bytes.ts';
import { BufferCache } from '../../src/content/buffer-cache.ts';
import { whenWhole } from '../../src/content/when-whole.ts';
import { CLIENT, Serving, setOf, textOf } from './serving.ts';

describe('large files of a boot set', () => {
  it('are served before they have been read completely, as octet, as netascii and mapped', async () => {
    const lines = 'a line\n'.repeat(50_000);
    const filled: number[] = [];
    const mapFile: MapFile = async (_, length) => ({
      handle: { address: 4096n, length },
      fill: async (__, at, wanted, position) => {
        expect(at).toBe(position);
        filled.push(wanted);
        return wanted;
      },
      free: () => {},
    });
    for (const mapping of [undefined, mapFile]) {
      // oxlint-disable-next-line no-await-in-loop -- one store after the other.
      const serving = await Serving.start({ mapFile: mapping });
      // oxlint-disable-next-line no-await-in-loop -- the same.
      await serving.publish('rack', { ...setOf(1), initrd: lines });
      for (const mode of ['octet', 'netascii'] as const) {
        // oxlint-disable-next-line no-await-in-loop -- the same.
        const answer = await serving.ask('rack/initrd', CLIENT, mode);
        if (answer.kind !== 'content') throw new Error(answer.kind);
        expect(answer.supply).toMatchObject({ isWhole: false });
        // oxlint-disable-next-line no-await-in-loop -- the same.
        expect(await whenWhole(answer.supply)).toBe(true);
        const isText = mapping === undefined || mode === 'netascii';
        const text = isText ? textOf(answer).slice(0, answer.supply!.size) : lines;
        expect(text === (mode === 'octet' ? lines : lines.replaceAll('\n', '\r\n'))).toBe(true);
        answer.release();
      }
    }
    expect(filled.reduce((sum, length) => sum + length, 0)).toBe(lines.length);
  });

  it('are read through a small ring if memory is short', async () => {
    const serving = await Serving.start({ cache: new BufferCache({ limitBytes: 300_000 }) });
    await serving.publish('rack', { ...setOf(1), initrd: 'x'.repeat(400_000) });
    const answer = await serving.ask('rack/initrd');
    expect(answer).toMatchObject({ kind: 'content', supply: { size: 400_000, ringBytes: 262_144 } });
    expect(serving.cache.stats().heldBytes).toBe(262_144);
    if (answer.kind === 'content') answer.release();
    expect(serving.cache.stats().heldBytes).toBe(0);
  });

  it('that are truncated while they are read are reported as damaged, and never complete', async () => {
    const serving = await Serving.start();
    await serving.publish('rack', { ...setOf(1), initrd: 'x'.repeat(400_000) });
    const answer = await serving.ask('rack/initrd');
    if (answer.kind !== 'content') throw new Error(answer.kind);
    const { digest } = serving.store.versions()[0]!.files.find(({ name }) => name === 'initrd')!;
    chmodSync(serving.store.blobPath(digest), 0o644);
    truncateSync(serving.store.blobPath(digest), 100_000);
    expect(await whenWhole(answer.supply)).toBe(false);
    expect(answer.supply).toMatchObject({ failure: 'changed' });
    expect(serving.warnings).toEqual(['a blob of the store is damaged: it is not served; run reveille verify']);
    expect(await serving.read('rack/initrd')).toBe('denied');
  });
});
