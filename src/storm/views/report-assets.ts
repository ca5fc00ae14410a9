/**
 * What is the same in every report's page, as text to stand in it: the script and the styles that were built from
 * src/storm/page, and uPlot as it is installed. Knows where they are; nothing of reports.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Run from its sources, the page's parts are those that were built last. */
const BUILT = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../../dist/storm/page/' : '../page/', import.meta.url),
);
/** In the order of their cascade. */
const STYLES = ['base.css', 'screens.css'] as const;

export interface ReportAssets {
  readonly style: string;
  /** A module. */
  readonly script: string;
  readonly uplot: { readonly style: string; readonly script: string; readonly licence: string };
}

/** A browser takes CR LF for LF, and its hashes are of what it took. */
function read(folder: string, path: string): string {
  return readFileSync(join(folder, path), 'utf8').replaceAll(/\r\n?/g, '\n');
}

/** @throws Error where the package or uPlot is not whole. */
export function readReportAssets(): ReportAssets {
  const require = createRequire(import.meta.url);
  const uplot = dirname(require.resolve('uplot/package.json'));
  return {
    style: STYLES.map((name) => read(BUILT, name)).join(''),
    script: read(BUILT, 'app.js'),
    uplot: {
      style: read(uplot, 'dist/uPlot.min.css'),
      script: read(uplot, 'dist/uPlot.iife.min.js'),
      licence: read(uplot, 'LICENSE'),
    },
  };
}
