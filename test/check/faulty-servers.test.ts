import { describe, expect, it } from 'vitest';
import { CHECKS } from '../../src/check/checks.ts';
import { checkSummary, type CheckReport } from '../../src/check/report.ts';
import { runChecks } from '../../src/check/run-checks.ts';
import type { Verdict } from '../../src/check/verdict.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { FaultyServer, type Fault } from './faulty-server.ts';
import { QUICK_WAITS } from './waits.ts';

const FILES: Readonly<Record<string, Buffer>> = {
  empty: Buffer.alloc(0),
  even: seededBytes(SEED, 4096),
  linux: seededBytes(SEED + 1, 60_001),
  'with space': seededBytes(SEED + 2, 300),
  'boot/n\u00e4me': seededBytes(SEED + 3, 700),
};

async function check(faults: readonly Fault[], timeoutMs = 120_000): Promise<CheckReport> {
  const server = await FaultyServer.open(FILES, faults);
  try {
    return await runChecks({
      server: server.address,
      files: Object.entries(FILES).map(([name, bytes]) => ({ name, bytes, size: bytes.length })),
      timeoutMs,
      waits: QUICK_WAITS,
    });
  } finally {
    server.close();
  }
}

function numbers({ checks }: CheckReport, wanted: Verdict['verdict']): number[] {
  return checks.filter(({ verdict }) => verdict === wanted).map(({ number }) => number);
}

function failures({ checks }: CheckReport): string[] {
  return checks.filter(({ verdict }) => verdict === 'fail').map(({ number, detail }) => `${number}: ${detail}`);
}

/** Statements about features that this test server does not offer. */
const NOT_OFFERED = [24, 25, 26, 39, 41, 42, 46, 47, 84, 85, 86, 87];
/** Statements that need a file larger than any here. */
const NOT_TRIED = [63, 64, 65];

// The runs mostly wait, and each has a server of its own, so they run concurrently.
describe.concurrent(`a check of a small server, seed ${SEED}`, () => {
  it('fails no check if the server follows the protocol', async () => {
    const report = await check([]);
    expect(failures(report)).toEqual([]);
    expect(report).toMatchObject({ fault: null, fell_silent_after: null, cut_short: null, fail: 0 });
    expect(numbers(report, 'not offered')).toEqual(NOT_OFFERED);
    expect(numbers(report, 'not tried')).toEqual(NOT_TRIED);
    expect(report.checks.find(({ number }) => number === 63)?.detail).toBe('needs a file of 524792 bytes');
    expect(report.pass).toBe(CHECKS.length - NOT_OFFERED.length - NOT_TRIED.length);
  });

  it.each<[Fault, string, readonly number[]]>([
    ['answersRepeats', 'that answers repeated ACKs', [51, 67, 69, 71, 75]],
    ['answersErrors', 'that answers ERRORs', [3, 52, 79, 80]],
    ['grantsUnasked', 'that grants options nobody asked for', [18]],
    ['neverResends', 'that never sends again', [50, 54, 72, 73]],
    ['neverGivesUp', 'that never gives up', [76]],
    ['omitsEmptyBlock', 'that leaves out the empty last block', [59, 61]],
  ])('with the fault %s finds a server %s, and no other fault', async (fault, _what, wrong) => {
    const report = await check([fault]);
    expect(failures(report).map((line) => Number.parseInt(line, 10))).toEqual(wrong);
    expect(numbers(report, 'not offered')).toEqual(NOT_OFFERED);
    expect(numbers(report, 'not tried')).toEqual(NOT_TRIED);
    expect(report.fell_silent_after).toBeNull();
  });

  it('finds a blksize that is larger than what was asked for', async () => {
    const report = await check(['raisesBlksize']);
    expect(numbers(report, 'fail')).toContain(32);
    expect(report.checks.find(({ number }) => number === 32)?.detail).toMatch(
      /^expected blksize 8 to be granted up to 8/,
    );
  });
});

describe.concurrent('a server that falls silent', () => {
  it('during a single check ends the run after that check', async () => {
    const report = await check(['diesOfMode']);
    expect(report.fell_silent_after).toEqual([9]);
    expect(numbers(report, 'fail')).toEqual([9]);
    expect(report.not_tried).toBeGreaterThan(CHECKS.length - 15);
    expect(report.checks.find(({ number }) => number === 83)?.detail).toBe('the server had fallen silent');
    expect(checkSummary(report)).toMatch(/; the server fell silent after check 9\n$/);
  });

  it('during parallel checks ends the run, and names only the checks that may be the cause', async () => {
    const report = await check(['diesOfError8']);
    expect(report.fell_silent_after).toContain(52);
    expect(report.fell_silent_after!.length).toBeLessThanOrEqual(9);
    expect(numbers(report, 'fail')).toEqual([]);
    expect(report.not_tried).toBeGreaterThan(5);
  });
});

describe.concurrent('a run', () => {
  it('ends at its time limit with the results so far', async () => {
    const report = await check(['neverGivesUp'], 3000);
    expect(report.cut_short).toBe('the time limit of 3 s was reached');
    expect(report.fell_silent_after).toBeNull();
    expect(report.duration_s).toBeLessThan(10);
    expect(report.not_tried).toBeGreaterThan(0);
    expect(report.checks.filter(({ detail }) => detail === 'the time limit of 3 s was reached').length).toBeGreaterThan(
      0,
    );
    expect(report.fail).toBe(0);
  });

  it('downloads the files that it has no copy of', async () => {
    const server = await FaultyServer.open(FILES, []);
    const report = await runChecks({
      server: server.address,
      files: [{ name: 'linux' }, { name: 'empty' }],
      timeoutMs: 60_000,
      waits: QUICK_WAITS,
      checks: CHECKS.filter(({ number }) => [37, 40, 58].includes(number)),
    });
    server.close();
    expect(report.files).toEqual([
      { name: 'linux', size_bytes: 60_001 },
      { name: 'empty', size_bytes: 0 },
    ]);
    expect(report.pass).toBe(3);
  });

  it('reports that the server does not have the file, and tries nothing', async () => {
    const server = await FaultyServer.open(FILES, []);
    const report = await runChecks({ server: server.address, files: [{ name: 'no' }], timeoutMs: 60_000 });
    server.close();
    expect(report.fault).toBe('the server does not give the file "no": ERROR 1 "There is no such file"');
    expect(report.not_tried).toBe(CHECKS.length);
  });
});
