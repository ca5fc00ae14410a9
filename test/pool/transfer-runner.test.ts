/** Wishes to give up an unanswered transfer whose answer has arrived but has not been read. */
import { describe, expect, it } from 'vitest';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';
import { allocateCounters, counterRow } from '../../src/engine/counters.ts';
import { MemoryNetwork } from '../../src/engine/memory.ts';
import type { TransferReport } from '../../src/engine/report.ts';
import type { Engine, LinkReceiver } from '../../src/engine/types.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import { StateCells, TRANSFER_STATE, WISH_TO_END } from '../../src/pool/state-cells.ts';
import { allocateTable } from '../../src/pool/table-region.ts';
import { TransferRunner } from '../../src/pool/transfer-runner.ts';

const CONTENT = shareBytes(new Uint8Array(5000));
const ACK = Uint8Array.of(0, 4, 0, 1);
const ERROR = Uint8Array.of(0, 5, 0, 0, 0);

/** A worker that reads its sockets only when it catches up. */
class Worker {
  readonly clock = new VirtualClock();
  readonly cells = new StateCells(allocateTable(2));
  readonly reports: (TransferReport | undefined)[] = [];
  /** Called when the worker catches up. */
  onCatchUp = (): void => {};
  readonly #receivers: LinkReceiver[] = [];
  readonly #engine: Engine;
  readonly #runner: TransferRunner;

  constructor() {
    const engine = new MemoryNetwork(this.clock, 1, { delayMs: 1 }).engine();
    const link = engine.link.bind(engine);
    this.#engine = Object.assign(engine, {
      link: (...[options, receiver]: Parameters<Engine['link']>) => {
        this.#receivers.push(receiver);
        return link(options, receiver);
      },
      catchUp: () => this.onCatchUp(),
    });
    this.#runner = new TransferRunner(this.#engine, this.cells, counterRow(allocateCounters(1), 0));
  }

  start(slot: number): void {
    this.cells.reset(slot, TRANSFER_STATE.unproven, this.clock.now());
    this.#runner.start(
      {
        slot,
        local: '10.0.0.1',
        peer: { address: '10.0.0.2', port: 2000 + slot },
        port: undefined,
        localPort: undefined,
        openedAt: undefined,
        ringBytes: 0,
        requestedAt: this.clock.now(),
        opening: undefined,
        plan: {
          size: 5000,
          blksize: 512,
          windowsize: 1,
          rollover: 0,
          timeoutMs: 0,
          oack: false,
          seed: 1,
          patienceMs: 60_000,
        },
      },
      this.#engine.attach(CONTENT),
      (ended, report) => {
        this.reports[ended] = report;
      },
    );
  }

  /** Reads a packet of that transfer's client. Default: its answer. */
  read(slot: number, packet = ACK): void {
    this.#receivers[slot]!.onDatagram(packet, packet.length);
  }
}

describe('a transfer that is to be given up', () => {
  it('ends without an ERROR if no client has answered', async () => {
    const worker = new Worker();
    worker.start(0);
    await worker.clock.runAsync(20);
    worker.cells.end(0, WISH_TO_END.giveUp);
    await worker.clock.runAsync(60);
    expect(worker.reports[0]).toMatchObject({ outcome: 'aborted' });
    expect(worker.cells.wishToEnd(0)).toBe(WISH_TO_END.giveUp);
  });

  it('continues if its answer had arrived but was unread', async () => {
    const worker = new Worker();
    worker.start(0);
    await worker.clock.runAsync(20);
    worker.onCatchUp = () => worker.read(0);
    worker.cells.end(0, WISH_TO_END.giveUp);
    await worker.clock.runAsync(60);
    expect(worker.reports).toEqual([]);
    expect(worker.cells.state(0)).toBe(TRANSFER_STATE.running);
    expect(worker.cells.wishToEnd(0)).toBe(WISH_TO_END.none);
  });

  it('reads a waiting answer even if the worker takes the order while it catches up', async () => {
    const worker = new Worker();
    worker.start(0);
    await worker.clock.runAsync(20);
    worker.onCatchUp = () => {
      worker.onCatchUp = () => worker.read(1);
      worker.start(1);
      worker.cells.end(1, WISH_TO_END.giveUp);
    };
    worker.cells.repeat(0);
    await worker.clock.runAsync(100);
    expect(worker.reports).toEqual([]);
    expect(worker.cells.state(1)).toBe(TRANSFER_STATE.running);
  });
});

describe('a transfer that its client has superseded before the worker begins it', () => {
  it('gets what the client sent before: at a shared port it would reach the next transfer', async () => {
    const worker = new Worker();
    worker.start(0);
    // The portable way: the link is open when the next turn begins.
    worker.cells.end(0, WISH_TO_END.supersede);
    worker.onCatchUp = () => worker.read(0, ERROR);
    await worker.clock.runAsync(60);
    expect(worker.reports).toMatchObject([{ outcome: 'probe' }]);
  });
});
