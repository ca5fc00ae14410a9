/** The kinds of panels, in one style. Knows Grafana; knows no metric. */
import * as common from '@grafana/grafana-foundation-sdk/common';
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import {
  FieldColorBuilder,
  FieldColorModeId,
  type Panel,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard';
import * as heatmap from '@grafana/grafana-foundation-sdk/heatmap';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as table from '@grafana/grafana-foundation-sdk/table';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';

/** The variable by which a board finds its Prometheus. */
export const DATASOURCE = { type: 'prometheus', uid: '$datasource' };

/** Width of a board in columns. */
export const COLUMNS = 24;

/** Units by their names in Grafana. */
export const UNIT = {
  count: 'short',
  perSecond: 'cps',
  bytes: 'bytes',
  bytesPerSecond: 'Bps',
  seconds: 's',
  share: 'percentunit',
} as const;

/** Colors by value: the first color from below, each other from its value on. */
export type Steps = readonly [string, ...(readonly [number, string])[]];

const FINE: Steps = ['green'];

interface Common {
  readonly title: string;
  /** The question that the panel answers, and possible consequences of the answer. */
  readonly question: string;
  /** Width in columns. */
  readonly width: number;
  readonly unit: string;
}

export interface Query {
  readonly expr: string;
  readonly legend: string;
}

export interface Series extends Common {
  readonly queries: readonly Query[];
  /** True: the areas are stacked. */
  readonly stacked?: boolean;
  /** True for values that stay until they change, such as version numbers. */
  readonly steps?: boolean;
  /** True for single events. */
  readonly bars?: boolean;
  /** Thresholds, drawn as lines at their values. */
  readonly thresholds?: Steps;
  /** Colors of single series, by legend. */
  readonly colours?: Readonly<Record<string, string>>;
  readonly max?: number;
}

export interface Figure extends Common {
  readonly expr: string;
  readonly thresholds?: Steps;
  readonly decimals?: number;
  /** True: the figure has its history as a line behind it, which needs a query over time. */
  readonly isTrend?: boolean;
  /** True: the panel is as high as a series panel, to stand beside one. */
  readonly isTall?: boolean;
}

export interface Table extends Common {
  readonly expr: string;
  /** Columns and their titles, in order; all other columns are hidden. */
  readonly columns: Readonly<Record<string, string>>;
}

export interface Heat extends Common {
  readonly expr: string;
}

const SERIES_HEIGHT = 8;
const FIGURE_HEIGHT = 4;

function thresholdsOf([first, ...rest]: Steps): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps([{ value: null, color: first }, ...rest.map(([value, color]) => ({ value, color }))]);
}

function query({ expr, legend }: Query, index: number): DataqueryBuilder {
  return new DataqueryBuilder()
    .datasource(DATASOURCE)
    .refId(String.fromCharCode(65 + index))
    .expr(expr)
    .legendFormat(legend)
    .range();
}

/** Makes a panel with lines over time. */
export function series(wish: Series): Builder<Panel> {
  const panel = new timeseries.PanelBuilder()
    .title(wish.title)
    .description(wish.question)
    .datasource(DATASOURCE)
    .span(wish.width)
    .height(SERIES_HEIGHT)
    .unit(wish.unit)
    .min(0)
    .lineWidth(1)
    .fillOpacity(wish.stacked === true ? 40 : 8)
    .showPoints(common.VisibilityMode.Never)
    .legend(
      new common.VizLegendOptionsBuilder()
        .showLegend(true)
        .displayMode(common.LegendDisplayMode.Table)
        .placement(common.LegendPlacement.Bottom)
        .calcs(['lastNotNull', 'max']),
    )
    .tooltip(
      // oxlint-disable-next-line unicorn/no-array-sort -- this is no array.
      new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending),
    )
    .targets(wish.queries.map(query));
  if (wish.stacked === true) panel.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal));
  if (wish.steps === true) panel.lineInterpolation(common.LineInterpolation.StepAfter);
  if (wish.bars === true) panel.drawStyle(common.GraphDrawStyle.Bars).fillOpacity(80);
  if (wish.max !== undefined) panel.max(wish.max);
  if (wish.thresholds !== undefined) {
    panel
      .thresholds(thresholdsOf(wish.thresholds))
      .thresholdsStyle(new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed));
  }
  for (const [name, color] of Object.entries(wish.colours ?? {})) {
    panel.overrideByName(name, [{ id: 'color', value: { mode: FieldColorModeId.Fixed, fixedColor: color } }]);
  }
  return panel;
}

/** Makes a panel with one number. */
export function figure(wish: Figure): Builder<Panel> {
  const target = query({ expr: wish.expr, legend: wish.title }, 0);
  const panel = new stat.PanelBuilder()
    .title(wish.title)
    .description(wish.question)
    .datasource(DATASOURCE)
    .span(wish.width)
    .height(wish.isTall === true ? SERIES_HEIGHT : FIGURE_HEIGHT)
    .unit(wish.unit)
    .thresholds(thresholdsOf(wish.thresholds ?? FINE))
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .colorMode(common.BigValueColorMode.Value)
    .graphMode(wish.isTrend === true ? common.BigValueGraphMode.Area : common.BigValueGraphMode.None)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .withTarget(wish.isTrend === true ? target : target.instant());
  if (wish.decimals !== undefined) panel.decimals(wish.decimals);
  return panel;
}

/** Makes a table of the last values, by their labels. */
export function labels(wish: Table): Builder<Panel> {
  const names = Object.keys(wish.columns);
  return new table.PanelBuilder()
    .title(wish.title)
    .description(wish.question)
    .datasource(DATASOURCE)
    .span(wish.width)
    .height(SERIES_HEIGHT)
    .unit(wish.unit)
    .withTarget(query({ expr: wish.expr, legend: '' }, 0).instant().format(PromQueryFormat.Table))
    .withTransformation({ id: 'filterFieldsByName', options: { include: { names } } })
    .withTransformation({
      id: 'organize',
      options: {
        renameByName: wish.columns,
        indexByName: Object.fromEntries(names.map((name, index) => [name, index])),
      },
    });
}

/** Makes a heatmap of the distribution of values over time. */
export function heat(wish: Heat): Builder<Panel> {
  return new heatmap.PanelBuilder()
    .title(wish.title)
    .description(wish.question)
    .datasource(DATASOURCE)
    .span(wish.width)
    .height(SERIES_HEIGHT)
    .unit(UNIT.count)
    .calculate(false)
    .color(new heatmap.HeatmapColorOptionsBuilder().mode(heatmap.HeatmapColorMode.Scheme).scheme('Oranges').steps(64))
    .yAxis(new heatmap.YAxisConfigBuilder().unit(wish.unit))
    .showLegend()
    .withTarget(query({ expr: wish.expr, legend: '{{le}}' }, 0).format(PromQueryFormat.Heatmap));
}
