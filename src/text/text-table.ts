/** Rows of cells in columns, for a terminal or a pipe. Knows their width, not what is in them. */

/** The columns whose cells stand to the right: numbers. */
export interface TextTableOptions {
  readonly right?: readonly number[];
}

/** @returns lines ended by \n; nothing but the head when there are no rows. */
export function textTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  { right = [] }: TextTableOptions = {},
): string {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd();
  return [head, ...rows].map((row) => `${line(row)}\n`).join('');
}
