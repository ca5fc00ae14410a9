/** Nodes in trouble, alike ones together: a rack that has lost its switch is one line, not forty. Pure. */
import { compareRows } from './words.ts';
import { type NodeRow, TROUBLE } from './wire.ts';

export interface TroubleGroup {
  readonly key: string;
  /** At least one; those that were silent longest first. */
  readonly rows: readonly NodeRow[];
}

/** Times, shares and sizes, in which nodes of one group differ. */
const FIGURES = /[0-9][0-9.,]*(?: min)?(?: [0-9]+)? ?(?:%|(?:ms|s|min|h|B|kB|MB|GB)\b)/g;

/** The most pressing first. */
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

/** What is the matter, said once for all of them. */
export function troubleGroupWords({ rows }: TroubleGroup): string {
  const [first] = rows;
  return rows.length > 1 ? `${first!.name}: ${first!.why}` : first!.why;
}
