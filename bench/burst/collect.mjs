/**
 * Loaded into each thread of a measured server (`node --import`): on SIGUSR2 every thread collects its garbage as often
 * as in hours of idling. Code that V8 drops then must be compiled again in the next burst.
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
