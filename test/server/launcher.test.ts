import { expect, it } from 'vitest';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';
import type { NoPort, TransferPort } from '../../src/engine/types.ts';
import { faultReport } from '../../src/pool/pool.ts';
import { StateCells } from '../../src/pool/state-cells.ts';
import { allocateTable } from '../../src/pool/table-region.ts';
import { UNNEGOTIATED } from '../../src/protocol/negotiate.ts';
import { Launcher } from '../../src/server/launcher.ts';
import { DEFAULT_LIMITS } from '../../src/server/server.ts';
import { Transfer } from '../../src/server/transfer.ts';
import { acceptingPool, ethernetBlksizes } from './accepting-pool.ts';

const BUSY = '10.0.0.1';
const OTHER = '10.0.0.2';

function transferAt(local: string, slot: number): Transfer {
  const request = { operation: 'read', filename: 'x', mode: 'octet', options: [], text: 'x\0octet' } as const;
  const port = { local: { address: local, port: 69 }, reply: () => {}, close: async () => {} };
  const arrival = { request, peer: { address: '10.0.1.1', port: 2000 + slot }, port, arrivedAt: 0 };
  const transfer = new Transfer(slot, `${slot}`, slot, arrival, 'octet', 0);
  transfer.content = { kind: 'content', handle: shareBytes(new Uint8Array(10)), label: 'x', release: () => {} };
  transfer.settled = UNNEGOTIATED;
  return transfer;
}

/** A launcher whose engine gives the answers one after the other. */
function launcherWith(answers: (NoPort | 'port')[]) {
  const cells = new StateCells(allocateTable(8));
  const pool = acceptingPool(cells);
  const port: TransferPort = {
    fd: 9,
    peerWord: 0,
    addressWord: 0,
    local: { address: BUSY, port: 40_000 },
    data: () => {},
    control: () => {},
    release: () => {},
  };
  const take = (): TransferPort | NoPort => {
    const answer = answers.shift()!;
    return answer === 'port' ? port : answer;
  };
  const clock = { now: () => 0, wake: () => () => {} };
  const launcher = new Launcher(
    {
      clock,
      pool,
      ports: { stock: () => {}, take, close: () => {}, shortage: undefined },
      attach: () => ({ length: 10 }),
      limits: DEFAULT_LIMITS,
      blksizes: ethernetBlksizes(clock, cells),
      seed: 1,
    },
    () => {},
  );
  return { launcher, end: (slot: number) => pool.onEnded(slot, faultReport('')) };
}

it('an address that waits for a descriptor may go when a transfer of another address has ended', () => {
  const { launcher, end } = launcherWith(['port', 'noDescriptor']);
  expect(launcher.launch(transferAt(BUSY, 1))).toBe('started');
  expect(launcher.launch(transferAt(OTHER, 2))).toBe('noDescriptor');
  expect(launcher.hasPorts(OTHER)).toBe(false);
  end(1);
  expect(launcher.hasPorts(OTHER)).toBe(true);
});

it('an address whose ports are used up waits for one of its own', () => {
  const { launcher, end } = launcherWith(['port', 'usedUp', 'port']);
  launcher.launch(transferAt(BUSY, 1));
  expect(launcher.launch(transferAt(OTHER, 2))).toBe('usedUp');
  end(1);
  expect(launcher.hasPorts(OTHER)).toBe(false);
  launcher.tryAgain();
  expect(launcher.hasPorts(OTHER)).toBe(true);
});
