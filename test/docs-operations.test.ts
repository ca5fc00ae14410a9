/** Documentation for operators against the code: metrics, limits, the runbook. */
import { describe, expect, it } from 'vitest';
import { Log } from '../src/telemetry/log.ts';
import { Metrics } from '../src/telemetry/metrics.ts';
import { defaultSettings } from '../src/config/settings.ts';
import { EXIT } from '../src/config/usage-error.ts';
import { MALFORMED } from '../src/protocol/packet.ts';
import { RENDER_FAILURES, RENDER_OUTCOMES } from '../src/render/types.ts';
import { IGNORED } from '../src/server/types.ts';
import { serverStats, transferRecord } from './support/reveille.ts';
import { bare, blocks, read, table, PAGES } from './support/pages.ts';

describe('metrics', () => {
  const counts = (names: readonly string[]): Record<string, number> =>
    Object.fromEntries(names.map((name) => [name, 0]));
  const cache = {
    heldBytes: 0,
    idleBytes: 0,
    entries: 0,
    hits: 0,
    misses: 0,
    loads: 0,
    evictions: 0,
    shelvedBytes: 0,
    overBudget: 0,
  };
  const { registry } = new Metrics({
    server: () => serverStats({ ignoredTotal: counts(IGNORED), malformedTotal: counts([...MALFORMED, 'notRequest']) }),
    cache: () => cache,
    cacheBytes: 0,
    memoryLimitBytes: 0,
    sessions: 0,
    store: () => ({
      channels: [{ name: 'rack', current: 1, pins: 0, byVersion: [] }],
      versions: 0,
      pins: 0,
      provisionalPins: 0,
      pinsEvicted: 0,
      latePins: 0,
      sharedAnswers: 0,
      collection: { runs: 0, failures: 0, versions: 0, bytes: 0 },
    }),
    routes: () => ({
      outcomes: counts(RENDER_OUTCOMES) as Record<(typeof RENDER_OUTCOMES)[number], number>,
      failures: counts(RENDER_FAILURES) as Record<(typeof RENDER_FAILURES)[number], number>,
      waiting: 0,
      threadsLost: 0,
      kept: 0,
      keptBytes: 0,
      nodes: 0,
      reloads: 0,
    }),
    suppressedLines: () => new Log('info', { write: () => {}, close: () => Promise.resolve() }).suppressed,
    version: '0.0.0',
    singlePort: false,
    workers: 1,
  });

  it('are all in docs/operations.md', () => {
    const listed = table('docs/operations.md', 'Metrics').map(([name]) => bare(name!));
    const declared = registry
      .getMetricsAsArray()
      .map(({ name }) => name)
      .filter((name) => name.startsWith('reveille_'));
    expect(listed.toSorted()).toEqual(declared.toSorted());
  });

  it.each(PAGES)('named in %s exist, with their labels', async (page) => {
    const scraped = (await registry.metrics()).split('\n');
    const labelsOf = (text: string): string[] => text.match(/\w+="[^"]*"/g) ?? [];
    const exists = (name: string, labels: string): boolean =>
      scraped.some((line) => {
        const has = labelsOf(line);
        const isOfIt = line.startsWith(`# HELP ${name} `) || line.startsWith(`${name}{`);
        return isOfIt && labelsOf(labels).every((label) => has.includes(label));
      });
    const named = [...read(page).matchAll(/\b(reveille_[a-z_]+)(\{[^}]*\})?/g)];
    expect(named.filter(([, name, labels = '']) => !exists(name!, labels)).map(([text]) => text)).toEqual([]);
  });
});

describe('docs/operations.md', () => {
  it('has JSON that parses', () => {
    expect(blocks('docs/operations.md', 'json').map((text) => typeof JSON.parse(text))).toEqual(['object', 'object']);
  });

  it('shows a log line with the fields that are logged', () => {
    const shown = blocks('docs/operations.md', 'json').map((text) => JSON.parse(text) as Record<string, unknown>);
    const expected = shown.find((line) => line['msg'] === 'transfer')!;
    const lines: string[] = [];
    const log = new Log('info', { write: (line: string) => void lines.push(line), close: () => Promise.resolve() });
    const client = { address: '192.0.2.117', port: 46_620 };
    const counts = { blocks: 10, blksize: 512, windowsize: 1, retransmits: 0, durationMs: 3, firstReplyMs: 3 };
    log.transfer(transferRecord({ client, ...counts }));
    const written = JSON.parse(lines[0]!) as Record<string, unknown>;
    expect({ ...written, time: '' }).toEqual({ ...expected, time: '' });
  });

  it('goes with a unit that leaves time to drain', () => {
    const unit = read('deploy/reveille.service');
    const setting = (name: string): string | undefined => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1];
    expect(Number(setting('TimeoutStopSec')) * 1000).toBeGreaterThan(defaultSettings().drainMs);
    expect(Number(setting('LimitNOFILE'))).toBeGreaterThan(2 * defaultSettings().sessions);
    expect(Number(setting('SuccessExitStatus'))).toBe(EXIT.cutShort);
    expect(Number(setting('RestartPreventExitStatus'))).toBe(EXIT.usage);
    expect(setting('RestrictAddressFamilies')).toContain('AF_NETLINK');
    expect(setting('MemoryDenyWriteExecute')).toBeUndefined();
  });
});
