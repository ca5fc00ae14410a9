// Changes a store in a separate process, so that a test can kill it midway. Runs the build.
//
//     node store-process.mjs '{"store":…,"verb":…,"killAt":N,"holdAt":STEP}'
//
// killAt: the process kills itself with SIGKILL at the Nth step that another process could see. holdAt: it halts at
// that step until it is continued or killed. Prints the number of steps at its end.
import { readSync, writeSync } from 'node:fs';
import { rollback } from '../../dist/boot-set/store/channel-changes.js';
import { collect } from '../../dist/boot-set/store/collect.js';
import { publish } from '../../dist/boot-set/store/publish.js';
import { openStore } from '../../dist/boot-set/store/store.js';
import { pull } from '../../dist/registry/pull.js';
import { parseReference } from '../../dist/registry/reference.js';

const { store: path, verb, killAt, holdAt, channel, paths, from, times = 1 } = JSON.parse(process.argv[2]);
let steps = 0;

function onStep(step) {
  steps++;
  if (steps === killAt) process.kill(process.pid, 'SIGKILL');
  if (step !== holdAt) return;
  writeSync(1, `at ${step}\n`);
  // The synchronous read blocks the whole process, and keeps the lock if the step holds it.
  readSync(0, Buffer.alloc(1));
}

const store = await openStore({ path, onStep });
for (let time = 0; time < times; time++) {
  if (verb === 'publish') await publish(store, { channel, paths: [paths[time % paths.length]] });
  if (verb === 'pull') await pull(store, { reference: parseReference(from), channel, standing: 'current' });
  if (verb === 'rollback') {
    await store.change((tables) => rollback(tables, channel));
    await store.flushed();
  }
  if (verb === 'gc') await collect(store, { graceMs: 0 });
}
await store.close();
writeSync(1, `steps ${steps}\n`);
