/** Seeded simulations of a fleet that shares pins: no boot is mixed but where the table in docs/fleet.md says so. */
import { describe, expect, it } from 'vitest';
import { liveThrough, type Verdict } from '../../support/shared-world.ts';

/** The campaign lives through 10,000 worlds of 5 servers and 50 nodes. */
const isLong = process.env['REVEILLE_CAMPAIGN'] === '1';
const FIRST = Number(process.env['REVEILLE_SEED'] ?? 1);
const SMALL = isLong ? {} : { nodes: 8, runMs: 40_000 };

async function liveAll(seeds: number, hasFaults: boolean): Promise<Record<string, number>> {
  const excused: Record<string, number> = {};
  const count = (verdict: Verdict): void => {
    excused['boots'] = (excused['boots'] ?? 0) + verdict.boots;
    for (const [cause, boots] of Object.entries(verdict.excused)) excused[cause] = (excused[cause] ?? 0) + boots;
  };
  for (let seed = FIRST; seed < FIRST + seeds; seed++) {
    // oxlint-disable-next-line no-await-in-loop -- one world at a time.
    const verdict = await liveThrough(seed, { ...SMALL, hasFaults });
    const { mixed, wrongDigests } = verdict;
    expect({ seed, mixed, wrongDigests }).toEqual({ seed, mixed: [], wrongDigests: [] });
    count(verdict);
  }
  return excused;
}

describe('a fleet that shares pins', { timeout: isLong ? 24 * 3_600_000 : 120_000 }, () => {
  it('mixes nothing while nodes change servers and versions are published, by clocks that differ', async () => {
    const { boots, lacking, ...others } = await liveAll(isLong ? 2000 : 40, false);
    expect(boots).toBeGreaterThan(100);
    // A version that reaches the servers one after the other.
    expect(lacking ?? 0).toBeLessThan(boots! / 50);
    expect(others).toEqual({});
  });

  it('mixes boots only where the table says so, in trouble of all kinds', async () => {
    const { boots, ...excused } = await liveAll(isLong ? 10_000 : 160, true);
    expect(boots).toBeGreaterThan(1000);
    const mixed = Object.values(excused).reduce((sum, one) => sum + one, 0);
    expect(mixed).toBeLessThan(boots! / 10);
  });
});
