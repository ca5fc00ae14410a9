/** The report inside a storm's page, as a tool that has only the page would read it. */
import type { StormReport } from '../../src/storm/report.ts';

/** @returns the report that the page was made from. @throws Error if the page contains none. */
export function readReport(page: string): StormReport {
  const match = /<script type="application\/json" id="report">([^<]*)<\/script>/.exec(page);
  if (match === null) throw new Error('Expected a page with a storm report in it, found none');
  return JSON.parse(match[1]!) as StormReport;
}
