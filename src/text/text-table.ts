/** Rows of cells in columns, for a terminal or a pipe. Knows their width, not what is in them: whoever wrote it. */
import { escapeLine } from './escape.ts';

/** The columns whose cells stand to the right: numbers. */
export interface TextTableOptions {
  readonly right?: readonly number[];
}

/** @returns lines; nothing but the head when there are no rows. Cells are escaped: a line break in one makes no line. */
export function textTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  { right = [] }: TextTableOptions = {},
): string[] {
  const lines = [head, ...rows].map((row) => row.map(escapeLine));
  const widths = head.map((_, column) => lines.reduce((most, row) => Math.max(most, row[column]!.length), 0));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd();
  return lines.map(line);
}
