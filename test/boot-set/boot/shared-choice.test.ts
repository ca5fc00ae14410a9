/** The choice between what a server and the engine of shared pins know of a node. */
import { describe, expect, it } from 'vitest';
import { whoseStand } from '../../../src/boot-set/boot/shared-choice.ts';

const FOUND = { number: 7, holder: 'bb', usedAgoMs: 10_000, begunAgoMs: 60_000 };
const SEEN = { text: '6 aa 1 []', number: 6, isUnheard: false, seenAgoMs: 20_000, isOver: false };
const LOCAL = { isBeginning: false, usedAgoMs: 20_000, isPast: true, isSame: false };
const stand = (found: Partial<typeof FOUND>, seen: Partial<typeof SEEN>, local: Partial<typeof LOCAL> | undefined) =>
  whoseStand(
    { ...FOUND, ...found },
    { ...SEEN, ...seen },
    local === undefined ? undefined : { ...LOCAL, ...local },
    'aa',
  );

describe('the pins of another server', () => {
  it.each([
    ['are all that is known', {}, {}, undefined, 'theirs'],
    ['are newer than those that this server knew', {}, {}, {}, 'theirs'],
    ['were written by this server itself', { holder: 'aa' }, {}, {}, 'ours'],
    ['are from before a failover, and the node was here since', { number: 5, usedAgoMs: 30_000 }, {}, {}, 'ours'],
    ['are from before a failover, and the node was there since', { number: 5 }, {}, { isPast: false }, 'theirs'],
    ['came first, and nothing was sent here', { number: 5 }, { isUnheard: true }, { isBeginning: true }, 'theirs'],
    ['were unused since the node was here', { usedAgoMs: 30_000 }, { isUnheard: true }, {}, 'ours'],
    ['were used since, and the boot here is at its config', {}, { isUnheard: true }, { isPast: false }, 'theirs'],
    ['were used since, and the boot here is past its config', {}, { isUnheard: true }, {}, 'kept'],
    ['are of a boot that began since', { begunAgoMs: 15_000 }, { isUnheard: true }, {}, 'theirs'],
    ['were used since, and the node was here long ago', {}, { isUnheard: true }, { usedAgoMs: 70_000 }, 'theirs'],
    ['are of the same version', {}, { isUnheard: true }, { isSame: true }, 'theirs'],
    ['are of a boot that was over', { number: 5, usedAgoMs: 30_000 }, { isOver: true }, undefined, 'ours'],
  ] as const)('%s', (_what, found, seen, local, expected) => {
    expect(stand(found, seen, local)).toBe(expected);
  });
});
