import { array, assert, constantFrom, nat, property, record } from 'fast-check';
import { expect, it } from 'vitest';
import { Quarantine } from '../../src/engine/linux/quarantine.ts';

const MOST = 256;

it('a quarantine lets go of the oldest first, when its time is over or room is needed', () => {
  const step = record({ passMs: nat({ max: 40 }), pushes: nat({ max: 60 }) });
  // A clock may be anywhere when it is cut to 32 bits.
  const start = constantFrom(0, 2 ** 31 - 100, 2 ** 32 - 100);
  assert(
    property(start, array(step, { maxLength: 60 }), (begin, steps) => {
      const quarantine = new Quarantine(MOST);
      const expected: { readonly peer: number; readonly until: number }[] = [];
      let [now, peers] = [begin, 0];
      const shift = (): void => {
        let gone: number[] = [];
        quarantine.shift((words, at) => (gone = [...words.subarray(at, at + 8)]));
        expect(gone).toEqual(Array.from({ length: 8 }, (_, word) => expected[0]!.peer + word));
        expected.shift();
      };
      for (const { passMs, pushes } of steps) {
        now += passMs;
        while (quarantine.isOver(now)) shift();
        expect(expected.every(({ until }) => until > now)).toBe(true);
        for (let push = 0; push < pushes; push++) {
          expect(quarantine.full).toBe(expected.length === MOST);
          if (quarantine.full) shift();
          const peer = ++peers * 1000;
          const sockaddr = Int32Array.from({ length: 10 }, (_, word) => peer + word - 2);
          quarantine.push(sockaddr, 2, now + 100);
          expected.push({ peer, until: now + 100 });
        }
      }
    }),
  );
});
