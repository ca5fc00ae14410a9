/** The report of a storm by the built command in its three forms: they agree, and the page opens in a browser. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { StormReport } from '../../src/storm/report.ts';
import { readReport } from '../support/storm-page.ts';
import { hasBrowser, launchBrowser, openPage } from '../support/browser.ts';
import { PlantedServer } from '../support/planted-server.ts';
import { folder, Reveille } from '../support/reveille.ts';
import { BOOT, FILES, rightFiles } from './storm-fixture.ts';

async function run(port: number, args: readonly string[]) {
  const own = ['--nodes', '20', '--profile', 'ipxe,grub', ...BOOT, '--verify', rightFiles(), '--threads', '1'];
  return new Reveille(['storm', `127.0.0.1:${port}`, ...own, ...args]).ended;
}

async function serving(): Promise<number> {
  const server = await PlantedServer.start(FILES);
  onTestFinished(() => server.close());
  return server.port;
}

describe('the report of reveille storm', { timeout: 60_000 }, () => {
  it('is a table, JSON and a page with the same content, in complete files', async () => {
    const to = folder();
    const [json, html] = [join(to, 'report.json'), join(to, 'report.html')];
    const { code, stdout } = await run(await serving(), ['--json', json, '--html', html]);
    expect(code).toBe(0);
    expect(readdirSync(to).toSorted()).toEqual(['report.html', 'report.json']);
    const report = JSON.parse(readFileSync(json, 'utf8')) as StormReport;
    expect(report).toMatchObject({ completed: 20, wrong_bytes: 0, files_not_compared: 0, slo: { met: true } });
    expect(stdout).toContain('20 of 20 nodes booted (100 %), 0 failed');
    expect(stdout).toMatch(/\nSLO met\n$/);
    const page = readFileSync(html, 'utf8');
    expect(readReport(page)).toEqual(report);
  });

  it('goes to stdout alone for a program, and the table to stderr', async () => {
    const port = await serving();
    const json = await run(port, ['--quiet', '--json', '-']);
    expect((JSON.parse(json.stdout) as StormReport).completed).toBe(20);
    expect(json.stderr).toMatch(/^Boot storm against /);
    const html = await run(port, ['--quiet', '--html', '-']);
    expect(readReport(html.stdout).completed).toBe(20);
  });

  it.skipIf(!hasBrowser)('opens in a browser with its charts, and the browser complains of nothing', async () => {
    const html = join(folder(), 'report.html');
    await run(await serving(), ['--html', html]);
    const browser = await launchBrowser();
    onTestFinished(() => browser.close());
    const { page, problems } = await openPage(browser, readFileSync(html, 'utf8'));
    expect(await page.title()).toMatch(/: 20 of 20 booted$/);
    expect(await page.locator('.plot canvas').count()).toBe(4);
    expect(await page.locator('.verdict').textContent()).toBe('SLO met');
    expect(problems).toEqual([]);
  });
});
