/** A render thread that takes its time to load modules, and says so at the end by a file. */
import { writeFileSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

/** See CELL in src/render/jobs.ts. */
const LOADING = 3;

export default function run([{ file }]) {
  const cells = new Int32Array(workerData.cells);
  Atomics.add(cells, LOADING, 1);
  writeFileSync(`${file}.begun`, '');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  writeFileSync(`${file}.loaded`, '');
  Atomics.sub(cells, LOADING, 1);
  return [];
}
