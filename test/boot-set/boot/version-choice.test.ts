/** Shares of a rollout: the same on all servers of a fleet, whose stores give the versions different numbers. */
import { describe, expect, it } from 'vitest';
import { chooseVersion } from '../../../src/boot-set/boot/version-choice.ts';
import { sha256 } from '../../../src/boot-set/store/manifest.ts';

const [CURRENT, CANDIDATE, OTHER] = [sha256('current'), sha256('candidate'), sha256('other')];
const NODES = Array.from(
  { length: 1000 },
  (_, at) => `mac:52:54:00:00:${String(at).padStart(4, '0').replace(/(..)/, '$1:')}`,
);

/** Returns the digests that nodes get from a store in which the versions have these numbers. */
function chosen(numbers: Readonly<Record<string, number>>, candidate: string, percent: number): (string | undefined)[] {
  const manifests = new Map(Object.entries(numbers).map(([manifest, number]) => [number, manifest]));
  const channel = {
    name: 'install',
    current: numbers[CURRENT],
    previous: [],
    nextNumber: 100,
    settings: {},
    rollout: { candidate: numbers[candidate]!, percent, paused: false },
  };
  const choices = {
    channel,
    override: () => undefined,
    manifest: (number: number) => manifests.get(number),
    labelsOf: () => undefined,
  };
  return NODES.map((node) => manifests.get(chooseVersion([node], choices)!));
}

describe('the share of a rollout', () => {
  it('is the same whatever numbers a store gives the versions, and another one for another candidate', () => {
    const here = chosen({ [CURRENT]: 1, [CANDIDATE]: 2, [OTHER]: 3 }, CANDIDATE, 30);
    const there = chosen({ [OTHER]: 7, [CANDIDATE]: 41, [CURRENT]: 99 }, CANDIDATE, 30);
    expect(there).toEqual(here);
    const share = here.filter((manifest) => manifest === CANDIDATE).length;
    expect(share).toBeGreaterThan(250);
    expect(share).toBeLessThan(350);
    const another = chosen({ [CURRENT]: 1, [CANDIDATE]: 2, [OTHER]: 3 }, OTHER, 30);
    const inBoth = another.filter((manifest, at) => manifest === OTHER && here[at] === CANDIDATE).length;
    expect(inBoth).toBeLessThan(150);
  });
});
