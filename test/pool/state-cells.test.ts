import { describe, expect, it } from 'vitest';
import { StateCells, TRANSFER_STATE, WISH_TO_END } from '../../src/pool/state-cells.ts';
import { allocateTable } from '../../src/pool/table-region.ts';
import { claimRow, releaseRow } from '../../src/pool/thread-messages.ts';

describe('state cells', () => {
  it('are one memory seen from both sides, and neighbours do not touch', () => {
    const buffer = allocateTable(3);
    const [main, worker] = [new StateCells(buffer), new StateCells(buffer)];
    expect(main.slots).toBe(3);
    for (let slot = 0; slot < 3; slot++) main.reset(slot, TRANSFER_STATE.queued, 100 + slot);
    worker.setState(1, TRANSFER_STATE.running);
    worker.setProgress(1, 500);
    main.repeat(2);
    expect([0, 1, 2].map((slot) => main.state(slot))).toEqual([
      TRANSFER_STATE.queued,
      TRANSFER_STATE.running,
      TRANSFER_STATE.queued,
    ]);
    expect([0, 1, 2].map((slot) => main.silence(slot, 600))).toEqual([500, 100, 498]);
    expect([0, 1, 2].map((slot) => worker.repeats(slot))).toEqual([0, 0, 1]);
  });

  it('ring the doorbell for wishes, and only for them', () => {
    const cells = new StateCells(allocateTable(2));
    const quiet = cells.rings;
    cells.setState(0, TRANSFER_STATE.running);
    cells.setProgress(0, 1);
    expect(cells.rings).toBe(quiet);
    cells.repeat(0);
    cells.end(1, WISH_TO_END.abort);
    expect(cells.rings).toBe(quiet + 2);
    expect(cells.wishToEnd(1)).toBe(WISH_TO_END.abort);
    expect(cells.wishToEnd(0)).toBe(WISH_TO_END.none);
  });

  it('start a new transfer without the wishes of the one before', () => {
    const cells = new StateCells(allocateTable(1));
    cells.repeat(0);
    cells.end(0, WISH_TO_END.supersede);
    cells.reset(0, TRANSFER_STATE.resolving, 7);
    expect([cells.repeats(0), cells.wishToEnd(0), cells.silence(0, 7)]).toEqual([0, WISH_TO_END.none, 0]);
  });

  it('measure silence across the end of 32 bits', () => {
    const cells = new StateCells(allocateTable(1));
    cells.setProgress(0, 2 ** 31 - 10);
    expect(cells.silence(0, 2 ** 31 + 90)).toBe(100);
    cells.setProgress(0, 2 ** 32 - 10);
    expect(cells.silence(0, 2 ** 32 + 5)).toBe(15);
  });

  it('keep a wish to end when giving up is wished as well', () => {
    const cells = new StateCells(allocateTable(1));
    cells.end(0, WISH_TO_END.changed);
    cells.end(0, WISH_TO_END.giveUp);
    expect(cells.wishToEnd(0)).toBe(WISH_TO_END.changed);
  });
});

describe('rows of counters', () => {
  it('belong to one thread at a time and are free again after its exit', () => {
    const owners = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
    expect([claimRow(owners, 11), claimRow(owners, 12)]).toEqual([0, 1]);
    expect(() => claimRow(owners, 13)).toThrow('Expected one of 2 rows');
    releaseRow(owners, 11);
    expect(claimRow(owners, 13)).toBe(0);
  });
});
