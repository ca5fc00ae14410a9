/**
 * Checks the headings of CHANGELOG.md. The version of package.json is the newest one with a heading
 * (`## [1.2.3] - 2026-01-31`), or the text below `## [Unreleased]` announces it.
 */

const SECTIONS = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security'];
const RELEASE = /^\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d{2}-\d{2})$/;

/** @returns one line for each mistake. */
export function changelogFaults(text: string, version: string): string[] {
  const [, ...parts] = text.split(/^## /m);
  const [unreleased, ...releases] = parts.map((part) => part.slice(0, part.indexOf('\n')));
  const faults: string[] = [];
  if (unreleased !== '[Unreleased]')
    faults.push(`CHANGELOG.md: expected the first heading to be "## [Unreleased]", got "## ${unreleased ?? ''}"`);
  const found = releases.flatMap((heading) => {
    const match = RELEASE.exec(heading);
    if (match === null || Number.isNaN(Date.parse(match[4]!))) {
      faults.push(`CHANGELOG.md: expected "## [MAJOR.MINOR.PATCH] - YYYY-MM-DD", got "## ${heading}"`);
      return [];
    }
    return [{ heading, numbers: match.slice(1, 4).map(Number), date: match[4]! }];
  });
  found.slice(1).forEach((older, index) => {
    const newer = found[index]!;
    if (!isAbove(newer.numbers, older.numbers) || newer.date < older.date)
      faults.push(`CHANGELOG.md: expected "${older.heading}" above "${newer.heading}": the newest comes first`);
  });
  const announced = new RegExp(`\\b${version.replaceAll('.', '\\.')}\\b`).test(parts[0]?.split(/^### /m)[0] ?? '');
  if (found[0]?.numbers.join('.') !== version && !announced)
    faults.push(`CHANGELOG.md: expected a heading for ${version}, or its announcement below "## [Unreleased]"`);
  for (const [, section] of text.matchAll(/^### (.*)$/gm)) {
    if (!SECTIONS.includes(section!))
      faults.push(`CHANGELOG.md: expected one of ${SECTIONS.join(', ')}, got "### ${section!}"`);
  }
  return faults;
}

function isAbove(a: readonly number[], b: readonly number[]): boolean {
  const index = a.findIndex((number, at) => number !== b[at]);
  return index >= 0 && a[index]! > b[index]!;
}
