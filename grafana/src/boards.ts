/** The generated files: the boards in Grafana's JSON, and their part of README.md. Writes nothing. */
import type { Dashboard, Panel, RowPanel } from '@grafana/grafana-foundation-sdk/dashboard';
import type { Dataquery as PrometheusQuery } from '@grafana/grafana-foundation-sdk/prometheus';
import { build } from './board.ts';
import { bootSetsBoard } from './boot-sets.ts';
import { servingBoard } from './serving.ts';
import { stormBoard } from './storm.ts';

export const BOARDS: readonly Dashboard[] = [stormBoard, servingBoard, bootSetsBoard].map(build);

/** @returns the path relative to the folder `grafana`. */
export function fileOf({ uid }: Dashboard): string {
  return `dashboards/${uid}.json`;
}

export function textOf(board: Dashboard): string {
  return `${JSON.stringify(board, undefined, 2)}\n`;
}

function isRow(panel: Panel | RowPanel): panel is RowPanel {
  return panel.type === 'row';
}

/** @returns the panels of a board without its rows. */
export function panelsOf(board: Dashboard): Panel[] {
  return (board.panels ?? []).filter((panel): panel is Panel => !isRow(panel));
}

/** All queries go to Prometheus. */
export function queriesOf(panel: Panel): PrometheusQuery[] {
  return (panel.targets ?? []) as unknown as PrometheusQuery[];
}

function linesOf(board: Dashboard): string[] {
  const lines = [`### ${board.title}`, '', `${board.description} [${fileOf(board)}](${fileOf(board)})`];
  for (const panel of board.panels ?? []) {
    if (isRow(panel)) lines.push('', `**${panel.title}**`, '', '| panel | question |', '|---|---|');
    else lines.push(`| ${panel.title} | ${panel.description} |`);
  }
  return lines;
}

const BEGIN = '<!-- begin: made by npm run grafana -->';
const END = '<!-- end -->';

/** @returns the page with an up-to-date part about the panels. @throws Error when the page has no place for it. */
export function withPanels(page: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin === -1 || end < begin) throw new Error(`README.md has no ${BEGIN} … ${END}`);
  const panels = BOARDS.map((board) => linesOf(board).join('\n')).join('\n\n');
  return `${page.slice(0, begin + BEGIN.length)}\n\n${panels}\n\n${page.slice(end)}`;
}
