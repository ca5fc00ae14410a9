/** The report inside a storm's page: what a tool that has only the page would read. */
import type { StormReport } from '../../src/storm/report.ts';

/** @returns the report that such a page was made from. @throws Error when there is none in it. */
export function readReport(page: string): StormReport {
  const match = /<script type="application\/json" id="report">([^<]*)<\/script>/.exec(page);
  if (match === null) throw new Error('Expected a page with a storm report in it, found none');
  return JSON.parse(match[1]!) as StormReport;
}
