/** A browser without a screen and without a network, to look at pages with. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { onTestFinished } from 'vitest';

/** Debian's, as .ci/apt-packages names it. */
const EXECUTABLE = '/usr/bin/chromium';

/** Whether tests with a browser are to run: always where everything must be there, elsewhere where one is installed. */
export const hasBrowser = existsSync(EXECUTABLE) || (process.env['CI'] ?? '') !== '';

/** With a profile of its own, which goes away with it. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

export interface OpenPage {
  readonly page: Page;
  /** What the page complained of, and every request but the one for itself: none of them is let out. */
  readonly problems: readonly string[];
}

/** Opens the text of a page as a file on disk. The page and the file live as long as the test. */
export async function openPage(browser: Browser, html: string, options: BrowserContextOptions = {}): Promise<OpenPage> {
  const folder = mkdtempSync(join(tmpdir(), 'reveille-page-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'page.html');
  writeFileSync(file, html);
  const url = pathToFileURL(file).href;
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`thrown: ${error.message}`));
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await context.route(
    (asked) => asked.href !== url,
    (route) => {
      problems.push(`request: ${route.request().url()}`);
      return route.abort();
    },
  );
  await page.goto(url);
  return { page, problems };
}
