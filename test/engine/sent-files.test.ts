/** Descriptors of files in memory, by which sendfile(2) sends them over HTTP. */
import { fstatSync, readSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { MappingHandle } from '../../src/bytes/shared-bytes.ts';
import { LinuxEngine } from '../../src/engine/linux/engine.ts';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import { temporaryFolder } from '../content/fixture.ts';

const SIZE = 1024 * 1024;
const reason = await checkLinuxEngine();

it.skipIf(reason !== undefined)('large files have a descriptor until they are freed, and only with HTTP', async () => {
  const path = join(temporaryFolder(), 'image');
  writeFileSync(path, Buffer.alloc(SIZE, 'a'));
  const file = await open(path);
  const sending = new LinuxEngine({ sendsFiles: true });
  const plain = new LinuxEngine();
  try {
    const copy = sending.allocateFile(SIZE)!;
    await copy.fill(file.fd, 0, SIZE, 0);
    const mapped = (await sending.mapFile(file.fd, SIZE))!;
    for (const memory of [copy, mapped]) {
      const { fd } = memory.handle as MappingHandle;
      const last = Buffer.alloc(4);
      expect(readSync(fd!, last, 0, 4, SIZE - 4)).toBe(4);
      expect(last.toString()).toBe('aaaa');
      memory.free();
      expect(() => fstatSync(fd!)).toThrow('EBADF');
    }
    // Descriptors are for sockets first.
    for (const without of [sending.allocateFile(SIZE - 1)!, plain.allocateFile(SIZE)!]) {
      expect(without.handle).not.toHaveProperty('fd');
      without.free();
    }
  } finally {
    await file.close();
    await sending.close();
    await plain.close();
  }
});
