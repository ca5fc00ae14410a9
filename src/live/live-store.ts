/**
 * The server's state as a reader knows it: a snapshot, kept up to date by changes. Pure except for the time of day:
 * runs in a browser and in a terminal.
 */
import type { LiveChange, LiveSnapshot, NodeRow } from './wire.ts';

/** Seconds of charts that are kept. */
const CHART_S = 600;

export class LiveStore {
  #whole: LiveSnapshot | undefined;
  readonly rows = new Map<string, NodeRow>();
  /** The server's clock minus this machine's, in milliseconds. */
  #ahead = 0;

  /** The state without the nodes, which are in `rows`; undefined before the first snapshot. */
  get whole(): LiveSnapshot | undefined {
    return this.#whole;
  }

  /** Milliseconds since the epoch, by the server's clock. */
  get now(): number {
    return Date.now() + this.#ahead;
  }

  begin(snapshot: LiveSnapshot): void {
    this.#whole = snapshot;
    this.#ahead = snapshot.now - Date.now();
    this.rows.clear();
    for (const row of snapshot.nodes) this.rows.set(row.id, row);
  }

  /** @returns false when there is no snapshot yet that could be changed. */
  apply(change: LiveChange): boolean {
    const whole = this.#whole;
    if (whole === undefined) return false;
    const { changed, gone, points, ...parts } = change;
    for (const row of changed) {
      const known = this.rows.get(row.id);
      if (known !== undefined) this.rows.set(row.id, { ...known, ...row });
      else if ('state' in row && 'name' in row) this.rows.set(row.id, row as NodeRow);
    }
    for (const id of gone) this.rows.delete(id);
    const known = new Map(whole.chart.map((point) => [point.at, point]));
    for (const point of points) known.set(point.at, point);
    const last = Math.max(...known.keys(), 0);
    const chart = [...known.values()].filter(({ at }) => at > last - CHART_S).toSorted((a, b) => a.at - b.at);
    this.#whole = { ...whole, ...parts, chart };
    this.#ahead = change.now - Date.now();
    return true;
  }
}
