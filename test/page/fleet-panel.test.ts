/** The servers of a fleet on the live page, in a real browser: what they have announced in Redis. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type ServerRecord, serverText } from '../../src/fleet/announcement.ts';
import { folder } from '../boot-set/fixture.ts';
import { launchBrowser, hasBrowser } from '../support/browser.ts';
import { pageProblems } from '../support/page-checks.ts';
import { hasRedis, RedisServer } from '../support/redis-server.ts';
import { ServedStoreProcess } from '../support/served-store.ts';

vi.setConfig({ testTimeout: 170_000 });

const OTHER: ServerRecord = {
  name: '<b>other</b>:69',
  run: 'r',
  version: '1.2.3',
  startedAt: 0,
  channels: 4,
  behind: 1,
  behindNames: ['maas/install'],
  staged: 9,
  pins: 1234,
  transfers: 7,
  sessions: 4096,
  skewMs: -1500,
  isNameTaken: false,
};

describe.skipIf(!hasBrowser || !hasRedis)('the live page of a server of a fleet', () => {
  it('shows the live servers, which of them is behind, and text from Redis as it is', async () => {
    const redis = await RedisServer.start();
    redis.cli('HSET', 'reveille:servers', OTHER.name, String(Date.now()));
    redis.cli('SET', `reveille:server:${OTHER.name}`, serverText(OTHER));
    const config = join(folder(), 'reveille.yaml');
    writeFileSync(config, JSON.stringify({ store: folder(), pins: `redis://127.0.0.1:${redis.port}`, workers: 1 }));
    const server = new ServedStoreProcess(['--config', config]);
    onTestFinished(() => server.end('SIGKILL'));
    await server.start();
    const browser = await launchBrowser();
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    await page.goto(server.admin);
    await page.locator('#fleet tbody tr', { hasText: '(this one)' }).waitFor();
    const rows = await page.locator('#fleet tbody tr').allInnerTexts();
    expect(rows.map((row) => row.split('\t').map((cell) => cell.trim()))).toContainEqual([
      '<b>other</b>:69',
      '1.2.3',
      '4, 1 behind: maas/install',
      '9 versions',
      '1,234',
      '7 of 4,096',
      '-1.50 s',
    ]);
    expect(await page.locator('#fleet b').count()).toBe(0);
    expect(await pageProblems(page)).toEqual([]);
  });
});
