/** What admission and its launcher stand on in tests that run no transfers. */
import type { Pool } from '../../src/pool/pool.ts';
import type { StateCells } from '../../src/pool/state-cells.ts';
import { BlksizeLimits } from '../../src/server/blksize-limits.ts';

/** A pool that takes every order and keeps nothing of it, as one on threads does: what has been sent is the worker's. */
export function acceptingPool(cells: StateCells): Pool {
  return {
    cells,
    workersLost: 0,
    start: () => true,
    hasRoom: true,
    onEnded: () => {},
    onRoom: () => {},
    figures: () => {
      throw new Error('Not expected to be asked');
    },
    close: async () => {},
  };
}

/** Where the way to every client carries what Ethernet does. */
export function ethernetBlksizes(clock: { now(): number }, cells: StateCells): BlksizeLimits {
  return new BlksizeLimits({
    clock,
    cells,
    mtus: { of: () => 1500 },
    maxBlksize: undefined,
    maxBlksizeOf: () => undefined,
    onWarning: () => {},
  });
}
