/**
 * The files of the live page: its own, the modules that it shares with the terminal, and uPlot as it is installed.
 * Knows their places and names; reads them once, on first use.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** When run from its sources, the server serves the page of the last build. */
const BUILT = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../../dist/' : '../', import.meta.url));
/** Modules that the page shares with the terminal. */
const SHARED = [
  'live/event-stream.js',
  'live/live-store.js',
  'live/trouble-groups.js',
  'live/wire.js',
  'live/words.js',
  'text/figures.js',
] as const;
const UPLOT = ['uPlot.iife.min.js', 'uPlot.min.css'] as const;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export interface Asset {
  readonly body: string;
  readonly type: string;
  /** Quoted, as in the HTTP header. */
  readonly etag: string;
}

function assetOf(path: string): Asset {
  const body = readFileSync(path, 'utf8');
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return { body, type: TYPES[extname(path)]!, etag };
}

export class PageAssets {
  #assets: ReadonlyMap<string, Asset> | undefined;

  /** @param name path in the page: `page/app.js`. @throws Error when the package is incomplete. */
  find(name: string): Asset | undefined {
    this.#assets ??= this.#read();
    return this.#assets.get(name);
  }

  #read(): ReadonlyMap<string, Asset> {
    const own = readdirSync(join(BUILT, 'page')).filter((name) => extname(name) in TYPES);
    const require = createRequire(import.meta.url);
    const uplot = dirname(require.resolve('uplot/package.json'));
    return new Map([
      ...own.map((name) => [`page/${name}`, assetOf(join(BUILT, 'page', name))] as const),
      ...SHARED.map((name) => [name, assetOf(join(BUILT, name))] as const),
      ...UPLOT.map((name) => [`uplot/${name}`, assetOf(join(uplot, 'dist', name))] as const),
    ]);
  }
}
