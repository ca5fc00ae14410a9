/** One chart of a storm's report, as data: made from the report, embedded in its page, and drawn there. */

/** A labeled position on an axis. */
export interface Tick {
  readonly at: number;
  readonly label: string;
}

interface ChartTable {
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface Chart {
  readonly id: string;
  readonly title: string;
  /** One or two sentences that say what the chart shows. */
  readonly summary: string;
  readonly kind: 'line' | 'steps' | 'bars';
  readonly series: readonly { readonly label: string; readonly tone: 'accent' | 'bad' }[];
  /** Data in uPlot's form: the x positions, then the values of each series at them. */
  readonly data: [places: number[], ...values: number[][]];
  /** Both ends of the x axis. */
  readonly range: readonly [number, number];
  /** Edges of the bars; empty for curves. */
  readonly edges: readonly number[];
  /** Labels of the x axis; when empty, the axis shows multiples of seconds. */
  readonly ticks: readonly Tick[];
  /** True when the y axis counts whole things. */
  readonly whole: boolean;
  /** A sentence for each point of `data`. */
  readonly readings: readonly string[];
  readonly table: ChartTable;
}
