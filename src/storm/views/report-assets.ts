/**
 * The parts that are the same in every report's page, as text to embed: the script and the styles built from
 * src/storm/page, and uPlot as it is installed. Knows where they are, and nothing of reports.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Code that runs from its sources uses the parts of the last build. */
const BUILT = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../../dist/storm/page/' : '../page/', import.meta.url),
);
/** Style sheets in the order of their cascade. */
const STYLES = ['base.css', 'screens.css'] as const;

export interface ReportAssets {
  readonly style: string;
  /** The script, a module. */
  readonly script: string;
  readonly uplot: { readonly style: string; readonly script: string; readonly licence: string };
}

/** Line ends become LF: a browser reads CR LF as LF, and hashes what it read. */
function read(folder: string, path: string): string {
  return readFileSync(join(folder, path), 'utf8').replaceAll(/\r\n?/g, '\n');
}

/** @throws Error when the package or uPlot is incomplete. */
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
