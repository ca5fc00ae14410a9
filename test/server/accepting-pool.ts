/** Parts that admission and its launcher need in tests that run no transfers. */
import type { Pool } from '../../src/pool/pool.ts';
import type { StateCells } from '../../src/pool/state-cells.ts';
import { NO_TAKEOVERS } from '../../src/pool/figures.ts';
import { BlksizeLimits } from '../../src/server/blksize-limits.ts';

/**
 * A pool that takes every order and keeps no part of it. A pool on threads behaves alike: a submitted order belongs to
 * its worker.
 */
export function acceptingPool(cells: StateCells): Pool {
  return {
    cells,
    workersLost: 0,
    takeovers: NO_TAKEOVERS,
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

/** Block size limits where the route to every client carries Ethernet's 1,500 bytes. */
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
