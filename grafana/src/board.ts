/**
 * A board: rows of panels under the variables that all boards share. Knows no metric but the one that names servers.
 */
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import {
  AnnotationQueryBuilder,
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  type Panel,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DATASOURCE } from './panels.ts';
import { of } from './promql.ts';

/** Boards with this tag link to each other. */
const TAG = 'reveille';

export interface Board {
  readonly title: string;
  /** Part of the board's address and of its file's name. */
  readonly uid: string;
  readonly description: string;
  /** Time range of the board when it is opened: `15m`. */
  readonly span: string;
  readonly refresh: string;
  readonly rows: Readonly<Record<string, readonly Builder<Panel>[]>>;
}

function labelVariable(name: string, label: string, query: string): QueryVariableBuilder {
  return (
    new QueryVariableBuilder(name)
      .label(label)
      .datasource(DATASOURCE)
      .query({ query, refId: `${name}-values` })
      .definition(query)
      .multi(true)
      .includeAll(true)
      .allValue('.+')
      .current({ selected: true, text: 'All', value: '$__all' })
      .refresh(VariableRefresh.OnTimeRangeChanged)
      // oxlint-disable-next-line unicorn/no-array-sort -- this is no array.
      .sort(VariableSort.AlphabeticalAsc)
  );
}

function event(name: string, colour: string, expr: string, title: string): AnnotationQueryBuilder {
  return new AnnotationQueryBuilder()
    .name(name)
    .datasource(DATASOURCE)
    .enable(true)
    .iconColor(colour)
    .expr(expr)
    .step('5s')
    .titleFormat(title);
}

/** Uses the classic model of dashboards: only the newest Grafanas read version 2 of the model. */
export function build(board: Board): Dashboard {
  const dashboard = new DashboardBuilder(board.title)
    .uid(board.uid)
    .description(board.description)
    .tags([TAG])
    .readonly()
    .time({ from: `now-${board.span}`, to: 'now' })
    .refresh(board.refresh)
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
    .withVariable(labelVariable('job', 'Job', 'label_values(reveille_build_info, job)'))
    .withVariable(labelVariable('instance', 'Server', 'label_values(reveille_build_info{job=~"$job"}, instance)'))
    .link(
      new DashboardLinkBuilder('Reveille')
        .type(DashboardLinkType.Dashboards)
        .tags([TAG])
        .asDropdown(false)
        .includeVars(true)
        .keepTime(true),
    )
    .annotation(
      // The value is the time, in milliseconds.
      event(
        'Server started',
        'purple',
        `1000 * ${of('process_start_time_seconds')}`,
        '{{instance}} started',
      ).useValueForTime(true),
    )
    .annotation(
      event('Channel moved', 'blue', `changes(${of('reveille_channel_version')}[30s]) > 0`, '{{channel}} moved'),
    );
  let id = 0;
  for (const [title, panels] of Object.entries(board.rows)) {
    dashboard.withRow(new RowBuilder(title).id(++id));
    for (const panel of panels) {
      const built = panel.build();
      built.id = ++id;
      dashboard.withPanel({ build: () => built });
    }
  }
  const built = dashboard.build();
  // The builder would hide both in a menu.
  for (const shown of [...(built.links ?? []), ...(built.annotations?.list ?? [])]) delete shown.placement;
  return built;
}
