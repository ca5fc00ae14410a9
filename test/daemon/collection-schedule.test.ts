/** The schedule of collections, and the log lines about them. */
import { describe, expect, it } from 'vitest';
import { CollectionSchedule, type CollectionScheduleOptions } from '../../src/daemon/collection-schedule.ts';

const RESULT = JSON.stringify({
  versions: [{ name: 'rack-1', bytes: 7 }],
  waiting: [1, 2],
  blobs: 3,
  bytes: 7,
  leftovers: 0,
});

function setUp(change: Partial<CollectionScheduleOptions> = {}) {
  const clock = { now: 0 };
  const runs: (readonly string[])[] = [];
  const told: unknown[] = [];
  const failures: string[] = [];
  const schedule = new CollectionSchedule({
    store: '/nowhere',
    everyMs: 600_000,
    graceMs: 1000,
    run: (verb, args) => {
      runs.push([verb, ...args]);
      return Promise.resolve({ code: 0, stdout: RESULT, stderr: '' });
    },
    onCollected: (result) => void told.push(result),
    onFailure: (reason) => void failures.push(reason),
    freePercent: () => Promise.resolve(50),
    now: () => clock.now,
    ...change,
  });
  return { clock, runs, told, failures, schedule };
}

describe('collections', () => {
  it('run by schedule, and their results are counted', async () => {
    const { clock, runs, told, schedule } = setUp();
    await schedule.collectIfDue();
    clock.now = 599_999;
    await schedule.collectIfDue();
    expect(runs).toEqual([]);
    clock.now = 600_000;
    await schedule.collectIfDue();
    await schedule.collectIfDue();
    expect(runs).toEqual([['gc', '--grace=1000ms']]);
    expect(told).toEqual([{ versions: ['rack-1'], bytes: 7, blobs: 3, waiting: 2 }]);
    expect(schedule.stats()).toEqual({ runs: 1, failures: 0, versions: 1, bytes: 7 });
  });

  it('run when the disk gets full, but not one right after the other', async () => {
    const { clock, runs, schedule } = setUp({ everyMs: 0, freePercent: () => Promise.resolve(9) });
    clock.now = 299_999;
    await schedule.collectIfDue();
    expect(runs).toHaveLength(0);
    clock.now = 300_000;
    await schedule.collectIfDue();
    await schedule.collectIfDue();
    expect(runs).toHaveLength(1);
  });

  it('run one at a time', async () => {
    let finish: () => void = () => {};
    let count = 0;
    const { clock, schedule } = setUp({
      run: () => {
        count++;
        return new Promise((resolve) => {
          finish = () => resolve({ code: 0, stdout: RESULT, stderr: '' });
        });
      },
    });
    clock.now = 600_000;
    const first = schedule.collectIfDue();
    clock.now = 1_200_000;
    await schedule.collectIfDue();
    expect(count).toBe(1);
    finish();
    await first;
  });

  it.each([
    [{ code: 1, stdout: '', stderr: 'reveille: no space' }, 'reveille: no space'],
    [{ code: undefined, stdout: '', stderr: '' }, 'ended with a signal'],
    [{ code: 0, stdout: 'nonsense', stderr: '' }, 'ended with 0'],
    [{ code: 0, stdout: '{}', stderr: '' }, 'ended with 0'],
  ])('that fail are reported: %j', async (end, reason) => {
    const { clock, failures, schedule } = setUp({ run: () => Promise.resolve(end) });
    clock.now = 600_000;
    await schedule.collectIfDue();
    expect(failures).toEqual([reason]);
    expect(schedule.stats()).toMatchObject({ runs: 1, failures: 1, bytes: 0 });
  });
});
