/** The rules of pins as a table, and the guarantee that holds for any sequence of requests. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BootStages, DEFAULT_STAGE_ZERO } from '../../../src/boot-set/boot/boot-stage.ts';
import {
  hasLapsed,
  isInherited,
  judge,
  laterBegun,
  type PinSituation,
  stageAfter,
} from '../../../src/boot-set/boot/pins.ts';
import type { PinRecord } from '../../../src/boot-set/store/records.ts';
import { isPinLive, rootsOf } from '../../../src/boot-set/store/roots.ts';

const POLICY = { pinIdleMs: 900_000, pinCapMs: 7_200_000 };
const T0 = 1_700_000_000_000;

function pin(change: Partial<PinRecord> = {}): PinRecord {
  return {
    node: 'mac:52:54:00:00:00:01',
    channel: 'rack',
    version: 1,
    createdAt: T0,
    usedAt: T0,
    stage: 0,
    address: '192.0.2.7',
    ...change,
  };
}

const QUIET: PinSituation = { stage: 'later', open: false, over: false, exists: true, hasBeginning: true };
const IDLE = 900_001;

describe('a request', () => {
  it.each<[string, Partial<PinRecord> | undefined, Partial<PinSituation>, number, string]>([
    ['of a node without a pin', undefined, { stage: 'later' }, 0, 'begin'],
    ['for a config after the loader', {}, { stage: 'zero' }, 5000, 'keep'],
    ['for the config once more, as GRUB does', {}, { stage: 'zero' }, 5100, 'keep'],
    ['for a module', {}, { stage: 'neutral' }, 5200, 'keep'],
    ['for the kernel', {}, { stage: 'later' }, 6000, 'keep'],
    ['for the initrd', { stage: 1 }, { stage: 'later' }, 9000, 'keep'],
    ['for a module after the kernel', { stage: 1 }, { stage: 'neutral' }, 9000, 'keep'],
    ['for the loader after the kernel', { stage: 1 }, { stage: 'zero' }, 60_000, 'begin'],
    ['for a config while the kernel is under way', { stage: 1 }, { stage: 'zero', open: true }, 9000, 'keep'],
    ['for the kernel after a beginning elsewhere', { stage: 1 }, { over: true }, 60_000, 'begin'],
    [
      'for the kernel after a beginning elsewhere, but still loading',
      { stage: 1 },
      { over: true, open: true },
      9000,
      'keep',
    ],
    ['for the loader after the idle time', {}, { stage: 'zero' }, IDLE, 'begin'],
    ['for the kernel after the idle time', {}, {}, IDLE, 'late'],
    ['for a module after the idle time', {}, { stage: 'neutral' }, IDLE, 'late'],
    ['for the kernel after the cap, not idle', { usedAt: T0 + 7_200_000 }, {}, 7_200_001, 'late'],
    ['for the loader after the cap', { usedAt: T0 + 7_100_000 }, { stage: 'zero' }, 7_200_001, 'begin'],
    [
      'for the config after the cap, a second after the loader',
      { usedAt: T0 + 7_199_000 },
      { stage: 'zero' },
      7_200_001,
      'keep',
    ],
    ['for the loader after the cap, still loading', { usedAt: T0 }, { stage: 'zero', open: true }, 7_200_001, 'keep'],
    ['for the initrd, still loading the kernel for very long', { stage: 1 }, { open: true }, 7_200_001, 'keep'],
    ['for the kernel of a version that is gone', {}, { exists: false }, 5000, 'gone'],
    ['for the kernel of one that is gone, late', {}, { exists: false }, IDLE, 'gone'],
    ['for a module of one that is gone', {}, { stage: 'neutral', exists: false }, 5000, 'gone'],
    ['for the loader of one that is gone', {}, { stage: 'zero', exists: false }, 5000, 'begin'],
    ['after the idle time, of a set that no loader is in', {}, { hasBeginning: false }, IDLE, 'begin'],
    ['within the idle time, of a set that no loader is in', { stage: 1 }, { hasBeginning: false }, 5000, 'keep'],
  ])('%s', (_, record, situation, after, decision) => {
    const before = record === undefined ? undefined : pin(record);
    expect(judge(before, { ...QUIET, ...situation }, T0 + after, POLICY)).toBe(decision);
  });

  it('moves the stage forward for later names, back for beginnings, and not for others', () => {
    expect([stageAfter(0, 'later'), stageAfter(0, 'neutral'), stageAfter(0, 'zero')]).toEqual([1, 0, 0]);
    expect([stageAfter(1, 'later'), stageAfter(1, 'neutral'), stageAfter(1, 'zero')]).toEqual([1, 1, 0]);
  });
});

describe('two names of one node', () => {
  it('have the pin of the boot that began last', () => {
    const older = pin({ version: 1, usedAt: T0 + 9 });
    const newer = pin({ version: 2, createdAt: T0 + 5, usedAt: T0 + 5 });
    expect(laterBegun(older, newer)).toBe(newer);
    expect(laterBegun(newer, older)).toBe(newer);
  });
});

describe('a machine at the address of another', () => {
  it.each<[string, Partial<PinRecord>, number, boolean]>([
    ['goes on with a boot that is at its beginning', {}, 1000, true],
    ['does not with one past it', { stage: 1 }, 1000, false],
    ['does not with one that has moved on', { address: '192.0.2.8' }, 1000, false],
    ['does not with one that has ended', {}, IDLE, false],
  ])('%s', (_, record, after, inherited) => {
    expect(isInherited(pin(record), '192.0.2.7', T0 + after, POLICY)).toBe(inherited);
  });
});

describe('stages', () => {
  const stages = new BootStages();

  it.each([
    [
      'zero',
      ['pxelinux.0', 'lpxelinux.0', 'shimx64.efi', 'bios/undionly.kpxe', 'EFI/BOOT/BOOTX64.EFI', 'grubaa64.efi'],
    ],
    ['zero', ['grub/grub.cfg', 'grub/grub.cfg-01-52-54-00-00-00-01', 'pxelinux.cfg/default', 'pxelinux.cfg/C0A80A05']],
    ['zero', ['a/pxelinux.cfg/01-52-54-00-00-00-01', 'autoexec.ipxe', 'config.txt', '9ffefdef/start4.elf', 'Boot/BCD']],
    ['neutral', ['ldlinux.c32', 'grub/x86_64-efi/command.lst', 'grub/i386-pc/net.mod', 'revocations_sku.efi']],
    ['neutral', ['shim_certificate_0.efi', 'mmx64.efi', 'overlays/x.dtbo', 'fixup4.dat', 'grub/fonts/unicode.pf2']],
    [
      'later',
      ['linux', 'vmlinuz', 'vmlinuz.efi', 'initrd.img', 'kernel8.img', 'boot.wim', 'rootfs.squashfs', 'linux.efi'],
    ],
  ])('%s: %j', (stage, names) => {
    expect(names.map((name) => stages.of(name))).toEqual(names.map(() => stage));
  });

  it('follow the patterns of the operator', () => {
    const own = new BootStages(['*.bin', 'first/*']);
    expect(['a/loader.BIN', 'x/first/y', 'first/a/b', 'pxelinux.0'].map((name) => own.of(name))).toEqual([
      'zero',
      'zero',
      'later',
      'later',
    ]);
    expect(new BootStages([]).of('pxelinux.0')).toBe('later');
    expect(DEFAULT_STAGE_ZERO).not.toContain('*.efi');
  });
});

describe('whatever a node asks for and whenever', () => {
  const FILES = { loader: 'zero', config: 'zero', module: 'neutral', kernel: 'later', initrd: 'later' } as const;
  type File = keyof typeof FILES;
  const names = Object.keys(FILES) as File[];

  it('no boot gets two versions', () => {
    const wait = fc.oneof(fc.integer({ min: 0, max: 60_000 }), fc.integer({ min: 0, max: 9_000_000 }));
    const request = fc.record({
      wait,
      repeats: fc.integer({ min: 1, max: 3 }),
      open: fc.boolean(),
      moves: fc.boolean(),
    });
    // A boot is a list of files in order, some repeated and some left out, with pauses, while the channel moves.
    const boot = fc.tuple(
      fc.subarray(names, { minLength: 1 }),
      fc.array(request, { minLength: 5, maxLength: 5 }),
      wait,
    );
    fc.assert(
      fc.property(fc.array(boot, { maxLength: 8 }), (boots) => {
        let now = T0;
        let current = 1;
        let held: PinRecord | undefined;
        let open = false;
        for (const [files, requests, pause] of boots) {
          // The node was off; its open transfer has timed out if the pause was long enough.
          now += pause;
          open &&= pause < 10_000;
          const got = new Set<number>();
          const ordered = ['loader' as File, ...files.filter((file) => file !== 'loader')];
          for (const [index, file] of ordered.entries()) {
            const { wait: before, repeats, open: stays, moves } = requests[index % requests.length]!;
            // A config is read within a minute of its loader; a menu may wait longer before the kernel.
            const waited = FILES[file] === 'zero' && index > 0 ? before % 59_000 : before;
            now += waited;
            open &&= waited < 10_000;
            for (let turn = 0; turn < repeats; turn++) {
              if (moves) current++;
              const situation = { ...QUIET, stage: FILES[file], open };
              const decision = judge(held, situation, now, POLICY);
              expect(decision).not.toBe('gone');
              held =
                decision === 'begin'
                  ? pin({ version: current, createdAt: now, usedAt: now })
                  : { ...held!, usedAt: now };
              held = { ...held, stage: stageAfter(held.stage, FILES[file]) };
              got.add(held.version);
              open = stays;
              now += 50;
            }
          }
          expect([...got]).toHaveLength(1);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['its idle time after the last use', POLICY.pinIdleMs, POLICY.pinIdleMs],
    ['its cap after the beginning', POLICY.pinCapMs, 0],
  ])('has a pin that holds up to %s, for the server and for collections alike', (_, age, silence) => {
    const record = pin({ createdAt: T0, usedAt: T0 + age - silence });
    const needs = { channels: [], versions: [], overrides: [], useNotes: [], pins: [record] };
    const defaults = { ...POLICY, keepVersions: 0 };
    for (const late of [-1, 0, 1]) {
      const now = T0 + age + late;
      expect([late, hasLapsed(record, false, now, POLICY)]).toEqual([late, late > 0]);
      expect([late, isPinLive(record, POLICY, now)]).toEqual([late, late <= 0]);
      expect([late, rootsOf({ ...needs, defaults }, now).has('rack-1')]).toEqual([late, late <= 0]);
    }
  });

  it('keeps a version for as long after its use by explicit name as a pin would', () => {
    const needs = { channels: [], versions: [], overrides: [], pins: [], defaults: { ...POLICY, keepVersions: 0 } };
    const roots = (now: number): Set<string> => rootsOf({ ...needs, useNotes: [['rack-1', { usedAt: T0 }]] }, now);
    expect(roots(T0 + POLICY.pinIdleMs).has('rack-1')).toBe(true);
    expect(roots(T0 + POLICY.pinIdleMs + 1).has('rack-1')).toBe(false);
  });

  it('has a pin that has not lapsed right after it was used', () => {
    expect(hasLapsed(pin({ usedAt: T0 + 5 }), false, T0 + 5, POLICY)).toBe(false);
    // The clock was set back.
    expect(hasLapsed(pin({ usedAt: T0 + 5000 }), false, T0, POLICY)).toBe(false);
  });
});
