/**
 * Checks every statement that is visible from outside against our own server on threads, over the loopback interface.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Server, ServerLimits } from '../../src/index.ts';
import { CHECKS } from '../../src/check/checks.ts';
import { DEFAULT_WAITS, type Waits } from '../../src/check/exchange.ts';
import type { CheckReport } from '../../src/check/report.ts';
import { runChecks } from '../../src/check/run-checks.ts';
import { built } from '../support/built.ts';
import { CAMPAIGN, SEED, seededBytes } from '../support/content.ts';

/** Our server's pauses between sends to an address that never answered grow to 1.5 seconds. */
const WAITS: Waits = { ...DEFAULT_WAITS, quietMs: 500, closedMs: 3000, capQuietMs: 5000 };

const FILES: Readonly<Record<string, Buffer>> = {
  empty: Buffer.alloc(0),
  one: seededBytes(SEED, 1),
  even: seededBytes(SEED + 1, 512 * 8),
  'boot/with space': seededBytes(SEED + 2, 5000),
  'k\u00e4se': seededBytes(SEED + 3, 1001),
  lines: Buffer.from('one\ntwo\r\nthree\r'.repeat(40)),
  // Three wraps of the block number in blocks of 8 bytes, and 1,000 blocks more.
  linux: seededBytes(SEED + 4, 3 * 65_536 * 8 + 8000),
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reveille-check-'));
  await mkdir(join(folder, 'boot'));
  for (const [name, content] of Object.entries(FILES)) await writeFile(join(folder, name), content);
});
afterAll(() => rm(folder, { recursive: true }));

async function withServer<T>(
  engine: 'auto' | 'portable',
  local: string,
  limits: Partial<ServerLimits>,
  work: (server: Server) => Promise<T>,
): Promise<T> {
  const { BufferCache, DEFAULT_LIMITS, Directory, startServer } = built;
  const source = new Directory({ root: folder, cache: new BufferCache(), clock: () => performance.now() });
  const server = await startServer({
    listen: [{ address: local, port: 0 }],
    sources: [source],
    engine,
    workers: 1,
    limits: { ...DEFAULT_LIMITS, ...limits },
    observer: { onTransfer: () => {}, onRefusal: () => {}, onWarning: () => {} },
  });
  try {
    return await work(server);
  } finally {
    await server.stop(0);
  }
}

async function check(server: Server, numbers?: readonly number[]): Promise<CheckReport> {
  return await runChecks({
    server: server.addresses[0]!,
    files: Object.entries(FILES).map(([name, bytes]) => ({ name, bytes, size: bytes.length })),
    timeoutMs: 170_000,
    waits: WAITS,
    checks: CHECKS.filter(({ number }) => numbers === undefined || numbers.includes(number)),
  });
}

/** Results that are not `pass`, in readable form. */
function others({ checks }: CheckReport): string[] {
  return checks
    .filter(({ verdict }) => verdict !== 'pass')
    .map(({ number, verdict, detail }) => `${number} ${verdict}: ${detail}`);
}

// The runs mostly wait, so they run concurrently.
describe.concurrent(`Reveille, seed ${SEED}`, () => {
  it.each(CAMPAIGN ? (['auto', 'portable'] as const) : (['auto'] as const))(
    'passes every statement that can be checked from outside, with the engine %s',
    { timeout: 180_000 },
    async (engine) => {
      const report = await withServer(engine, '127.0.0.1', {}, (server) => check(server));
      expect(others(report)).toEqual([
        '41 not offered: the server does not grant timeout',
        '42 not offered: the server does not grant timeout',
        '47 not offered: multicast is ignored',
      ]);
      expect(report).toMatchObject({ fault: null, fell_silent_after: null, cut_short: null });
    },
  );

  it('grants timeouts unchanged if it is configured to grant them', async () => {
    const limits = { acknowledgeTimeout: true };
    const report = await withServer('auto', '127.0.0.1', limits, (server) => check(server, [18, 41, 42]));
    expect(others(report)).toEqual([]);
  });

  it.each(['::1', '127.0.0.2'])('answers from the address that the request was sent to: %s', async (local) => {
    const report = await withServer('auto', local, {}, (server) => check(server, [7, 40, 80, 88]));
    expect(others(report)).toEqual([]);
    expect(report.server).toMatch(local === '::1' ? /^\[::1\]:[0-9]+$/ : /^127\.0\.0\.2:[0-9]+$/);
  });

  it.each(['auto', 'portable'] as const)(
    'accepts no IPv4 on an IPv6 socket, so that no client has an address in two forms: engine %s',
    async (engine) => {
      const report = await withServer(engine, '::', {}, async (server) => {
        const port = Math.max(...server.addresses.map((address) => address.port));
        return await runChecks({ server: { address: '127.0.0.1', port }, files: [{ name: 'one' }], timeoutMs: 30_000 });
      });
      expect(report.fault).toBe('nobody listens on that port');
    },
  );
});
