/** Rows of cells in columns, for a terminal or a pipe. Knows the cells' width, not their meaning or source. */
import { escapeLine } from './escape.ts';

/** Options. `right`: columns aligned to the right, for numbers. */
export interface TextTableOptions {
  readonly right?: readonly number[];
}

/** @returns lines; the head alone when there are no rows. Cells are escaped: a line break in one adds no line. */
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
