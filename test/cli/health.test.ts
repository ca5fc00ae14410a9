/** `reveille health`, against an admin server whose readiness the test sets. */
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startAdmin } from '../../src/admin/admin-server.ts';
import { formatAddress } from '../../src/text/address-text.ts';
import { runCommand, type Said } from '../support/command.ts';
import { folder } from '../support/reveille.ts';

function health(...args: string[]): Promise<Said> {
  return runCommand(['health', ...args]);
}

describe('reveille health', () => {
  it('says whether the server answers requests, and why not, in words and by its exit code', async () => {
    let reason: string | undefined = 'no address of `listen` exists';
    const admin = await startAdmin({
      listen: { address: '127.0.0.1', port: 0 },
      notReady: () => reason,
      metrics: () => Promise.resolve(''),
      metricsType: 'text/plain',
    });
    onTestFinished(() => admin.close());
    const address = formatAddress(admin.address);
    expect(await health('--admin', address)).toEqual({
      code: 1,
      stdout: '',
      stderr: `reveille: ${address}: not ready: no address of \`listen\` exists\n`,
    });
    reason = undefined;
    const config = join(folder(), 'reveille.yaml');
    writeFileSync(config, `root: .\nadmin: "0.0.0.0:${admin.address.port}"\napiTokenFile: not-there\n`);
    const fine = { code: 0, stdout: `${address}: ready\n`, stderr: '' };
    expect(await health('--admin', address)).toEqual(fine);
    expect(await health('--config', config)).toEqual(fine);
    // The server keeps running with what it has read before.
    writeFileSync(config, 'rot: .\n');
    const mistake = `reveille: ${config}:1: rot: expected a known key (did you mean root?), got an unknown key\n`;
    expect(await health('--admin', address, '--config', config)).toEqual({ ...fine, stderr: mistake });
  });

  it('fails if nobody listens', async () => {
    const other = createServer();
    await new Promise<void>((listening) => void other.listen(0, '127.0.0.1', listening));
    const { port } = other.address() as AddressInfo;
    await new Promise((closed) => other.close(closed));
    const gone = await health('--admin', `127.0.0.1:${port}`);
    expect([gone.code, gone.stdout]).toEqual([1, '']);
    expect(gone.stderr).toContain('ECONNREFUSED');
  });

  it('escapes and cuts what another server answers', async () => {
    const other = createServer((_, response) => response.writeHead(500).end(`\x1b[2J${'x'.repeat(5000)}`));
    await new Promise<void>((listening) => void other.listen(0, '127.0.0.1', listening));
    onTestFinished(() => void other.close());
    const { code, stderr } = await health('--admin', `127.0.0.1:${(other.address() as AddressInfo).port}`);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^reveille: 127\.0\.0\.1:\d+: \\x1b\[2Jx+\.\.\.\(\+\d+\)\n$/);
    expect(stderr.length).toBeLessThan(700);
  });

  it('does not work without an admin address', async () => {
    const config = join(folder(), 'reveille.yaml');
    writeFileSync(config, 'root: .\nadmin: false\n');
    expect(await health('--config', config)).toMatchObject({
      code: 2,
      stderr: 'reveille: --admin: expected an address, because the config has admin: false\n',
    });
  });
});
