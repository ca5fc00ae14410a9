/** A pull that was killed, stopped or cut off leaves what it has downloaded to the next one, which trusts none of it. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, linkSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { sha256 } from '../../src/boot-set/store/manifest.ts';
import type { Store } from '../../src/boot-set/store/store.ts';
import { pull } from '../../src/registry/pull.ts';
import { parseReference } from '../../src/registry/reference.ts';
import { contentOf, filesIn, newStore, photograph } from '../boot-set/fixture.ts';
import { FakeRegistry } from './fixture.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const LINUX = randomBytes(1_500_000);
const INITRD = randomBytes(50_000);
const HALF = 1_000_000;
/** Staging folders of processes that no longer exist. */
const LEFT = ['4194303-0123456789ab', '4194302-0123456789ab'] as const;

async function registryWithSet(): Promise<FakeRegistry> {
  const fake = await FakeRegistry.start();
  fake.addSet({ linux: LINUX, initrd: INITRD }, 'stable');
  return fake;
}

function nameIn(fake: FakeRegistry): string {
  return `oci+http://${fake.host}/boot/install:stable`;
}

function pullFrom(store: Store, fake: FakeRegistry) {
  return pull(store, { reference: parseReference(nameIn(fake)), channel: 'install', standing: 'current' });
}

function checkContents(store: Store): void {
  expect(contentOf(store, 'install-1', 'linux').equals(LINUX)).toBe(true);
  expect(contentOf(store, 'install-1', 'initrd').equals(INITRD)).toBe(true);
  expect(readdirSync(store.layout.blobs).map((name) => statSync(join(store.layout.blobs, name)).mode & 0o777)).toEqual([
    0o444, 0o444, 0o444, 0o444,
  ]);
}

/** Makes a folder with these files, as a dead pull leaves it in a store. */
function leave(store: Store, name: string, files: Readonly<Record<string, Buffer>>): string {
  const path = join(store.layout.staging, name);
  mkdirSync(path, { recursive: true });
  return filesIn(files, path);
}

describe('the next pull', () => {
  it.each(['SIGKILL', 'SIGTERM'] as const)('downloads no byte again that one had when it got %s', async (signal) => {
    const fake = await registryWithSet();
    fake.misbehave = ({ url = '' }, response) => {
      if (!url.endsWith(sha256(LINUX))) return false;
      response.writeHead(200, { 'content-length': LINUX.length }).write(LINUX.subarray(0, HALF));
      return true;
    };
    const store = await newStore();
    const first = spawn(process.execPath, [MAIN, 'pull', nameIn(fake), 'install', '--store', store.path], {
      stdio: 'ignore',
    });
    onTestFinished(() => void first.kill('SIGKILL'));
    await vi.waitFor(
      () => {
        const [left = ''] = readdirSync(store.layout.staging);
        const sizeOf = (bytes: Buffer): number => statSync(join(store.layout.staging, left, sha256(bytes))).size;
        expect([sizeOf(LINUX), sizeOf(INITRD)]).toEqual([HALF, INITRD.length]);
      },
      { timeout: 20_000, interval: 20 },
    );
    const ended = once(first, 'exit');
    first.kill(signal);
    await ended;
    fake.misbehave = () => false;
    const before = fake.asked.length;
    expect(await pullFrom(store, fake)).toMatchObject({ blobs: 1, downloaded: LINUX.length - HALF });
    expect(fake.asked.slice(before).map((asked) => asked.split('/').at(-1))).toEqual([
      'stable',
      `sha256:${sha256(LINUX)}`,
    ]);
    expect(fake.headers.at(-1)?.range).toBe(`bytes=${HALF}-`);
    checkContents(store);
    expect(readdirSync(store.layout.staging)).toEqual([]);
  });

  it('begins a blob again when the bytes that were left are others', async () => {
    const fake = await registryWithSet();
    const store = await newStore();
    leave(store, LEFT[0], { [sha256(LINUX)]: randomBytes(HALF), [sha256(INITRD)]: randomBytes(INITRD.length) });
    const done: number[] = [];
    const reference = parseReference(nameIn(fake));
    const request = { reference, channel: 'install', standing: 'current' } as const;
    await pull(store, { ...request, onProgress: (bytes) => done.push(bytes) });
    checkContents(store);
    expect(done.at(-1)).toBe(LINUX.length + INITRD.length);
  });

  it('takes the longest of what several pulls left', async () => {
    const fake = await registryWithSet();
    const store = await newStore();
    leave(store, LEFT[0], { [sha256(LINUX)]: LINUX.subarray(0, 10) });
    leave(store, LEFT[1], { [sha256(LINUX)]: LINUX, [sha256(INITRD)]: INITRD.subarray(0, 7) });
    chmodSync(join(store.layout.staging, LEFT[1], sha256(LINUX)), 0o444);
    expect(await pullFrom(store, fake)).toMatchObject({ blobs: 1, downloaded: INITRD.length - 7 });
    checkContents(store);
  });

  it('follows no link in a folder that was left, and changes no file that has another name', async () => {
    const fake = await registryWithSet();
    const store = await newStore();
    const outside = filesIn({ [sha256(LINUX)]: LINUX.subarray(0, HALF), other: INITRD.subarray(0, 9), pipe: 'x' });
    const before = photograph(outside);
    const folder = leave(store, LEFT[0], {});
    symlinkSync(join(outside, sha256(LINUX)), join(folder, sha256(LINUX)));
    linkSync(join(outside, 'other'), join(folder, sha256(INITRD)));
    symlinkSync(outside, join(store.layout.staging, LEFT[1]));
    expect(await pullFrom(store, fake)).toMatchObject({ blobs: 2, downloaded: LINUX.length + INITRD.length });
    checkContents(store);
    expect(photograph(outside)).toEqual(before);
    expect(readFileSync(join(outside, 'other')).equals(INITRD.subarray(0, 9))).toBe(true);
    expect(statSync(join(outside, 'other')).mode & 0o200).toBe(0o200);
  });

  it('leaves a pull alone that still runs after more than a day', async () => {
    const fake = await registryWithSet();
    const store = await newStore();
    const running = leave(store, `${process.pid}-0123456789ab`, { [sha256(LINUX)]: LINUX.subarray(0, HALF) });
    utimesSync(running, 0, 0);
    expect(await pullFrom(store, fake)).toMatchObject({ blobs: 2, downloaded: LINUX.length + INITRD.length });
    expect(readdirSync(running)).toEqual([sha256(LINUX)]);
  });

  it('asks for nothing when a file is empty', async () => {
    const fake = await FakeRegistry.start();
    fake.addSet({ empty: Buffer.alloc(0) }, 'stable');
    const store = await newStore();
    await pullFrom(store, fake);
    expect(fake.asked).toHaveLength(1);
    expect(contentOf(store, 'install-1', 'empty')).toHaveLength(0);
  });
});
