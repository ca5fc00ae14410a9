/**
 * Metrics of the daemon as a whole: its warnings, the reloads of its config, its log and its version. Knows no request
 * and no transfer.
 */
import { RELOAD_RESULTS } from '../config/live-config.ts';
import type { EventCounts } from './event-counts.ts';
import { BOUNDED_KINDS } from './log.ts';
import { closed, type Declarations } from './metric-kinds.ts';

export interface DaemonFigures {
  /** The number of log lines that were left out, by kind. */
  readonly suppressedLines: () => Readonly<Record<string, number>>;
  readonly version: string;
  readonly singlePort: boolean;
}

export function declareDaemon(
  declare: Declarations,
  { suppressedLines, version, singlePort }: DaemonFigures,
  events: EventCounts,
): void {
  declare.counter('reveille_warnings_total', 'Warnings, whether or not the log wrote them.', () => events.warnings);
  declare.counters(
    'reveille_reloads_total',
    'Reloads of the config, by result. After a failed reload the previous config remains in use.',
    ['result'],
    () => closed(RELOAD_RESULTS, events.reloads),
  );
  declare.gauge('reveille_config_reload_ok', '1, or 0 after a reload that failed.', () => events.reloadOk);
  declare.counters(
    'reveille_log_lines_suppressed_total',
    'Log lines left out because there were too many of their kind, by kind.',
    ['kind'],
    () => closed(BOUNDED_KINDS, suppressedLines()),
  );
  declare.gauges(
    'reveille_build_info',
    'Always 1; the labels give the version of Reveille and of Node.js.',
    ['version', 'node'],
    () => [[version, process.versions.node, 1]],
  );
  declare.gauge('reveille_single_port', '1 if all transfers run at the port that was asked, otherwise 0.', () =>
    singlePort ? 1 : 0,
  );
}
