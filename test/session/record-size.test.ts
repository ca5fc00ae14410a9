/** Memory that a transfer's session takes; a server may have ten thousand sessions. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { Sender } from '../../src/session/sender.ts';
import type { SenderPlan } from '../../src/session/sender-plan.ts';
import { ack } from '../support/bytes.ts';
import { heapRecord } from '../support/heap-record.ts';
import { packetOf, Script } from './stage.ts';

const SESSIONS = 10_000;
/** In records of test/support/heap-record.ts: 1,017 bytes where one takes 370. */
const MAX_RECORDS = 2.75;

it(`in mid-transfer a session with its plan takes at most as much heap as ${MAX_RECORDS} records`, () => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const ackOf = [0, 8, 16].map((block) => packetOf(ack(block)));
  const script = new Script();
  const open = (seed: number): Sender => {
    const plan: SenderPlan = {
      size: 2 ** 26 + seed,
      blksize: 1468,
      windowsize: 8,
      rollover: 0,
      timeoutMs: 0,
      oack: true,
      seed,
      patienceMs: 60_000,
    };
    const session = new Sender(plan);
    // The times are large integers, as from a clock of a machine that has run for weeks.
    const now = 2 ** 31 + seed * 1000;
    session.start(now, script);
    for (const [index, packet] of ackOf.entries()) session.onPacket(packet, now + 3 * index, script);
    script.lines = [];
    script.parts = [];
    return session;
  };
  const bytesEach = <T>(make: (number: number) => T): { each: number; made: readonly T[] } => {
    const made: T[] = [];
    for (let number = 1; number <= 100; number++) make(number);
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let number = 1; number <= SESSIONS; number++) made.push(make(number));
    collect();
    return { each: (process.memoryUsage().heapUsed - before) / SESSIONS, made };
  };
  const { each: recordBytes } = bytesEach(heapRecord);
  const { each, made: sessions } = bytesEach(open);
  expect(sessions.every(({ tally }) => tally.blocks === 16)).toBe(true);
  expect(each / recordBytes).toBeGreaterThan(0.5);
  expect(each / recordBytes).toBeLessThan(MAX_RECORDS);
});
