/** A chart of a storm's report as data: the shape that is made from a report, put into its page, and drawn there. */

/** A place on an axis and what stands there. */
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
  /** One or two sentences: what there is to see. */
  readonly summary: string;
  readonly kind: 'line' | 'steps' | 'bars';
  readonly series: readonly { readonly label: string; readonly tone: 'accent' | 'bad' }[];
  /** As uPlot takes it: the places on the x axis, then the values of each series there. */
  readonly data: [places: number[], ...values: number[][]];
  /** The ends of the x axis. */
  readonly range: readonly [number, number];
  /** Where bars begin and end; empty for curves. */
  readonly edges: readonly number[];
  /** On the x axis; empty: multiples of seconds. */
  readonly ticks: readonly Tick[];
  /** Whether the y axis counts whole things. */
  readonly whole: boolean;
  /** What is at each point of `data`, in words. */
  readonly readings: readonly string[];
  readonly table: ChartTable;
}
