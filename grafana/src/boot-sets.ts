/** The Boot sets board: published versions, the nodes that boot, and the collection of old versions. */
import type { Board } from './board.ts';
import { figure, labels, series, type Steps, UNIT } from './panels.ts';
import { counted, grown, of, orNone, rate, share, sum } from './promql.ts';

/** The current versions, with their number as the label `version`, as in the metrics of pins. */
const current = `count_values by (job, instance, channel) ("version", ${of('reveille_channel_version')})`;

/** Matches channels with a label of their own: no version is known for the others. */
const NAMED = 'channel!="(others)"';

const pinsOnCurrent = `${of('reveille_channel_pins', NAMED)} and on (job, instance, channel, version) ${current}`;

/** Pins on any version but the current one. @param labels labels by which the sum is grouped. */
function pinsElsewhere(apart = ''): string {
  const by = apart === '' ? 'sum' : `sum by (${apart})`;
  const all = sum('reveille_channel_pins', apart, NAMED);
  return `${all} - (${by} (${pinsOnCurrent}) or 0 * ${all})`;
}

/** Difference between servers in a channel's current version. */
const skew = `max by (job, channel) (${of('reveille_channel_version')}) - min by (job, channel) (${of('reveille_channel_version')})`;

const NONE_IS_GOOD: Steps = ['green', [1, 'orange']];

export const bootSetsBoard: Board = {
  title: 'Reveille / Boot sets',
  uid: 'reveille-boot-sets',
  description: 'Versions, pins, rollouts and garbage collection.',
  span: '3h',
  refresh: '30s',
  rows: {
    Now: [
      figure({
        title: 'Channels',
        question: 'How many channels are served?',
        width: 4,
        unit: UNIT.count,
        expr: orNone(`count(count by (channel) (${of('reveille_channel_version')}))`),
      }),
      figure({
        title: 'Servers that differ',
        question: 'Do all servers have the same current version? Number of channels in which they do not.',
        width: 4,
        unit: UNIT.count,
        expr: orNone(`count((${skew}) > 0)`),
        thresholds: ['green', [1, 'red']],
      }),
      figure({
        title: 'Nodes in a boot',
        question: 'How many nodes are in the middle of a boot and keep its version?',
        width: 4,
        unit: UNIT.count,
        expr: orNone(sum('reveille_channel_pins')),
        isTrend: true,
      }),
      figure({
        title: 'Boots of other versions',
        question:
          'How many nodes boot a version that is not current? Causes: a rollout, a pin set by hand, or boots that began before the channel moved.',
        width: 4,
        unit: UNIT.count,
        expr: orNone(pinsElsewhere()),
        thresholds: ['green', [1, 'blue']],
        isTrend: true,
      }),
      figure({
        title: 'Pinned memory',
        question:
          'How much of the budget is taken by file contents that cannot be evicted, because they are being sent or kept for coming boots?',
        width: 4,
        unit: UNIT.share,
        decimals: 1,
        expr: `${sum('reveille_pinned_bytes')} / ${sum('reveille_cache_budget_bytes')}`,
        thresholds: ['green', [0.7, 'orange'], [1, 'red']],
        isTrend: true,
      }),
      figure({
        title: 'Freed',
        question: 'How many bytes have collections freed in the time shown?',
        width: 4,
        unit: UNIT.bytes,
        expr: grown('reveille_gc_freed_bytes_total'),
      }),
    ],
    Versions: [
      labels({
        title: 'Current versions',
        question: 'Which version is current, on which server?',
        width: 8,
        unit: UNIT.count,
        expr: of('reveille_channel_version'),
        columns: { channel: 'Channel', instance: 'Server', Value: 'Version' },
      }),
      series({
        title: 'Current version, by channel',
        question: 'When did a channel move, forward or back?',
        width: 8,
        unit: UNIT.count,
        steps: true,
        queries: [
          {
            expr: `max by (channel, instance) (${of('reveille_channel_version')})`,
            legend: '{{channel}} {{instance}}',
          },
        ],
      }),
      series({
        title: 'Transfers from boot sets',
        question: 'How much of what nodes fetch comes from boot sets?',
        width: 8,
        unit: UNIT.share,
        max: 1,
        queries: [
          {
            expr: share(
              rate('reveille_transfers_started_total', '', 'origin="bootSet"'),
              rate('reveille_transfers_started_total'),
            ),
            legend: 'from boot sets',
          },
        ],
      }),
    ],
    'Pins and rollouts': [
      series({
        title: 'Pins, by channel and version',
        question: 'Which versions are being booted? During a rollout one band grows as the other shrinks.',
        width: 12,
        unit: UNIT.count,
        stacked: true,
        queries: [{ expr: sum('reveille_channel_pins', 'channel, version'), legend: '{{channel}} {{version}}' }],
      }),
      series({
        title: 'Pins on versions that are not current',
        question: 'How far has a rollout progressed, and are boots left that began before the channel moved?',
        width: 12,
        unit: UNIT.count,
        queries: [{ expr: pinsElsewhere('channel'), legend: '{{channel}}' }],
      }),
      series({
        title: 'Late and shared',
        question:
          'Do boots outlive their pins, or come from networks where nodes cannot be told apart? Many late requests mean that pinIdle is too short.',
        width: 12,
        unit: UNIT.perSecond,
        queries: [
          { expr: rate('reveille_late_pins_total'), legend: 'late' },
          { expr: rate('reveille_shared_answers_total'), legend: 'shared networks' },
        ],
      }),
      figure({
        title: 'Pins remembered',
        question: 'How many pins are remembered, including those of finished boots? The maximum is 65,536.',
        width: 6,
        isTall: true,
        unit: UNIT.count,
        expr: `max(${of('reveille_pins')})`,
        thresholds: ['green', [50_000, 'orange'], [65_000, 'red']],
        isTrend: true,
      }),
      figure({
        title: 'Pins dropped',
        question: 'Were pins dropped for lack of space in the time shown? A boot that loses its pin may mix versions.',
        width: 6,
        isTall: true,
        unit: UNIT.count,
        decimals: 0,
        expr: grown('reveille_pins_evicted_total'),
        thresholds: NONE_IS_GOOD,
      }),
    ],
    Memory: [
      series({
        title: 'Memory for boot sets',
        question: 'Do the versions that nodes boot fit into the budget?',
        width: 12,
        unit: UNIT.bytes,
        queries: [
          { expr: sum('reveille_pinned_bytes'), legend: 'pinned' },
          { expr: sum('reveille_cache_shelved_bytes'), legend: 'kept for coming boots' },
          { expr: sum('reveille_cache_budget_bytes'), legend: 'budget' },
        ],
        colours: { budget: 'red' },
      }),
      series({
        title: 'Over budget',
        question: 'How often did the file contents in use exceed the budget?',
        width: 12,
        unit: UNIT.count,
        bars: true,
        queries: [{ expr: counted('reveille_cache_over_budget_total', 'instance'), legend: '{{instance}}' }],
      }),
    ],
    'Garbage collection': [
      series({
        title: 'Versions in the store',
        question: 'Does the store keep growing although old versions should be removed?',
        width: 8,
        unit: UNIT.count,
        steps: true,
        queries: [{ expr: `max by (instance) (${of('reveille_store_versions')})`, legend: '{{instance}}' }],
      }),
      series({
        title: 'Collections',
        question: 'Do garbage collections run, and do they fail?',
        width: 8,
        unit: UNIT.count,
        bars: true,
        queries: [
          { expr: counted('reveille_gc_runs_total'), legend: 'runs' },
          { expr: counted('reveille_gc_failures_total'), legend: 'failures' },
          { expr: counted('reveille_gc_versions_total'), legend: 'versions collected' },
        ],
        colours: { failures: 'red' },
      }),
      series({
        title: 'Freed by collections',
        question: 'How much do collections free, and when?',
        width: 8,
        unit: UNIT.bytes,
        bars: true,
        queries: [{ expr: counted('reveille_gc_freed_bytes_total', 'instance'), legend: '{{instance}}' }],
      }),
    ],
  },
};
