/** The report as text: it is complete, aligned, and warns where it must. */
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatCount, formatMs, formatRate, formatShare } from '../../../src/text/figures.ts';
import { renderTable } from '../../../src/storm/views/report-table.ts';
import { calmReport, emptyReport, NASTY, roughReport } from './report-fixture.ts';

/** A table in the text: the lines from the one that begins with `head` up to an empty line. */
function section(text: string, head: string): string[] {
  const lines = text.split('\n');
  const first = lines.findIndex((line) => line.startsWith(head));
  return lines.slice(first, lines.indexOf('', first));
}

describe('the report of a storm as text', () => {
  it('begins with the server, the plan and the arrival of nodes', () => {
    expect(renderTable(roughReport).split('\n').slice(0, 3)).toEqual([
      'Boot storm against [2001:db8::53]:6969',
      '  plan mixed rack <b>"A&B"</b> · 1,000 nodes · arrival poisson at 40 nodes/s · seed 20260314',
      '  started 2026-03-14T09:26:53.589Z · reveille 0.1.0',
    ]);
  });

  it('sums up the result', () => {
    expect(section(renderTable(roughReport, { width: 120 }), 'Result')).toEqual([
      'Result: 985 of 1,000 nodes booted (98.5 %), 14 failed, 1 unfinished, in 63.2 s, 14.5 GB at 230 MB/s',
      '  wrong bytes: not checked · mixed versions: 2 nodes · duplicate TIDs: 3',
    ]);
    expect(section(renderTable(calmReport), 'Result')).toEqual([
      'Result: 985 of 985 nodes booted (100 %), 0 failed, in 63.2 s, 14.5 GB at 229 MB/s',
      '  wrong bytes: 0 files · mixed versions: 0 nodes · duplicate TIDs: 0',
    ]);
  });

  it('has a line for each stage, its figures under each other', () => {
    expect(section(renderTable(roughReport, { width: 80 }), 'Stage ')).toEqual([
      'Stage          profile   done  failed  files  misses    bytes  resent  by server',
      'loader         pxelinux   998       2  1,996       0  84.2 MB     911         40',
      'grub "cfg" <…  grub       996       2  1,992   8,964  1.39 MB      12          0',
      'kernel         ipxe       985      10    985       0  14.5 GB     819         56',
    ]);
  });

  it('shows the protocol of each stage where one is fetched over HTTP', () => {
    const [loader, config, kernel] = roughReport.stages;
    const stages = [loader!, { ...config!, via: 'mixed' as const }, { ...kernel!, via: 'http' as const }];
    const text = renderTable({ ...roughReport, http: '192.0.2.1:8080', stages }, { width: 80 });
    expect(text.split('\n')[0]).toBe('Boot storm against [2001:db8::53]:6969, over HTTP against 192.0.2.1:8080');
    expect(section(text, 'Stage ')).toEqual([
      'Stage     profile   via       done  failed  files  misses    bytes  resent  by server',
      'loader    pxelinux  tftp       998       2  1,996       0  84.2 MB     911         40',
      'grub "c…  grub      mixed      996       2  1,992   8,964  1.39 MB      12          0',
      'kernel    ipxe      http       985      10    985       0  14.5 GB     819         56',
    ]);
  });

  it('has the percentiles of the storm and of each stage, each in a unit that suits it', () => {
    expect(section(renderTable(roughReport), 'Latency')).toEqual([
      'Latency                                                      p50      p90      p99     max',
      'boot, from scheduled start                                37.9 s   46.8 s   58.7 s  63.0 s',
      'first reply                                              2.42 ms  11.1 ms   109 ms  3.26 s',
      '  in loader                                              2.20 ms  9.71 ms   108 ms  3.26 s',
      `  in ${NASTY}          418 µs  1.02 ms  3.77 ms  403 ms`,
      '  in kernel                                                    –        –        –       –',
      'duration of loader                                        212 ms   688 ms   4.11 s  9.82 s',
      `duration of ${NASTY}  31.9 ms  66.5 ms   441 ms  1.21 s`,
      'duration of kernel                                        12.4 s   17.2 s   24.0 s  27.9 s',
    ]);
  });

  it('shows retransmissions and injected faults', () => {
    expect(section(renderTable(roughReport), 'Retransmits')).toEqual([
      'Retransmits: 1,742 by nodes, 96 by the server',
      'Injected faults: 12,204 lost, 311 duplicated, 908 reordered, 2 nodes vanished',
    ]);
    expect(renderTable(calmReport)).toContain('\nInjected faults: none\n');
  });

  it('says what the server left unanswered and which settings change that, or how that can be learned', () => {
    expect(section(renderTable(roughReport, { width: 120 }), 'Requests')).toEqual([
      'Requests that had no answer in time: 931',
      '  requests of all clients that the server left unanswered in that time, according to [2001:db8::53]:6970',
      '  912 × prefixFull: a network had as many transfers as it may have (--sessions-per-network4, --sessions-per-network6)',
      '  4 × tired',
    ]);
    const silent = { ...roughReport, left_unanswered: null };
    expect(section(renderTable(silent, { width: 120 }), 'Requests')[1]).toContain('--admin HOST[:PORT]');
    const problem = { admin: '192.0.2.1:6970', problem: '192.0.2.1:6970: no answer', reasons: [] };
    expect(section(renderTable({ ...calmReport, left_unanswered: problem }), 'Requests')).toEqual([
      'Requests that had no answer in time: 0',
      '  the reasons could not be read from the server: 192.0.2.1:6970: no answer',
    ]);
    expect(renderTable(calmReport)).not.toContain('Requests');
  });

  it('names each violation with its clause, how often it was seen, and where first', () => {
    expect(section(renderTable(roughReport, { width: 120 }), 'Violations')).toEqual([
      'Violations: 1,187',
      '  3 × tid-changed (RFC 1350 §4): The server continued a transfer from another port.',
      `      first: node 412, ${NASTY}, file "boot/grub.cfg-01-52-54-00-12-34-56"`,
      '  1,184 × option-not-asked (RFC 2347): An OACK granted an option that the request did not have.',
      '      first: node 0, loader, file "</script><img src=http://192.0.2.1/x onerror=alert(2)>"',
    ]);
    expect(renderTable(calmReport)).toContain('\nViolations: none\n');
  });

  it('groups failures by their reason', () => {
    expect(section(renderTable(roughReport), 'Failures').slice(0, 3)).toEqual([
      'Failures',
      '  9 nodes in kernel: no answer to the request within 15.8 s',
      '      first: node 871, 127.3.103.1, file "vmlinuz-6.12"',
    ]);
    expect(renderTable(calmReport)).not.toContain('Failures');
  });

  it('warns loudly only if the storm itself was the bottleneck', () => {
    expect(section(renderTable(roughReport), '!!!').slice(0, 3)).toEqual([
      '!!! THE STORM ITSELF WAS THE BOTTLENECK: these figures describe the storm rather than the server',
      "!!! the busiest thread worked 97 % of the time, so answers waited in the storm's own queue",
      '!!! 211 datagrams were lost in receive buffers of the storm',
    ]);
    expect(renderTable(calmReport)).not.toContain('!!!');
  });

  it('ends with the verdict', () => {
    expect(renderTable(roughReport).split('\n').slice(-6)).toEqual([
      '  MISSED  failed=0                          was 14',
      '  met     finish.p99<60s                    was 58.66',
      '  MISSED  stages.kernel.first_reply.p99<1s  not known',
      '  met     throughput>100MB/s                was 229.838',
      'SLO MISSED',
      '',
    ]);
    expect(renderTable(calmReport)).toMatch(/\nSLO met\n$/);
  });

  it('does not report success for a storm that was stopped', () => {
    expect(renderTable({ ...calmReport, unfinished: 3 })).toMatch(
      /\nSLO met, but the storm was stopped with 3 nodes unfinished\n$/,
    );
  });

  it('says how many files had nothing to be compared with', () => {
    expect(renderTable({ ...calmReport, files_not_compared: 12 })).toContain('wrong bytes: 0 files (12 not compared)');
  });

  it('says for a storm of less than a second that its figures include its own start', () => {
    expect(renderTable({ ...calmReport, duration_s: 0.4 })).toContain('its times include the start of its own threads');
    expect(renderTable(calmReport)).not.toContain('the start of its own threads');
  });

  it('shows what could not be known as such', () => {
    const portable = { ...calmReport, harness: { ...calmReport.harness, drops: null } };
    expect(renderTable(portable)).toContain('drops not known');
    const text = renderTable(emptyReport);
    expect(text).toContain('wrong bytes: not checked · mixed versions: not checked');
    expect(text).toMatch(/\nfirst reply +– +– +– +–\n/);
    expect(text).not.toMatch(/NaN|Infinity|null|undefined/);
  });

  it.each([80, 97, 120])('keeps to %d columns, whatever the names are', (width) => {
    const long = 'x'.repeat(300);
    const stages = roughReport.stages.map((stage) => ({ ...stage, name: long, profile: long }));
    for (const report of [roughReport, calmReport, emptyReport, { ...roughReport, server: long, stages }]) {
      const lines = renderTable(report, { width }).split('\n');
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
      expect(lines.filter((line) => line !== line.trimEnd())).toEqual([]);
    }
  });

  it('wraps between figures and not within them', () => {
    expect(section(renderTable(roughReport, { width: 80 }), 'Harness')).toEqual([
      'Harness: linux engine · 2 threads · CPU 41.4 s · busiest thread 97 % ·',
      '  event loop delay p99 4.82 ms, max 19.4 ms · 211 datagrams dropped',
      '  AMD EPYC 7B13, 2 cores, Node.js v20.20.2, Linux 6.1.0-28-amd64',
      "  the storm's own share of each time above: 1.09 ms (p50) to 4.82 ms (p99)",
    ]);
  });

  it('has colour codes only when asked, and the same text under them', () => {
    const plain = renderTable(roughReport);
    const coloured = renderTable(roughReport, { colour: true });
    expect(plain).not.toContain('\x1b');
    expect(coloured).toContain('\x1b[31mSLO MISSED\x1b[0m');
    expect(stripVTControlCharacters(coloured)).toBe(plain);
  });
});

describe('figures', () => {
  it.each([
    [formatCount(999), '999'],
    [formatCount(1_234_567), '1,234,567'],
    [formatBytes(0), '0 B'],
    [formatBytes(999), '999 B'],
    [formatBytes(999_600), '1.00 MB'],
    [formatBytes(14_522_274_040), '14.5 GB'],
    [formatBytes(3e16), '30000 TB'],
    [formatRate(229_841_004), '230 MB/s'],
    [formatMs(0), '0 ms'],
    [formatMs(0.0418), '41.8 µs'],
    [formatMs(0.99951), '1.00 ms'],
    [formatMs(9.996), '10.0 ms'],
    [formatMs(999.4), '999 ms'],
    [formatMs(999.6), '1.00 s'],
    [formatMs(119_900), '120 s'],
    [formatMs(125_000), '2 min 05 s'],
    [formatMs(3_599_600), '1 h 00 min'],
    [formatMs(3_720_000), '1 h 02 min'],
    [formatShare(0, 10), '0 %'],
    [formatShare(9999, 10_000), '99.9 %'],
    [formatShare(1, 10_000), '< 0.1 %'],
    [formatShare(10, 10), '100 %'],
    [formatShare(0, 0), '–'],
  ])('read %s', (found, expected) => {
    expect(found).toBe(expected);
  });
});
