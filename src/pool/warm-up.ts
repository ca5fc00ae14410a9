/**
 * Compiles the code that a worker takes transfers over with, before it has to: some transfers go over the loopback
 * device, from the worker to itself. Cold, the code of a takeover takes several times as long.
 */
import { shareBytes } from '../bytes/shared-bytes.ts';
import { allocateCounters, counterRow } from '../engine/counters.ts';
import type { Engine, TransferPort } from '../engine/types.ts';
import { encodeAck } from '../protocol/encode.ts';
import { TRANSFER_STATE } from './state-cells.ts';
import { allocateTable } from './table-region.ts';
import { TransferRunner } from './transfer-runner.ts';
import { TransferTable } from './transfer-table.ts';

const TRANSFERS = 16;
/** Pause after each transfer, which takes some 15 ms of processor time. */
const PAUSE_MS = 30;
const BLOCKS = 300;
const BLKSIZE = 8;
const LOOPBACK = '127.0.0.1';

/** Resolves when the transfers are over. Rejects where the loopback device can't be used. */
export async function warmUp(engine: Engine): Promise<void> {
  const { transferPorts, clock } = engine;
  if (transferPorts === undefined || engine.settle === undefined) return;
  const content = shareBytes(new Uint8Array(BLOCKS * BLKSIZE));
  const table = new TransferTable(allocateTable(TRANSFERS));
  const runner = new TransferRunner(engine, table.cells, counterRow(allocateCounters(1), 0));
  const view = engine.attach(content);
  const ack = new Uint8Array(4);
  const asked = await engine.listen({ address: LOOPBACK, port: 0 }, () => {});
  const transfer = async (slot: number): Promise<void> => {
    const client = await engine.link(
      { local: LOOPBACK, peer: { address: LOOPBACK, port: 9 }, peerPort: 'learn' },
      {
        onDatagram: (bytes) => client.control(ack, encodeAck(ack, (bytes[2]! << 8) | bytes[3]!)),
        onUnreachable: () => {},
        onUnreadable: () => {},
      },
    );
    let port: TransferPort | undefined;
    try {
      const taken = transferPorts.take(asked.local, client.local, 0, slot);
      if (typeof taken === 'string') return;
      port = taken;
      await goOn(slot, taken, client.local.port);
    } finally {
      client.close();
      port?.release();
    }
  };
  const goOn = (slot: number, port: TransferPort, peerPort: number): Promise<void> => {
    const now = clock.now();
    table.cells.reset(slot, TRANSFER_STATE.running, now);
    const order = {
      slot,
      local: LOOPBACK,
      localPort: port.local.port,
      peer: { address: LOOPBACK, port: peerPort },
      port,
      openedAt: now,
      requestedAt: now,
      content,
      ringBytes: 0,
      opening: undefined,
      plan: {
        size: BLOCKS * BLKSIZE,
        blksize: BLKSIZE,
        windowsize: 1 + (slot % 2),
        rollover: 0,
        timeoutMs: 0,
        oack: false,
        seed: slot + 1,
        patienceMs: 1000,
      },
    } as const;
    table.write(order, engine.locate?.(content) ?? { low: 0, high: 0, length: content.length });
    return new Promise((resolve) => {
      // Without the token of the record: packets that a thread leaves unread at its death are assigned by tokens.
      runner.resume({ ...table.read(slot)!, port }, view, undefined, () => resolve());
    });
  };
  try {
    for (let slot = 0; slot < TRANSFERS; slot++) {
      // oxlint-disable-next-line no-await-in-loop -- threads that serve need the processors more.
      await transfer(slot);
      // oxlint-disable-next-line no-await-in-loop -- see above.
      await new Promise<void>((resolve) => clock.wake(clock.now() + PAUSE_MS, resolve));
    }
  } finally {
    void asked.close();
    // Workers use ports that the main thread opens.
    transferPorts.close();
  }
}
