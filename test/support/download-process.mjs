// Many concurrent downloads of one file; each is compared with the file block by block. They run in a separate process,
// so that the clients' memory does not count as the server's.
import { readFileSync } from 'node:fs';
import { fetchFile } from '../../dist/index.js';
import { createEngine } from '../../dist/engine/create.js';

const { server, filename, path, wish } = JSON.parse(process.argv[2]);
const expected = readFileSync(path);
const engine = createEngine('portable');

/** @returns a description of the failure, or undefined after a success. */
async function download() {
  let at = 0;
  let right = true;
  const write = (bytes) => {
    right &&= expected.compare(bytes, 0, bytes.length, at, at + bytes.length) === 0;
    at += bytes.length;
  };
  const result = await fetchFile({ server, filename, mode: 'octet', wish, sink: { write }, engine, lingerMs: 50 });
  const { outcome, errorText, fault, settled } = result;
  if (outcome !== 'complete') return `${outcome} after ${at} bytes: ${errorText} ${fault ?? ''}`;
  if (!right) return 'wrong bytes';
  if (at !== expected.length) return `${at} bytes instead of ${expected.length}`;
  if (settled.blksize !== wish.blksize || settled.windowsize !== wish.windowsize) return 'other options than asked';
  return undefined;
}

async function run(count) {
  const failures = await Promise.all(Array.from({ length: count }, download));
  process.send(failures.filter((failure) => failure !== undefined));
}

process.on('message', (message) => void run(message));
process.send('ready');
