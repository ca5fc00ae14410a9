/** Groups nodes with the same trouble: a rack that has lost its switch is one line, not forty. Pure. */
import { compareRows } from './words.ts';
import { type NodeRow, TROUBLE } from './wire.ts';

export interface TroubleGroup {
  readonly key: string;
  /** At least one; the longest silence first. */
  readonly rows: readonly NodeRow[];
}

/** Times, percentages and sizes, which differ between nodes of one group. */
const FIGURES = /[0-9][0-9.,]*(?: min)?(?: [0-9]+)? ?(?:%|(?:ms|s|min|h|B|kB|MB|GB)\b)/g;

/** @returns the groups, the most urgent first. */
export function troubleGroups(rows: Iterable<NodeRow>): TroubleGroup[] {
  const groups = new Map<string, NodeRow[]>();
  for (const row of [...rows].filter(({ state }) => TROUBLE.has(state)).toSorted(compareRows)) {
    const key = `${row.state}\0${row.why.replace(FIGURES, '')}`;
    const alike = groups.get(key);
    if (alike === undefined) groups.set(key, [row]);
    else alike.push(row);
  }
  return [...groups].map(([key, members]) => ({ key, rows: members }));
}

/** @returns one sentence on the trouble of all its nodes. */
export function troubleGroupWords({ rows }: TroubleGroup): string {
  const [first] = rows;
  return rows.length > 1 ? `${first!.name}: ${first!.why}` : first!.why;
}
