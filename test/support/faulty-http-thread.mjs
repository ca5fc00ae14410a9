// The unmodified HTTP thread; a request for a name with `throw` in it throws in the thread a moment later.
import { parentPort } from 'node:worker_threads';

const post = parentPort.postMessage.bind(parentPort);
parentPort.postMessage = (message) => {
  if (message.kind === 'asked' && message.target.includes('throw')) {
    setImmediate(() => {
      throw new Error('Planted fault');
    });
  }
  post(message);
};

await import('../../dist/http/thread.js');
