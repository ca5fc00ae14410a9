/**
 * The account of unanswered requests from a server's metrics: every reason has a meaning and names existing settings.
 */
import { describe, expect, it } from 'vitest';
import { SETTING_LIST } from '../../src/config/settings.ts';
import { IGNORED } from '../../src/server/types.ts';
import { readCounts, type ServerCounts, unansweredBetween } from '../../src/storm/unanswered.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { FakeServer, serverStats } from '../support/reveille.ts';

/** Counts read from a real scrape. */
async function reading(ignored: number, drops = 0): Promise<ServerCounts> {
  const server = new FakeServer();
  server.current = serverStats({
    ignoredTotal: Object.fromEntries(IGNORED.map((reason) => [reason, ignored])),
    requestDropsTotal: drops,
  });
  const cache = { heldBytes: 0, idleBytes: 0, entries: 0, hits: 0, misses: 0, loads: 0, shelvedBytes: 0 };
  const metrics = new Metrics({
    server: () => server.stats(),
    cache: () => ({ ...cache, overBudget: 0, evictions: 0 }),
    cacheBytes: 1,
    memoryLimitBytes: 1,
    sessions: 1,
    store: () => undefined,
    routes: () => undefined,
    suppressedLines: () => ({}),
    version: '1.2.3',
    singlePort: false,
    workers: 1,
  });
  return readCounts(await metrics.registry.metrics())!;
}

describe('what a server left unanswered', () => {
  it('has a meaning for every reason that there is, and names settings that there are', async () => {
    const reasons = unansweredBetween(await reading(0), await reading(2, 1))!;
    const expected = [...IGNORED.filter((reason) => reason !== 'repeated'), 'receiveDrops'];
    expect(reasons.map(({ reason }) => reason).toSorted()).toEqual(expected.toSorted());
    expect(reasons.filter(({ what }) => what === null)).toEqual([]);
    const flags = reasons.flatMap(({ settings }) => settings).filter((setting) => setting.startsWith('--'));
    const keys = flags.map((flag) => flag.slice(2).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase()));
    expect(keys).toContain('sessionsPerNetwork4');
    expect(SETTING_LIST.map(({ key }) => key)).toEqual(expect.arrayContaining(keys));
  });

  it('is the difference between the two readings, the most frequent reason first', () => {
    const counts = (busy: number, client: number, expired: number): ServerCounts =>
      readCounts(
        [
          '# TYPE reveille_requests_ignored_total counter',
          'process_start_time_seconds 1774000000',
          `reveille_requests_ignored_total{reason="busy"} ${busy}`,
          `reveille_requests_ignored_total{reason="client"} ${client}`,
          `reveille_requests_ignored_total{reason="expired"} ${expired}`,
          'reveille_requests_ignored_total{reason="repeated"} 7e3',
        ].join('\n'),
      )!;
    const between = unansweredBetween(counts(5, 1, 9), counts(7, 31, 9))!;
    expect(between.map(({ reason, count }) => [reason, count])).toEqual([
      ['client', 30],
      ['busy', 2],
    ]);
    // Counts can't be compared if the process has changed, or if they have restarted from zero.
    expect(unansweredBetween(counts(5, 1, 9), { ...counts(7, 31, 9), startedAt: 1_774_000_100 })).toBeUndefined();
    expect(unansweredBetween(counts(5, 1, 9), counts(4, 31, 9))).toBeUndefined();
  });

  it('shows a reason that it does not know without a meaning', () => {
    const counts = (text: string): ServerCounts =>
      readCounts(`reveille_requests_ignored_total{reason="toString"} ${text}`)!;
    expect(unansweredBetween(counts('1'), counts('4'))).toEqual([
      { reason: 'toString', count: 3, what: null, settings: [] },
    ]);
  });

  it.each(['', 'up 1\n', 'reveille_requests_ignored_total{reason="busy"} NaN\n', '<html>'])(
    'is not read from %j, which no Reveille server sends',
    (text) => expect(readCounts(text)).toBeUndefined(),
  );
});
