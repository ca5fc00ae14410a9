/** The server embedded in a program: the example itself, and cleanup after parts that can't be opened. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fetchFile } from '../src/client/fetch.ts';
import { openStore } from '../src/boot-set/index.ts';
import { folder, Reveille } from './support/reveille.ts';

const ROOT = resolve(import.meta.dirname, '..');
const MAC = '52-54-00-12-34-56';

async function ask(port: number, filename: string): Promise<string> {
  let text = '';
  const { outcome, errorCode } = await fetchFile({
    server: { address: '127.0.0.1', port },
    filename,
    mode: 'octet',
    wish: {},
    sink: {
      write: (bytes) => {
        text += Buffer.from(bytes).toString();
      },
    },
    lingerMs: 0,
  });
  return outcome === 'complete' ? text : `${outcome} ${errorCode}`;
}

/** Runs the example as a program. @returns its port, and a function that ends it and returns its exit code. */
async function run(...args: string[]): Promise<{ port: number; end: () => Promise<number | null> }> {
  const program = spawn(process.execPath, [join(ROOT, 'examples/embedding/server.js'), ...args], {
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(program, 'close');
  onTestFinished(async () => {
    program.kill('SIGKILL');
    await ended;
  });
  let said = '';
  program.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  for (;;) {
    const port = /listening on 127\.0\.0\.1:(\d+)\n/.exec(said)?.[1];
    if (port !== undefined) {
      const end = async (): Promise<number | null> => {
        program.kill('SIGTERM');
        await ended;
        return program.exitCode;
      };
      return { port: Number(port), end };
    }
    // oxlint-disable-next-line no-await-in-loop -- waits until the program prints its port.
    const isOver = await Promise.race([once(program.stdout, 'data').then(() => false), ended.then(() => true)]);
    if (isOver) throw new Error(`ended before it listened: ${said}`);
  }
}

describe('examples/embedding', () => {
  it('serves configs, boot sets and files from one program', async () => {
    const root = folder();
    mkdirSync(join(root, 'set'));
    writeFileSync(join(root, 'set/linux'), 'the kernel');
    writeFileSync(join(root, 'set/initrd.img'), 'the initrd');
    const publish = ['publish', 'rack/install', 'set', '--store', 'store'];
    expect((await new Reveille(publish, { cwd: root }).ended).code).toBe(0);
    const { port, end } = await run(join(root, 'store'));
    expect(await ask(port, `pxelinux.cfg/01-${MAC}`)).toMatch(
      /KERNEL ::rack\/install-1\/linux\n(?:.|\n)*mac=52:54:00:12:34:56/,
    );
    expect(await ask(port, 'rack/install-1/linux')).toBe('the kernel');
    expect(await ask(port, 'status/192.0.2.7')).toBe('192.0.2.7 asked for by 127.0.0.1, nobody we know\n');
    expect(await ask(port, 'status/0.0.0.0')).toBe('refused 1');
    expect(await ask(port, 'motd')).toBe('A file for all.\n');
    expect(await end()).toBe(0);
  });
});

describe('bootSets()', () => {
  it('tells the store how long its pins hold, so that `reveille gc` collects no version of a boot under way', async () => {
    const path = join(folder(), 'store');
    const before = await openStore({ path });
    await before.setDefaults({ keepVersions: 7 });
    await before.close();
    // Worker threads run the built output.
    const built = join(ROOT, 'dist/index.js');
    const { bootSets, createServer } = (await import(built)) as typeof import('../src/index.ts');
    const server = await createServer({
      listen: [{ address: '127.0.0.1', port: 0 }],
      serve: [bootSets(path, { pinIdleMs: 3_600_000 })],
    });
    await server.stop(0);
    const after = await openStore({ path });
    onTestFinished(() => after.close());
    expect(after.defaults()).toEqual({ pinIdleMs: 3_600_000, pinCapMs: 7_200_000, keepVersions: 7 });
  });
});
