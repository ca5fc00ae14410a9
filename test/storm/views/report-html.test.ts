/** The report as a page: its text, and how a browser renders it. */
import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chartsOf } from '../../../src/storm/views/report-charts.ts';
import { renderHtml } from '../../../src/storm/views/report-html.ts';
import { readReport } from '../../support/storm-page.ts';
import { hasBrowser, launchBrowser, openPage } from '../../support/browser.ts';
import { calmReport, emptyReport, NASTY, NASTY_END, roughReport } from './report-fixture.ts';

describe("the text of a report's page", () => {
  it.each([
    ['rough', roughReport],
    ['calm', calmReport],
    ['empty', emptyReport],
  ])('can be turned back into the %s report', (_, report) => {
    expect(readReport(renderHtml(report))).toEqual(report);
  });

  it('is rejected if it contains no report', () => {
    expect(() => readReport('<!doctype html>')).toThrow('Expected a page with a storm report in it, found none');
  });

  it('holds no name from outside as markup', () => {
    const page = renderHtml(roughReport);
    for (const name of [NASTY, NASTY_END, '<img', '<b>', "alert('1')</script>"]) expect(page).not.toContain(name);
  });

  it('names no address to load anything from', () => {
    const markup = renderHtml(calmReport).replaceAll(/<script>[\s\S]*?<\/script>|<!--[\s\S]*?-->/g, '');
    expect(markup).not.toMatch(/https?:|\bsrc=|@import|url\(/);
    expect([...markup.matchAll(/\bhref="([^"]*)"/g)].map(([, href]) => href)).toEqual(['data:,']);
  });

  it('shows the protocol of each stage where one is fetched over HTTP', () => {
    const stages = roughReport.stages.map((stage) => ({ ...stage, via: 'http' as const }));
    const page = renderHtml({ ...roughReport, http: '192.0.2.1:8080', stages });
    expect(page).toContain('<dt>HTTP server</dt><dd>192.0.2.1:8080</dd>');
    expect(page.match(/<th scope="col" class="label">via<\/th>/g)).toHaveLength(1);
    expect(page.match(/<td class="label">http<\/td>/g)).toHaveLength(stages.length);
    for (const text of ['HTTP server', '>via<']) expect(renderHtml(roughReport)).not.toContain(text);
  });

  it('carries the licence of the code in it', () => {
    expect(renderHtml(calmReport)).toContain('Permission is hereby granted, free of charge');
  });
});

describe('the charts of a report', () => {
  it('have as many readings as points, and a table of a bearable length that ends where the curve ends', () => {
    const long = Array.from({ length: 1200 }, (_, index) => index);
    const curve = { step_s: 0.5, completed: long, failed: long.map(() => 0), bytes: long };
    for (const report of [roughReport, calmReport, { ...roughReport, curve }]) {
      const charts = chartsOf(report);
      for (const { data, readings } of charts) {
        for (const values of data) expect(values).toHaveLength(readings.length);
      }
      for (const { table } of charts.slice(0, 2)) {
        expect(table.rows.length).toBeLessThanOrEqual(26);
        expect(table.rows.at(-1)?.[0]).toBe(`${report.curve.bytes.length / 2} s`);
      }
    }
  });

  it('say in words what they show', () => {
    expect(chartsOf(roughReport).map(({ summary }) => summary)).toEqual([
      '985 of 1,000 nodes booted, 14 failed. Half of the booted nodes had finished after 38.0 s.',
      expect.stringMatching(/^14\.5 GB of payload in 63\.2 s: 230 MB\/s on average, \d+ MB\/s at most\.$/),
      expect.stringMatching(
        /^3,000 requests from \S+ µs to \S+ s; the fullest bucket, \S+ ms to \S+ ms, holds \d+ of them\.$/,
      ),
      expect.stringMatching(/^985 nodes from \d+ s to \d+ s; the fullest bucket, \d+ s to \d+ s, holds \d+ of them\.$/),
    ]);
  });

  it('draw a bucket that begins at 0 as wide as its neighbour', () => {
    const histograms = { ...calmReport.histograms, finish_s: { edges: [0, 10, 20, 40], counts: [1, 2, 3] } };
    const chart = chartsOf({ ...calmReport, histograms })[3]!;
    expect(chart.edges.map((edge) => 10 ** edge)).toEqual([5, 10, 20, 40].map((edge) => expect.closeTo(edge, 3)));
    expect(chart.ticks.map(({ label }) => label)).toEqual(['0', '10 s', '20 s', '40 s']);
  });
});

/** Number of non-empty pixels of each chart, and number of pixels in that color. */
function pixels(page: Page, colour: string): Promise<{ drawn: number; coloured: number }[]> {
  // The script is a string because these tests have no DOM types. It waits two frames, because charts are drawn after
  // the layout that they react to.
  return page.evaluate(`(async () => {
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
    return Array.from(document.querySelectorAll('canvas'), (canvas) => {
      // Of a copy: to read a canvas again and again makes a browser complain, as if the page had done it.
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      const wanted = '${colour}'.match(/[0-9a-f]{2}/g).map((digits) => parseInt(digits, 16));
      let drawn = 0;
      let coloured = 0;
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] === 0) continue;
        drawn++;
        if (wanted.every((part, index) => data[at + index] === part) && data[at + 3] === 255) coloured++;
      }
      return { drawn, coloured };
    });
  })()`);
}

const LIGHT_ACCENT = '#0b6bcb';
const DARK_ACCENT = '#5aa9f8';

async function expectCharts(page: Page, colour: string): Promise<void> {
  const charts = await pixels(page, colour);
  expect(charts).toHaveLength(4);
  for (const { drawn, coloured } of charts) {
    expect(drawn).toBeGreaterThan(1000);
    expect(coloured).toBeGreaterThan(100);
  }
}

function background(page: Page): Promise<string> {
  return page.evaluate('getComputedStyle(document.body).backgroundColor');
}

describe.skipIf(!hasBrowser)("a report's page in a browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  it('draws all its charts, logs no error and sends no request', async () => {
    const { page, problems } = await openPage(browser, renderHtml(roughReport));
    await expectCharts(page, LIGHT_ACCENT);
    expect(await page.title()).toBe('Boot storm against [2001:db8::53]:6969: 985 of 1,000 booted');
    expect(problems).toEqual([]);
  });

  it('is dark where the reader likes it so, charts included, also when that changes', async () => {
    const { page, problems } = await openPage(browser, renderHtml(roughReport), { colorScheme: 'dark' });
    expect(await background(page)).toBe('rgb(20, 24, 28)');
    await expectCharts(page, DARK_ACCENT);
    await page.emulateMedia({ colorScheme: 'light' });
    expect(await background(page)).toBe('rgb(255, 255, 255)');
    await expectCharts(page, LIGHT_ACCENT);
    expect(problems).toEqual([]);
  });

  it('is light on paper, charts included, and dark again after that', async () => {
    const { page, problems } = await openPage(browser, renderHtml(roughReport), { colorScheme: 'dark' });
    await page.emulateMedia({ media: 'print' });
    expect(await background(page)).toBe('rgb(255, 255, 255)');
    await expectCharts(page, LIGHT_ACCENT);
    await page.emulateMedia({ media: 'screen' });
    await expectCharts(page, DARK_ACCENT);
    expect(problems).toEqual([]);
  });

  it('is drawn for paper before it is laid out for it: light, and as narrow as a sheet', async () => {
    const { page, problems } = await openPage(browser, renderHtml(roughReport), { colorScheme: 'dark' });
    await page.evaluate("dispatchEvent(new Event('beforeprint'))");
    await expectCharts(page, LIGHT_ACCENT);
    const widths = await page
      .locator('canvas')
      .evaluateAll((all) => all.map((canvas) => canvas.getBoundingClientRect()));
    for (const { width } of widths) expect(width).toBeLessThan(672 / 2);
    expect((await page.pdf({ preferCSSPageSize: true })).length).toBeGreaterThan(10_000);
    await page.evaluate("dispatchEvent(new Event('afterprint'))");
    await expectCharts(page, DARK_ACCENT);
    expect(problems).toEqual([]);
  });

  it.each([
    ['rough', roughReport],
    ['calm', calmReport],
    ['empty', emptyReport],
  ])('fits a phone of 360 pixels without scrolling sideways: the %s report', async (_, report) => {
    const { page, problems } = await openPage(browser, renderHtml(report), { viewport: { width: 360, height: 740 } });
    await page.locator('details').evaluateAll((all) => all.map((details) => details.setAttribute('open', '')));
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    expect(problems).toEqual([]);
  });

  it('shows whole tables on paper', async () => {
    const { page } = await openPage(browser, renderHtml(roughReport));
    await page.emulateMedia({ media: 'print' });
    const boxes = await page.evaluate(
      "Array.from(document.querySelectorAll('.scroll, .tall'), (box) => getComputedStyle(box).overflow)",
    );
    expect(new Set(boxes as string[])).toEqual(new Set(['visible']));
  });

  it('keeps its charts as wide as their places when the window changes', async () => {
    const { page } = await openPage(browser, renderHtml(roughReport));
    for (const width of [900, 500, 1100]) {
      await page.setViewportSize({ width, height: 900 });
      await pixels(page, LIGHT_ACCENT);
      const sizes = await page.evaluate(`Array.from(document.querySelectorAll('.plot'), (place) =>
        [place.clientWidth, place.querySelector('.u-wrap').clientWidth])`);
      for (const [place, chart] of sizes as [number, number][]) expect(chart).toBe(place);
    }
  });

  it('shows names from outside as they are, and never runs them', async () => {
    const { page, problems } = await openPage(browser, renderHtml(roughReport));
    await expect(page.locator('main').innerText()).resolves.toContain(NASTY);
    await expect(page.locator('main').innerText()).resolves.toContain(NASTY_END);
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.locator('main script').count()).toBe(0);
    expect(problems).toEqual([]);
  });

  it('runs no script and takes no style that is not its own', async () => {
    const intruder =
      '<script>document.title = "mine"</script><style>body { background: red !important }</style></main>';
    const { page, problems } = await openPage(browser, renderHtml(calmReport).replace('</main>', intruder));
    expect(await page.title()).not.toBe('mine');
    expect(await background(page)).toBe('rgb(255, 255, 255)');
    expect(problems).toEqual([expect.stringContaining('script-src'), expect.stringContaining('style-src')]);
  });

  it('gives the values of its charts by keyboard', async () => {
    const { page, problems } = await openPage(browser, renderHtml(roughReport));
    const chart = page.locator('figure').first();
    const readout = chart.locator('output');
    await chart.locator('.plot').focus();
    await page.keyboard.press('Home');
    expect(await readout.textContent()).toBe('0 s: 0 booted, 0 failed');
    await page.keyboard.press('ArrowRight');
    expect(await readout.textContent()).toMatch(/^0\.5 s: /);
    await page.keyboard.press('End');
    expect(await readout.textContent()).toBe('63 s: 985 booted, 14 failed');
    await page.keyboard.press('Shift+ArrowLeft');
    expect(await readout.textContent()).toMatch(/^58 s: /);
    // The next tab stop is the chart's table.
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    expect(await chart.locator('details').getAttribute('open')).toBe('');
    expect(await readout.textContent()).toBe('');
    expect(problems).toEqual([]);
  });

  it('names the bar at the pointer', async () => {
    const { page } = await openPage(browser, renderHtml(roughReport));
    const chart = page.locator('figure').nth(3);
    await chart.locator('.u-over').hover();
    expect(await chart.locator('output').textContent()).toMatch(/^\d+ s to \d+ s: \d+ nodes$/);
  });

  it('is made of headings in order, tables with captions and headers, and charts with words', async () => {
    const { page } = await openPage(browser, renderHtml(roughReport));
    expect(await page.locator('h1').count()).toBe(1);
    expect(await page.locator('h2').allTextContents()).toEqual([
      'Objectives',
      'Progress',
      'Stages',
      'Latency',
      'Failures',
      'Violations',
      'Packets',
      'Unanswered',
      'Harness',
    ]);
    const tables = await page.locator('table').count();
    expect(tables).toBe(10);
    expect(await page.locator('table > caption').count()).toBe(tables);
    expect(await page.locator('th:not([scope])').count()).toBe(0);
    expect(await page.locator('tbody tr').count()).toBe(await page.locator('tbody th[scope=row]').count());
    expect(await page.locator('figure').count()).toBe(4);
    expect(await page.locator('figure > figcaption').count()).toBe(4);
    for (const place of await page.locator('.plot').all()) {
      const described = await place.getAttribute('aria-describedby');
      expect((await page.locator(`[id="${described}"]`).textContent())?.length).toBeGreaterThan(20);
    }
  });

  it('shows the verdict and warns of a storm that was too weak', async () => {
    const rough = await openPage(browser, renderHtml(roughReport));
    expect(await rough.page.locator('.verdict').textContent()).toBe('SLO missed: 2 of 4 objectives');
    expect(await rough.page.locator('[role=note]').textContent()).toContain('The storm itself was the bottleneck.');
    const calm = await openPage(browser, renderHtml(calmReport));
    expect(await calm.page.locator('.verdict').textContent()).toBe('SLO met');
    expect(await calm.page.locator('[role=note]').count()).toBe(0);
    const stopped = await openPage(browser, renderHtml({ ...calmReport, unfinished: 3, files_not_compared: 12 }));
    expect(await stopped.page.locator('.verdict').textContent()).toBe(
      'SLO met, but the storm was stopped with 3 nodes unfinished',
    );
    expect(await stopped.page.locator('.key').textContent()).toContain('12 files not compared');
  });

  it('has a sentence instead of charts if nothing happened', async () => {
    const { page, problems } = await openPage(browser, renderHtml(emptyReport));
    expect(await page.locator('canvas, .plot').count()).toBe(0);
    await expect(page.locator('main').innerText()).resolves.toContain('Nothing was measured.');
    await expect(page.locator('main').innerText()).resolves.not.toMatch(/NaN|Infinity|null|undefined/);
    expect(problems).toEqual([]);
  });

  it('has the same data in tables without scripts', async () => {
    const { page, problems } = await openPage(browser, renderHtml(roughReport), { javaScriptEnabled: false });
    const figure = page.locator('figure').first();
    await figure.locator('summary').click();
    await expect(figure.locator('table').innerText()).resolves.toContain('63 s');
    await expect(page.locator('main').innerText()).resolves.toContain('The charts need JavaScript.');
    expect(await page.locator('#save').isVisible()).toBe(false);
    expect(problems).toEqual([]);
  });

  it('saves the report as JSON', async () => {
    const { page, problems } = await openPage(browser, renderHtml(roughReport));
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#save').click()]);
    expect(download.suggestedFilename()).toBe('storm-report.json');
    expect(JSON.parse(await readFile(await download.path(), 'utf8'))).toEqual(roughReport);
    expect(problems).toEqual([]);
  });
});
