/**
 * The entry of a thread that speaks HTTP: connections in, heads and bodies out. Asks the main thread by message which
 * bytes a name stands for; knows no files, no routes and no pins.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { StreamSystem } from '../engine/stream-system.ts';
import { collectGarbage } from '../pool/collect-garbage.ts';
import { yieldToMain } from '../pool/yield-to-main.ts';
import { Connections } from './connections.ts';
import type { ThreadSetup, ToMain, ToThread } from './messages.ts';

const setup = workerData as ThreadSetup;
const main = parentPort!;
const tell = (message: ToMain): void => main.postMessage(message);

yieldToMain();

const hasSystem = setup.listening.every(({ fd }) => fd !== undefined);
const connections = new Connections({ setup, system: hasSystem ? new StreamSystem() : undefined, tell });

main.on('message', (message: ToThread) => {
  switch (message.kind) {
    case 'collect':
      return collectGarbage();
    case 'close':
      return main.close();
    default:
      return connections.take(message);
  }
});

void connections.listen();
