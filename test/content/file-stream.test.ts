/** Files that are read while they are sent: the system calls made, and the handling of their failures. */
import { appendFileSync, chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type AllocateFile, attachShared, type MapFile } from '../../src/bytes/shared-bytes.ts';
import { CHANGED, type StreamOptions, stream } from '../../src/content/file-snapshot.ts';
import type { TransferMode } from '../../src/content/types.ts';
import type { FileSupply } from '../../src/content/file-supply.ts';
import { whenWhole } from '../../src/content/when-whole.ts';
import { changeNextOpened, foundFile, put, temporaryFolder } from './fixture.ts';

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof fs>();
  return { ...real, open: vi.fn<typeof real.open>(real.open) };
});

/** Applies `change` to the handle of the next file that is opened. */
const openedOnce = (change: (handle: fs.FileHandle) => void): void => changeNextOpened(vi.mocked(fs.open), change);

describe('a file that is sent while it is read', () => {
  /** Simulates mapping and reserving memory. */
  function memory(during: () => void = () => {}) {
    const seen = { asked: [] as number[], filled: [] as string[], freed: 0 };
    const allocateFile: AllocateFile = (length) => {
      seen.asked.push(length);
      return {
        handle: { address: 4096n, length },
        fill: async (_, at, wanted, position) => {
          during();
          seen.filled.push(`${at}+${wanted} from ${position}`);
          return wanted;
        },
        free: () => void seen.freed++,
      };
    };
    return { seen, allocateFile, mapFile: (async (_, length) => allocateFile(length)) as MapFile };
  }

  const clock = () => 0;

  async function begun(
    path: string,
    mode: TransferMode,
    options: Omit<StreamOptions, 'clock'> = {},
  ): Promise<FileSupply> {
    const supply = await stream(foundFile(path), mode, { clock, ...options });
    if ('kind' in supply) throw new Error(`Got ${supply.kind}`);
    onTestFinished(() => supply.stop());
    return supply;
  }

  it('is mapped or copied, only its beginning before a reader needs more, and released at the end', async () => {
    const path = put(temporaryFolder(), 'x', 'x'.repeat(200_000));
    for (const kind of ['mapFile', 'allocateFile'] as const) {
      const { seen, ...ways } = memory();
      const supply = await begun(path, 'octet', { [kind]: ways[kind] });
      await vi.waitFor(() => expect(supply.arrived).toBe(65_536));
      expect(seen).toEqual({ asked: [200_000], filled: ['0+65536 from 0'], freed: 0 });
      expect(await whenWhole(supply)).toBe(true);
      expect(seen.filled).toEqual(['0+65536 from 0', '65536+131072 from 65536', '196608+3392 from 196608']);
      supply.stop();
      await vi.waitFor(() => expect(seen.freed).toBe(1));
    }
  });

  it('is copied into shared memory if the system cannot map it, and is converted there', async () => {
    const lines = 'line\n'.repeat(30_000);
    const path = put(temporaryFolder(), 'x', lines);
    const refused = { mapFile: async () => undefined, allocateFile: () => undefined };
    const copy = await begun(path, 'octet', refused);
    expect(await whenWhole(copy)).toBe(true);
    expect(Buffer.from(attachShared(copy.handle).bytes).equals(Buffer.from(lines))).toBe(true);
    const text = await begun(path, 'netascii', memory());
    expect(text.size).toBe(2 * lines.length);
    expect(await whenWhole(text)).toBe(true);
    expect(text.size).toBe(lines.length + 30_000);
    expect(Buffer.from(attachShared(text.handle).bytes).toString()).toBe(lines.replaceAll('\n', '\r\n'));
  });

  it.each([
    ['written to', (path: string) => writeFileSync(path, 'y'.repeat(200_000))],
    ['appended to', (path: string) => appendFileSync(path, '!')],
    ['cut short', (path: string) => writeFileSync(path, 'x')],
  ])('is never complete if it is %s meanwhile', async (_, edit) => {
    const path = put(temporaryFolder(), 'x', 'x'.repeat(200_000));
    const failures: string[] = [];
    const supply = await begun(path, 'octet', { onFailure: (why) => failures.push(why) });
    edit(path);
    expect(await whenWhole(supply)).toBe(false);
    expect(supply).toMatchObject({ failure: 'changed', isWhole: false });
    expect(supply.arrived).toBeLessThan(200_000);
    expect(failures).toEqual(['changed']);
  });

  it.each([
    ['another file gets its name', (path: string, other: string) => renameSync(other, path)],
    ['it is removed', (path: string) => rmSync(path)],
  ])('is complete although %s meanwhile', async (_, change) => {
    for (const options of [{}, { mapFile: memory().mapFile }]) {
      const root = temporaryFolder();
      const path = put(root, 'x', 'x'.repeat(200_000));
      // oxlint-disable-next-line no-await-in-loop -- copied first, then mapped.
      const supply = await begun(path, 'octet', options);
      change(path, put(root, 'new', 'y'.repeat(300_000)));
      // oxlint-disable-next-line no-await-in-loop -- the same.
      expect(await whenWhole(supply)).toBe(true);
    }
  });

  it('is complete whatever happens to its name and mode if files are immutable, also in a ring', async () => {
    const path = put(temporaryFolder(), 'x', 'x'.repeat(200_000));
    for (const mode of ['octet', 'netascii'] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      const supply = await begun(path, mode, { isImmutable: true, isRing: true });
      chmodSync(path, 0o600);
      supply.cut(1000);
      for (let acknowledged = 0; !supply.isWhole && supply.failure === undefined; acknowledged += 50_000) {
        supply.acknowledge(acknowledged);
        // oxlint-disable-next-line no-await-in-loop -- until more has arrived.
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(supply).toMatchObject({ isWhole: true, failure: undefined });
    }
  });

  it('is not complete if it was written to and then removed', async () => {
    const path = put(temporaryFolder(), 'x', 'x'.repeat(200_000));
    const supply = await begun(path, 'octet');
    writeFileSync(path, 'y'.repeat(200_000));
    rmSync(path);
    expect(await whenWhole(supply)).toBe(false);
  });

  it('releases its memory when the current read has ended, not before', async () => {
    const path = put(temporaryFolder(), 'x', 'x'.repeat(200_000));
    let goOn = (): void => {};
    let freed = 0;
    const hanging: AllocateFile = (length) => ({
      handle: { address: 4096n, length },
      fill: (_, __, wanted) => new Promise((resolve) => (goOn = () => resolve(wanted))),
      free: () => void freed++,
    });
    const supply = await begun(path, 'octet', { allocateFile: hanging });
    supply.stop();
    expect(freed).toBe(0);
    goOn();
    await vi.waitFor(() => expect(freed).toBe(1));
  });

  it('reports a failing disk, and closes the file', async () => {
    const path = put(temporaryFolder(), 'x', 'x'.repeat(200_000));
    const handles: fs.FileHandle[] = [];
    openedOnce((handle) => {
      handles.push(handle);
      handle.read = () => Promise.reject(Object.assign(new Error('EIO: failed'), { code: 'EIO', syscall: 'read' }));
    });
    const errors: unknown[] = [];
    const supply = await begun(path, 'octet', { onFailure: (_, error) => errors.push(error) });
    expect(await whenWhole(supply)).toBe(false);
    expect(supply.failure).toBe('unreadable');
    expect(errors).toMatchObject([{ code: 'EIO' }]);
    await vi.waitFor(() => expect(handles[0]!.fd).toBe(-1));
  });

  it('is not opened, or is closed again, if it is no longer the file that was found', async () => {
    const path = put(temporaryFolder(), 'x', 'x'.repeat(200_000));
    const handles: fs.FileHandle[] = [];
    openedOnce((handle) => handles.push(handle));
    expect(await stream(foundFile(path, { identity: 'another' }), 'octet', { clock })).toBe(CHANGED);
    expect(handles[0]!.fd).toBe(-1);
  });
});
