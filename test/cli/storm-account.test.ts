/** Storms by the built command against the built server, whose metrics say which requests it left unanswered. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ExampleServer } from '../examples/fixture.ts';
import { PlantedServer } from '../support/planted-server.ts';
import { folder } from '../support/reveille.ts';
import { readReport } from '../support/storm-page.ts';
import { FILES, KERNEL, storm } from './storm-fixture.ts';

const HINT = 'a Reveille server reports which requests it left unanswered, and why: give its admin address';

async function serving(...flags: string[]): Promise<{ port: number; admin: string }> {
  const root = folder();
  mkdirSync(join(root, 'files'));
  writeFileSync(join(root, 'files/linux'), KERNEL.subarray(0, 10_000));
  writeFileSync(join(root, 'reveille.yaml'), 'root: files\n');
  const { port, admin } = await ExampleServer.start(join(root, 'reveille.yaml'), ...flags);
  return { port, admin: admin.replace('http://', '') };
}

/** Nodes behind one address that arrive one after the other. Each transfer lasts longer than all the arrivals take. */
const BEHIND_ONE = ['--source', 'port', '--nodes', '4', '--arrival', 'ramp:600ms', '--crawl', '100%:100ms'];
const NODES = [...BEHIND_ONE, '--profile', 'ipxe', '--file', 'linux'];

describe('reveille storm and what the server left unanswered', { timeout: 60_000 }, () => {
  it('names the limit that kept nodes out, the count and the setting, or hints at --admin', async () => {
    const { port, admin } = await serving('--sessions-per-address', '2');
    const html = join(folder(), 'report.html');
    const asked = await storm(port, [...NODES, '--admin', admin, '--html', html]);
    expect([asked.code, asked.stderr]).toEqual([0, '']);
    const { left_unanswered: left, unanswered_requests: seen } = asked.report;
    expect(left).toMatchObject({ admin, problem: null });
    expect(left!.reasons).toEqual([
      {
        reason: 'addressFull',
        count: expect.any(Number) as number,
        what: 'an address had as many transfers as it may have',
        settings: ['--sessions-per-address', '--shared-networks'],
      },
    ]);
    const { count } = left!.reasons[0]!;
    expect(count).toBeGreaterThan(0);
    // The nodes also count requests whose reply was late; the server does not.
    expect(seen).toBeGreaterThanOrEqual(count);
    const words =
      'addressFull: an address had as many transfers as it may have (--sessions-per-address, --shared-networks)';
    expect(asked.stdout.replaceAll(/\n +/g, ' ')).toContain(`${count} × ${words}`);
    expect(asked.stdout).not.toContain(HINT);
    const page = readFileSync(html, 'utf8');
    expect(readReport(page)).toEqual(asked.report);
    expect(page).toContain('<td class="words">an address had as many transfers as it may have</td>');

    const unasked = await storm(port, [...NODES, '--html', html]);
    expect(unasked.report).toMatchObject({ failed: 0, left_unanswered: null });
    expect(unasked.report.unanswered_requests).toBeGreaterThan(0);
    expect(unasked.stdout.replaceAll(/\n +/g, ' ')).toContain(HINT);
    expect(readFileSync(html, 'utf8')).toContain(HINT);
  });

  it('says when nothing was left unanswered', async () => {
    const { port, admin } = await serving();
    const { code, report, stdout } = await storm(port, [...NODES, '--admin', admin]);
    expect([code, report.left_unanswered]).toEqual([0, { admin, problem: null, reasons: [] }]);
    expect(stdout).toContain(`according to ${admin}, the server left no request unanswered`);
  });

  it('continues if the server cannot be asked, and says so in one line and in the report', async () => {
    const server = await PlantedServer.start(FILES);
    onTestFinished(() => server.close());
    const other = createServer((_, response) => void response.end('up 1\n')).listen(0, '127.0.0.1');
    await once(other, 'listening');
    onTestFinished(() => void other.close());
    const { port } = other.address() as { port: number };
    const said = `127.0.0.1:${port}: expected metrics of a Reveille server`;
    const args = ['--nodes', '2', '--file', 'linux', '--admin', `127.0.0.1:${port}`];
    const { code, report, stderr, stdout } = await storm(server.port, args);
    expect([code, report.completed, stderr]).toEqual([
      0,
      2,
      `reveille: storm: the report will lack the requests that the server left unanswered: ${said}\n`,
    ]);
    expect(report.left_unanswered).toEqual({ admin: `127.0.0.1:${port}`, problem: said, reasons: [] });
    expect(stdout.replaceAll(/\n +/g, ' ')).toContain(`the reasons could not be read from the server: ${said}`);
  });
});
