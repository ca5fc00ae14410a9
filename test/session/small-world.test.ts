/**
 * All faults in a small world: every choice of up to three packets of a transfer of five blocks, in either direction,
 * each dropped, duplicated or delayed. Each further fault is tried on every packet of the world that the earlier faults
 * produce.
 */
import { expect, test } from 'vitest';
import { FAULTS, type Fault, type WorldPlan, type WorldReport, runWorld } from './small-world.ts';

type Shape = Omit<WorldPlan, 'faults'>;

/** Transfers of five blocks, the last of three bytes. Without an OACK, nothing is negotiated. */
const SHAPES: readonly Shape[] = [
  { size: 4 * 512 + 3, blksize: 512, windowsize: 1, oack: false },
  { size: 4 * 8 + 3, blksize: 8, windowsize: 1, oack: true },
  { size: 4 * 8 + 3, blksize: 8, windowsize: 2, oack: true },
  { size: 4 * 8 + 3, blksize: 8, windowsize: 4, oack: true },
];

type Faults = ReadonlyMap<number, Fault>;

function describe(faults: Faults): string {
  return [...faults].map(([place, fault]) => `packet ${place} ${fault}`).join(', ');
}

/** Problems in the course of a world. */
function problems(
  { size, blksize, windowsize, oack }: Shape,
  faults: Faults,
  report: WorldReport,
  faultless: number,
): string[] {
  const found = [];
  const kept = [];
  for (let block = 1; (block - 1) * blksize <= size; block++) {
    const length = Math.min(blksize, size - (block - 1) * blksize);
    kept.push(`${(block - 1) * blksize}+${length}: ${length > 0 ? block : ''}`);
  }
  if (report.kept.join(' ') !== kept.join(' ')) found.push(`kept ${report.kept.join(' ')}`);
  // Without an OACK, a file of one block is sent once per request. If its only ACK is lost, neither side can tell.
  const isUntold = report.outcomes.join() === 'timeout,complete' && size < blksize && !oack;
  if (report.outcomes.join() !== 'complete,complete' && !isUntold) found.push(`ended with ${report.outcomes.join()}`);
  if (report.sent.some((what) => what.includes('error'))) found.push('an ERROR was sent');
  // A fault costs at most a restart of the window, one or two timeouts at each end, and their answers.
  const most = faultless + faults.size * (windowsize + 6);
  if (report.sent.length > most) found.push(`${report.sent.length} packets, more than ${most}`);
  if (report.endedAt > (isUntold ? 61_000 : 8000)) found.push(`it took ${report.endedAt} ms`);
  return found;
}

/** Runs one world, which must have no problems. @returns its number of packets. */
function play(shape: Shape, faults: Faults, faultless: number): number {
  let found: string[];
  let packets = '';
  let count = 0;
  try {
    const report = runWorld({ ...shape, faults });
    packets = report.sent.join(', ');
    count = report.sent.length;
    found = problems(shape, faults, report, faultless);
  } catch (cause) {
    throw new Error(`With ${describe(faults)}`, { cause });
  }
  if (found.length > 0) expect.fail(`With ${describe(faults)}: ${found.join('; ')}\n${packets}`);
  return count;
}

/**
 * Plays every world with up to `most` faults; each further fault is tried on every packet of the world so far. @returns
 * the number of worlds.
 */
function playAll(shape: Shape, most: number): number {
  const faultless = runWorld({ ...shape, faults: new Map() }).sent.length;
  const playOn = (faults: Faults, from: number): number => {
    const packets = play(shape, faults, faultless);
    let worlds = 1;
    for (let place = from; faults.size < most && place < packets; place++) {
      for (const fault of FAULTS) worlds += playOn(new Map([...faults, [place, fault]]), place + 1);
    }
    return worlds;
  };
  return playOn(new Map(), 0);
}

test.each(SHAPES)(
  'with any two faults the same bytes arrive, in a bounded number of packets: windowsize $windowsize, OACK $oack',
  (shape) => {
    expect(playAll(shape, 2)).toBeGreaterThan(900);
  },
);

const WINDOWED = SHAPES.filter(({ windowsize }) => windowsize > 1);

test.each(WINDOWED)(
  'with any three faults the same bytes arrive, in a bounded number of packets: windowsize $windowsize',
  (shape) => {
    expect(playAll(shape, 3)).toBeGreaterThan(15_000);
  },
);

test.each(SHAPES)(
  'with any fault a file whose last block is empty arrives: windowsize $windowsize, OACK $oack',
  (shape) => {
    expect(playAll({ ...shape, size: 4 * shape.blksize }, 1)).toBeGreaterThan(40);
  },
);

test.each(SHAPES)('with any two faults a file of one block arrives: windowsize $windowsize, OACK $oack', (shape) => {
  expect(playAll({ ...shape, size: 3 }, 2)).toBeGreaterThan(70);
});

test('without faults each packet is sent once (RFC 1350, 2347, 7440)', () => {
  const sent = SHAPES.map((shape) => runWorld({ ...shape, faults: new Map() }).sent.join(', '));
  expect(sent).toEqual([
    'r request, s data 1, r ack 1, s data 2, r ack 2, s data 3, r ack 3, s data 4, r ack 4, s data 5, r ack 5',
    'r request, s oack, r ack 0, s data 1, r ack 1, s data 2, r ack 2, s data 3, r ack 3, s data 4, r ack 4, ' +
      's data 5, r ack 5',
    'r request, s oack, r ack 0, s data 1, s data 2, r ack 2, s data 3, s data 4, r ack 4, s data 5, r ack 5',
    'r request, s oack, r ack 0, s data 1, s data 2, s data 3, s data 4, r ack 4, s data 5, r ack 5',
  ]);
});
