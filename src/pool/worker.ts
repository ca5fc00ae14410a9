/**
 * The entry of a worker thread. Piscina calls the default export once, with the worker's seat: a task that ends when
 * the worker has closed its sockets. Orders and reports go through the seat; a broadcast channel tells all workers to
 * close.
 */
import { BroadcastChannel, type MessagePort, threadId, workerData } from 'node:worker_threads';
import { counterRow, latencyOf } from '../engine/counters.ts';
import { createEngine } from '../engine/create.ts';
import { Estate } from '../engine/estate.ts';
import { collectGarbage } from './collect-garbage.ts';
import { RecordRing } from './record-ring.ts';
import { ORDERS, REPORTS, slotOfOrder, termsOfOrder, writeReport } from './report-record.ts';
import {
  type OrderMessage,
  type ReportMessage,
  type Seat,
  type WorkerMessage,
  type WorkerSetup,
  claimRow,
  regionOf,
} from './thread-messages.ts';
import { noteVitals } from './thread-vitals.ts';
import { TransferRunner } from './transfer-runner.ts';
import { TransferTable } from './transfer-table.ts';
import { warmUp } from './warm-up.ts';
import { yieldToMain } from './yield-to-main.ts';

const setup = workerData as WorkerSetup;
const number = claimRow(setup.rowOwners, threadId);
const row = counterRow(setup.counters, number);
const engine = createEngine(setup.engine, {
  ...setup.engineOptions,
  estate: new Estate(setup.estates, number),
});
const table = new TransferTable(regionOf(setup.table));
const owner = table.newOwner();
const runner = new TransferRunner(engine, table.cells, row);
const forgetVitals = noteVitals(row);

/** Orders taken in one turn, some milliseconds' worth: transfers go on in between. */
const ORDERS_A_TURN = 256;
/** Time before the spare warms up: a server that starts has more urgent work, such as transfers of another process. */
const WARM_UP_AFTER_MS = 1000;
/** How long a thread that takes over the transfers of another keeps the priority of the main thread. */
const TAKEOVER_MS = 1000;

let warmsUp: NodeJS.Timeout | undefined;

function warmUpLater(): void {
  warmsUp ??= setTimeout(() => {
    // Without a loopback device the thread stays cold.
    warmUp(engine).catch(() => {});
    // The figures of the warm-up are nobody's.
    engine.turnaround = latencyOf(row, 'turnaround');
  }, WARM_UP_AFTER_MS).unref();
}

/** Lowers this thread's priority when it gets its first order. Transfers that it takes over have waited already. */
let yieldOnce = (isResumed: boolean): void => {
  yieldOnce = () => {};
  clearTimeout(warmsUp);
  if (isResumed) setTimeout(yieldToMain, TAKEOVER_MS).unref();
  else yieldToMain();
};

interface Way {
  /** Identifier for waking this thread; -1 for none. */
  readonly name: number;
  /** Resolves when every report has been handed over. */
  emptied(): Promise<void>;
}

/** Takes orders from one ring and writes reports to another. */
function useRings({ orders, reports, wake }: NonNullable<Seat['rings']>): Way {
  const [from, to] = [new RecordRing(orders, ORDERS), new RecordRing(reports, REPORTS)];
  const { wakes } = engine;
  /** Reports that found the ring full, oldest first. */
  const waiting: ReportMessage[] = [];
  let onEmptied = (): void => {};
  const send = (slot: number, report: ReportMessage['report']): boolean => {
    if (!writeReport(to, slot, report)) return false;
    if (to.wakes()) wakes!.ring(wake);
    return true;
  };
  // The main thread is busy, and may share this thread's processor: constant retries would delay it.
  const sendLater = (): void => {
    engine.clock.wake(engine.clock.now() + 1, sendWaiting);
  };
  const sendWaiting = (): void => {
    let sent = 0;
    while (sent < waiting.length && send(waiting[sent]!.slot, waiting[sent]!.report)) sent++;
    waiting.splice(0, sent);
    if (waiting.length > 0) sendLater();
    else onEmptied();
  };
  const ended = (slot: number, report: ReportMessage['report']): void => {
    if (waiting.length === 0 && send(slot, report)) return;
    if (waiting.push({ slot, report }) === 1) sendLater();
  };
  const takeOrders = (most: number): void => {
    from.awake();
    for (let turn = 0, at = from.peek(); at >= 0; at = from.peek()) {
      if (turn++ === most) return wakes!.ring(name);
      const [slot, terms] = [slotOfOrder(from, at), termsOfOrder(from, at)];
      from.release();
      const order = table.read(slot);
      // A transfer is served by the thread that has taken it, and by no other.
      if (order === undefined || !table.cells.take(slot, owner)) continue;
      yieldOnce(terms.isResumed);
      const content = engine.viewAt!(order.place);
      if (terms.isResumed) runner.resume(order, content, terms.unread, ended);
      else runner.start(order, content, ended);
    }
  };
  engine.beforeDelivery = (): void => {
    if (from.unread > 0) takeOrders(Number.POSITIVE_INFINITY);
  };
  const name = wakes!.listen(() => takeOrders(ORDERS_A_TURN));
  return {
    name,
    emptied: () =>
      waiting.length === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            onEmptied = resolve;
          }),
  };
}

function useMessages(port: MessagePort): Way {
  yieldToMain();
  port.on('message', (order: OrderMessage) => {
    runner.start(order, engine.attach(order.content), (slot, report) => {
      port.postMessage({ slot, report } satisfies ReportMessage);
    });
  });
  return { name: -1, emptied: () => Promise.resolve() };
}

export default function run({ seat, rings, port }: Seat): Promise<void> {
  const way = rings === undefined ? useMessages(port!) : useRings(rings);
  return new Promise((resolve) => {
    const channel = new BroadcastChannel(setup.channel);
    channel.onmessage = (event): void => {
      const message = (event as { data: WorkerMessage }).data;
      if (message.kind === 'collect') collectGarbage();
      if (message.kind === 'spare' && message.threadId === threadId) warmUpLater();
      if (message.kind !== 'close' && message.kind !== 'leave') return;
      clearTimeout(warmsUp);
      forgetVitals();
      void (message.kind === 'close' ? runner.close() : runner.leave()).then(async () => {
        await way.emptied();
        port?.close();
        channel.postMessage({ kind: 'closed', threadId } satisfies WorkerMessage);
        resolve();
      });
    };
    channel.unref();
    channel.postMessage({ kind: 'ready', threadId, seat, wake: way.name } satisfies WorkerMessage);
  });
}
