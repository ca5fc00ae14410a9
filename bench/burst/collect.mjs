/**
 * Loaded into a server that is measured (`node --import`), in each of its threads: on SIGUSR2 every thread collects its
 * garbage as often as it would in hours of quiet. What V8 forgets then, it has to compile in the next burst.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

const COLLECTIONS = 10;

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');
const channel = new BroadcastChannel('collect');
const collect = () => {
  for (let count = 0; count < COLLECTIONS; count++) gc();
};
channel.onmessage = collect;
channel.unref();
if (isMainThread) {
  process.on('SIGUSR2', () => {
    channel.postMessage('collect');
    collect();
  });
}
