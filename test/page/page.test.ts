/** The live page in a real browser, served by the built server while nodes boot. */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { CAMPAIGN } from '../support/content.ts';
import { afterThem, folder, type OnTestFinished, Reveille } from '../support/reveille.ts';
import { hasBrowser, launchBrowser } from '../support/browser.ts';
import { pageProblems } from '../support/page-checks.ts';
import { ack, type Datagram, opcode, RawClient, readRequest } from '../support/raw-client.ts';
import { ROOT } from '../support/pages.ts';

vi.setConfig({ testTimeout: 170_000 });

const TOKEN = '0123456789abcdef';
/** True if the pictures in docs are to be taken again, of a storm of 200 nodes. */
const PICTURES = (process.env['REVEILLE_PICTURES'] ?? '') !== '';
const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
/** Browser settings in which the page is tested, by name. */
const LOOKS: readonly (readonly [string, BrowserContextOptions])[] = [
  ['light, on a desk', { colorScheme: 'light' }],
  ['dark, on a phone', { colorScheme: 'dark', ...PHONE }],
  ...(CAMPAIGN
    ? ([
        ['dark, on a desk', { colorScheme: 'dark' }],
        ['light, on a phone', { colorScheme: 'light', ...PHONE }],
      ] as const)
    : []),
];
const NODES = PICTURES ? 200 : 48;
/** A node after those of the storm; a test makes it fall silent. */
const SILENT = nameOf(NODES + 1);

function rackOf(number: number): number {
  return 1 + Math.floor((number - 1) / 40);
}

function nameOf(number: number): string {
  return `r${rackOf(number)}-n${String(1 + ((number - 1) % 40)).padStart(2, '0')}`;
}

interface Served {
  readonly url: string;
  readonly port: number;
  /** URL of HTTP; undefined where it is off. */
  readonly http: string | undefined;
}

/** Starts a server of a folder, with an inventory of racks. @param onFinished hook that ends it. */
async function serve(
  flags: readonly string[] = ['--admin', '127.0.0.1:0'],
  onFinished: OnTestFinished = onTestFinished,
): Promise<Served> {
  const root = folder(onFinished);
  mkdirSync(join(root, 'files/boot'), { recursive: true });
  writeFileSync(join(root, 'files/boot/linux'), Buffer.alloc(400_000, 1));
  writeFileSync(join(root, 'files/boot/initrd.img'), Buffer.alloc(PICTURES ? 4_000_000 : 900_000, 2));
  const node = (number: number): string =>
    `  - {name: "${nameOf(number)}", address: "127.1.${number >> 8}.${number & 255}", labels: {rack: "${rackOf(number)}"}}
`;
  writeFileSync(
    join(root, 'nodes.yaml'),
    `nodes:\n${Array.from({ length: NODES + 1 }, (_, index) => node(index + 1)).join('')}`,
  );
  writeFileSync(
    join(root, 'reveille.yaml'),
    `root: files\ninventory: nodes.yaml\nroutes:\n  - {match: "grub/grub.cfg-{hexip}", template: grub.liquid, unknown: true}\napiToken: ${TOKEN}\nworkers: 1\nrenderThreads: 1\n`,
  );
  writeFileSync(join(root, 'grub.liquid'), 'linux boot/linux\n');
  const args = ['serve', '--config', join(root, 'reveille.yaml'), '--listen', '127.0.0.1:0', '--no-hint', ...flags];
  const server = new Reveille(args, { onFinished });
  const [line] = await server.saying(/^\{.*"msg":"listening"\}$/m);
  const { addresses, admin, http } = JSON.parse(line) as { addresses: string[]; admin: string; http?: string[] };
  return {
    url: `http://${admin.replace('0.0.0.0', '127.0.0.1')}/`,
    port: Number(addresses[0]!.split(':')[1]),
    http: http?.[0],
  };
}

/** Slow nodes, so that the page has something to show. */
function storm({ port }: Served): Reveille {
  const plan = join(folder(), 'plan.yaml');
  writeFileSync(
    plan,
    'name: rack\nstages:\n' +
      '  - {name: config, profile: grub, search: [grub/fs.lst, "grub/grub.cfg-{hexip}"]}\n' +
      '  - {name: kernel, profile: grub, file: boot/linux, think: 100ms..900ms}\n' +
      '  - {name: initrd, profile: grub, file: boot/initrd.img}\n',
  );
  const arrival = PICTURES ? 'ramp:10s' : 'ramp:2s';
  const what = ['storm', `127.0.0.1:${port}`, '--nodes', String(NODES), '--plan', plan, '--threads', '1', '--quiet'];
  return new Reveille([...what, '--crawl', '100%:8ms', '--arrival', arrival, '--vanish', '5%', '--seed', '3']);
}

/**
 * A node that takes some blocks of a file and then falls silent. @returns the time of its last ACK, by the browser's
 * clock.
 */
async function fallSilent({ port }: Served, local: string): Promise<number> {
  const client = await RawClient.open(local);
  onTestFinished(() => client.close());
  await client.send(readRequest('boot/initrd.img', ['blksize', '1024']), { address: '127.0.0.1', port });
  for (let block = 0; block < 40; block++) {
    // oxlint-disable-next-line no-await-in-loop -- lockstep.
    const { from, ...datagram } = await client.receive();
    expect(opcode({ from, ...datagram })).toBeOneOf([3, 6]);
    // oxlint-disable-next-line no-await-in-loop -- lockstep.
    await client.send(ack(block), from);
  }
  return Date.now();
}

/** Sends one request and returns its answer. @param local address of the node. */
async function refused({ port }: Served, local: string, name: string): Promise<Datagram> {
  const client = await RawClient.open(local);
  onTestFinished(() => client.close());
  await client.send(readRequest(name, []), { address: '127.0.0.1', port });
  return client.receive();
}

interface Opened {
  readonly page: Page;
  /** Errors and warnings of the browser, and every request to another server. */
  readonly problems: readonly string[];
}

async function open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`thrown: ${error.message}`));
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:'))
      problems.push(`request: ${request.url()}`);
  });
  await page.goto(url);
  return { page, problems };
}

/** Number of pixels in the accent color, per chart. */
function inked(page: Page): Promise<number[]> {
  return page.evaluate(`(() => {
    const ink = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim().match(/[0-9a-f]{2}/g).map((digits) => parseInt(digits, 16));
    return Array.from(document.querySelectorAll('#charts canvas'), (canvas) => {
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let at = 0; at < data.length; at += 4) if (data[at + 3] >= 100 && ink.every((part, index) => Math.abs(data[at + index] - part) <= 8)) count++;
      return count;
    });
  })()`);
}

function percents(page: Page): Promise<Record<string, string>> {
  return page.evaluate(
    "Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) => [tile.dataset.node, tile.querySelector('.percent').textContent]))",
  );
}

describe.skipIf(!hasBrowser)('the live page', () => {
  let browser: Browser;
  /** A server for tests that each boot nodes of their own. */
  let busy: Served;
  /** A server with one port for all transfers, which no node asks and whose page needs the token. */
  let quiet: Served;
  const onFinished = afterThem();
  beforeAll(async () => {
    [browser, busy, quiet] = await Promise.all([
      launchBrowser(),
      serve(['--admin', '127.0.0.1:0', '--http', '127.0.0.1:0'], onFinished),
      serve(['--admin', '0.0.0.0:0', '--single-port', '--clients', '127.0.0.0/8'], onFinished),
    ]);
  });
  afterAll(() => browser?.close());

  it('shows progress of nodes, charts, and a silent node within 5 s', async () => {
    const served = await serve();
    const { page, problems } = await open(browser, served.url);
    await page.locator('#headline', { hasText: 'All quiet: no node has asked yet' }).waitFor();
    expect(await page.locator('#nobody').isVisible()).toBe(true);
    const stormed = storm(served);

    await page.locator('.tile').nth(10).waitFor();
    // First percentage that each node has shown, and the nodes that have shown another one since.
    const first = new Map<string, string>();
    const moved = new Set<string>();
    await expect
      .poll(
        async () => {
          for (const [id, percent] of Object.entries(await percents(page))) {
            if (!/^\d+ %$/.test(percent)) continue;
            if (!first.has(id)) first.set(id, percent);
            else if (first.get(id) !== percent) moved.add(id);
          }
          return moved.size;
        },
        { timeout: 20_000 },
      )
      .toBeGreaterThan(5);
    expect(await page.locator('#headline').textContent()).toMatch(/^\d+ nodes booting/);
    expect(await page.locator('.group h3').first().textContent()).toMatch(/^rack \d$/);

    const silentAt = await fallSilent(served, `127.1.0.${NODES + 1}`);
    await page.locator(`#trouble li button`, { hasText: SILENT }).waitFor({ timeout: 20_000 });
    expect(Date.now() - silentAt).toBeLessThan(5000);
    await expect
      .poll(() => inked(page), { timeout: 20_000 })
      .toSatisfy((counts: number[]) => counts.length === 2 && counts.every((count) => count > 20));
    expect(await page.locator('#areas .area').count()).toBe(5);
    await expect(page.locator('#areas').innerText()).resolves.toMatch(/The nodes\s+\d+ nodes? stuck or given up/);

    if (PICTURES) {
      // The wait gives the charts some history.
      await page.waitForTimeout(20_000);
      await takePictures(page);
    }
    const picture = await page.screenshot({ path: join(folder(), 'page.png') });
    expect(picture.length).toBeGreaterThan(30_000);
    stormed.process.kill('SIGINT');
    await stormed.ended;
    expect(problems).toEqual([]);
  });

  it('shows why one node did not boot, by click, by keyboard and by address', async () => {
    await fallSilent(busy, '127.0.0.99');
    const { page, problems } = await open(browser, busy.url);
    const dialog = page.locator('dialog');
    await page.locator('.tile[data-node="127.0.0.99"]').click();
    await dialog
      .locator('.verdict-head', { hasText: /^It went silent .* ago at \d+ % of boot\/initrd\.img\.$/ })
      .waitFor({ timeout: 20_000 });
    expect(await dialog.locator('.steps .step-file').allTextContents()).toEqual(['boot/initrd.img']);
    expect(await dialog.locator('.steps').innerText()).toContain('blksize=1024');
    expect(await pageProblems(page)).toEqual([]);
    expect(page.url()).toContain('#node=127.0.0.99');
    await page.keyboard.press('Escape');
    expect(await dialog.isVisible()).toBe(false);
    // The close event of the dialog comes a moment later.
    await expect.poll(() => page.url()).not.toContain('#');

    // By keyboard alone: finds the node and opens it, then searches for an unknown node.
    await page.keyboard.press('/');
    await page.keyboard.type('127.0.0.99');
    await page.keyboard.press('Enter');
    await dialog.locator('h2', { hasText: '127.0.0.99' }).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('/');
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type('52:54:00:12:34:56');
    await page.keyboard.press('Enter');
    await dialog.locator('.verdict-head', { hasText: 'No request from 52:54:00:12:34:56 is remembered.' }).waitFor();
    await page.goBack();
    await dialog.waitFor({ state: 'hidden' });

    const { page: second } = await open(browser, `${busy.url}#node=127.0.0.99`);
    await second.locator('dialog .verdict-head', { hasText: 'It went silent' }).waitFor();
    expect(problems).toEqual([]);
  });

  it('shows a boot that began over TFTP and went on over HTTP', async () => {
    expect(opcode(await refused(busy, '127.0.0.1', 'grub/nothing'))).toBe(5);
    await fetch(`${busy.http!}/boot/missing`);
    await (await fetch(`${busy.http!}/boot/linux`)).arrayBuffer();
    const { page, problems } = await open(browser, busy.url);
    await page.evaluate("location.hash = 'node=127.0.0.1'");
    await page.locator('dialog .verdict-head', { hasText: /^boot\/linux was sent completely/ }).waitFor();
    const steps = await page.locator('dialog .steps > li').allInnerTexts();
    expect(steps.length).toBe(3);
    expect(steps.map((text) => text.includes('HTTP'))).toEqual([false, true, true]);
    expect(steps[2]).toMatch(/boot\/linux\s+400 kB in .* · HTTP/);
    expect(await page.locator('#foot').textContent()).toMatch(/ workers?, listening on /);
    expect(await page.locator('#foot').textContent()).toContain(`, ${busy.http!}; running`);
    expect(await pageProblems(page)).toEqual([]);
    await page.screenshot({ path: join(folder(), 'http.png') });
    expect(problems).toEqual([]);
  });

  it('is accessible, light and dark, on a desktop and on a phone', async () => {
    const served = await serve();
    // All pages look at one server; each page has its own browser context.
    const pages = await Promise.all(
      LOOKS.map(async ([look, options]) => ({ look, ...(await open(browser, served.url, options)) })),
    );
    const onEach = (work: (page: Page) => Promise<unknown>): Promise<Record<string, unknown>> =>
      Promise.all(pages.map(async ({ look, page }) => [look, await work(page)] as const)).then(Object.fromEntries);
    const each = (value: unknown): Record<string, unknown> =>
      Object.fromEntries(pages.map(({ look }) => [look, value]));
    await onEach((page) => page.locator('#nobody').waitFor());
    expect(await onEach(pageProblems)).toEqual(each([]));
    const stormed = storm(served);
    await onEach((page) => page.locator('#racks button').nth(10).waitFor());
    await fallSilent(served, '127.0.0.99');
    await onEach((page) => page.locator('#trouble').waitFor({ timeout: 20_000 }));
    expect(await onEach(pageProblems)).toEqual(each([]));
    const widths = LOOKS.map(([look, { viewport }]) => [look, viewport?.width ?? 1440]);
    expect(await onEach((page) => page.evaluate('document.documentElement.scrollWidth'))).toEqual(
      Object.fromEntries(widths),
    );
    stormed.process.kill('SIGINT');
    await stormed.ended;
    await onEach((page) => page.evaluate("location.hash = 'node=127.0.0.99'"));
    await onEach((page) => page.locator('dialog .verdict.bad').waitFor());
    expect(await onEach(pageProblems)).toEqual(each([]));
    const isDialogWhole =
      'document.querySelector("dialog").scrollWidth <= document.querySelector("dialog").clientWidth';
    expect(await onEach((page) => page.evaluate(isDialogWhole))).toEqual(each(true));
    expect(pages.flatMap(({ problems }) => problems)).toEqual([]);
  });

  it('supports arrow keys, with one tab stop', async () => {
    const { page } = await open(browser, busy.url);
    await Promise.all(Array.from({ length: 12 }, (_, at) => refused(busy, `127.1.0.${at + 1}`, 'grub/nothing')));
    await page.locator('#racks button').nth(11).waitFor();
    expect(await page.locator('#racks button[tabindex="0"]').count()).toBe(1);
    await page.locator('#racks button[tabindex="0"]').focus();
    const focused = (): Promise<string> => page.evaluate('document.activeElement.dataset.node');
    const first = await focused();
    await page.keyboard.press('ArrowRight');
    expect(await focused()).not.toBe(first);
    await page.keyboard.press('ArrowLeft');
    expect(await focused()).toBe(first);
    await page.keyboard.press('End');
    await page.keyboard.press('Home');
    expect(await focused()).toBe(first);
    await page.keyboard.press('Enter');
    await page.locator('dialog').waitFor();
    // The focus returns to where it was.
    await page.keyboard.press('Escape');
    expect(await focused()).toBe(first);
  });

  it('asks for the token if nodes are not public, and keeps it for the tab', async () => {
    const { page } = await open(browser, quiet.url);
    await page.locator('#locked').waitFor();
    expect(await page.locator('#live').isVisible()).toBe(false);
    expect(await pageProblems(page)).toEqual([]);
    await page.locator('#token').fill('0123456789abcdeX');
    await page.keyboard.press('Enter');
    await page.locator('#locked-why', { hasText: 'The server rejected the token' }).waitFor();
    await page.locator('#token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.locator('#headline', { hasText: 'All quiet' }).waitFor();
    expect(await page.locator('#foot').textContent()).toMatch(/ workers?, one port for all transfers, listening on /);
    await page.reload();
    await page.locator('#headline', { hasText: 'All quiet' }).waitFor();
  });

  it('says when the server has gone, and continues when it is back', async () => {
    const { page } = await open(browser, quiet.url);
    await page.locator('#token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.locator('#connection.open').waitFor();
    await page.context().setOffline(true);
    await page.evaluate('dispatchEvent(new Event("offline"))');
    await page.route('**/api/**', (route) => route.abort());
    await page.reload({ waitUntil: 'commit' }).catch(() => {});
    await page.context().setOffline(false);
    await page.reload();
    await page.locator('#connection.lost').waitFor();
    await page.unroute('**/api/**');
    await page.locator('#connection.open').waitFor({ timeout: 20_000 });
    expect(await page.locator('#headline').textContent()).toMatch(/^All quiet/);
  });

  it('shows names from the wire as they are, and never runs them', async () => {
    await refused(busy, '127.0.0.66', '<img src=x onerror=alert(1)>\u202e.cfg');
    const { page, problems } = await open(browser, busy.url);
    await page.locator('.problem-file', { hasText: '<img src=x onerror=alert(1)>' }).waitFor();
    await page.evaluate("location.hash = 'node=127.0.0.66'");
    await page.locator('dialog .step-file', { hasText: '<img src=x onerror=alert(1)>' }).waitFor();
    expect(await page.locator('img').count()).toBe(0);
    expect(problems).toEqual([]);
  });
});

/** Takes pictures of the current page: desk and phone, light and dark. */
async function takePictures(page: Page): Promise<void> {
  const take = async (name: string, width: number, height: number, colorScheme: 'light' | 'dark'): Promise<void> => {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(1500);
    const path = join(ROOT, 'docs/images', name);
    mkdirSync(join(ROOT, 'docs/images'), { recursive: true });
    await page.screenshot({ path });
    expect(statSync(path).size).toBeGreaterThan(20_000);
  };
  await take('live-page.png', 1440, 1000, 'light');
  await take('live-page-phone.png', 390, 844, 'dark');
  await page.locator('#trouble-list button').first().click();
  await page.locator('dialog .steps li').first().waitFor();
  await take('node-view.png', 1440, 800, 'light');
  await page.keyboard.press('Escape');
}
