/** A headless browser without network access, to test pages. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { onTestFinished } from 'vitest';

/** Debian's Chromium, as .ci/apt-packages names it. */
const EXECUTABLE = '/usr/bin/chromium';

/** True if tests with a browser are to run: always in CI, elsewhere if one is installed. */
export const hasBrowser = existsSync(EXECUTABLE) || (process.env['CI'] ?? '') !== '';

/** Starts a browser with a temporary profile of its own. */
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
  /**
   * Errors, warnings and dialogs of the page, and every request except the one for the page itself. Such requests are
   * blocked.
   */
  readonly problems: readonly string[];
}

/** Opens the text of a page as a file on disk. The page and the file exist until the test ends. */
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
