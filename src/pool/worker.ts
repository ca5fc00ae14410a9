/**
 * The entry of a worker thread. It is loaded once per thread; Piscina then calls the default export for every
 * transfer, thousands at a time. It answers on a broadcast channel as well, because a task can't be addressed to a
 * particular worker and each of them has to close its sockets before its thread is ended.
 */
import { BroadcastChannel, threadId, workerData } from 'node:worker_threads';
import { counterRow } from '../engine/counters.ts';
import { createEngine } from '../engine/create.ts';
import type { TransferReport } from '../engine/report.ts';
import type { TransferOrder } from './pool.ts';
import { StateCells } from './state-cells.ts';
import { noteVitals } from './thread-vitals.ts';
import { type WorkerMessage, type WorkerSetup, claimRow } from './thread-messages.ts';
import { TransferRunner } from './transfer-runner.ts';

const setup = workerData as WorkerSetup;
const row = counterRow(setup.counters, claimRow(setup.rowOwners, threadId));
const runner = new TransferRunner(createEngine(setup.engine, setup.engineOptions), new StateCells(setup.cells), row);
const forgetVitals = noteVitals(row);

const channel = new BroadcastChannel(setup.channel);
channel.onmessage = (event): void => {
  const message = (event as { data: WorkerMessage }).data;
  if (message.kind !== 'close') return;
  forgetVitals();
  void runner.close().then(() => channel.postMessage({ kind: 'closed', threadId } satisfies WorkerMessage));
};
channel.unref();
channel.postMessage({ kind: 'ready', threadId } satisfies WorkerMessage);

export default function run(order: TransferOrder): Promise<TransferReport> {
  return runner.run(order);
}
