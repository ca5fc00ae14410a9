/**
 * The clients of the comparison, in a process of their own: many nodes at once, each from its own loopback address,
 * each downloading one file or one after the other, with every byte compared. Prints one line of JSON.
 *
 *   tsx storm.ts PORT NODES FETCHES FILE PATH WISH [WARM_UP_FILE]
 *
 * Nodes are quick because they are many machines. Here they share a core, and code that is compiled as it runs would
 * keep the first of them waiting longer than any server does: with WARM_UP_FILE each node fetches that first, unmeasured; then it says "warm" and waits for a line.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fetchFile } from '../../src/client/fetch.ts';
import { createEngine } from '../../src/engine/create.ts';

const [port = '', nodes = '', fetches = '', file = '', path = '', wish = '', warmUpFile] = process.argv.slice(2);
/** Fetches of each node before it counts. */
const WARM_UP_TURNS = 4;
/** Addresses that the measured nodes do not have. */
const FIRST_TO_WARM_UP = 1 << 20;

const engine = createEngine('linux');
const expected = readFileSync(path);
const firstReplies: number[] = [];
const finishes: number[] = [];
let failed = 0;
let blocks = 0;
let resends = 0;

/** Who asks whom for what. */
function place(node: number) {
  const local = `127.${1 + (node >> 16)}.${(node >> 8) & 255}.${node & 255}`;
  const server = { address: '127.0.0.1', port: Number(port) };
  return { engine, local, shared: node, server, wish: JSON.parse(wish) as object };
}

async function warmUp(filename: string, node: number): Promise<void> {
  for (let turn = 0; turn < WARM_UP_TURNS; turn++) {
    await fetchFile({ ...place(node), filename, mode: 'octet', lingerMs: 0, sink: { write: () => {} } });
  }
}

/** @param node another for each fetch: a server may take a request from a port it knows for an old copy. */
async function fetchOnce(node: number): Promise<void> {
  const asked = performance.now();
  let at = 0;
  let right = true;
  const result = await fetchFile({
    ...place(node),
    filename: file,
    mode: 'octet',
    lingerMs: 0,
    sink: {
      write: (bytes) => {
        if (at === 0) firstReplies.push(performance.now() - asked);
        right &&= expected.compare(bytes, 0, bytes.length, at, at + bytes.length) === 0;
        at += bytes.length;
      },
    },
  });
  finishes.push(performance.now() - asked);
  blocks += result.blocks;
  resends += result.retransmits;
  if (result.outcome !== 'complete' || !right || at !== expected.length) failed++;
}

if (warmUpFile !== undefined) {
  await Promise.all(Array.from({ length: Number(nodes) }, (_, node) => warmUp(warmUpFile, FIRST_TO_WARM_UP + node)));
  process.stdout.write('warm\n');
  await once(process.stdin, 'data');
  process.stdin.destroy();
}
const started = performance.now();
const { user: userBefore, system: systemBefore } = process.cpuUsage();
let begun = 0;
async function runNode(): Promise<void> {
  while (begun < Number(fetches)) await fetchOnce(++begun);
}
await Promise.all(Array.from({ length: Number(nodes) }, runNode));

function percentiles(values: number[]): object {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round(10 * (sorted[Math.ceil(share * sorted.length) - 1] ?? 0)) / 10;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
const { user, system } = process.cpuUsage();
process.stdout.write(
  `${JSON.stringify({
    wallMs: Math.round(performance.now() - started),
    failed,
    blocks,
    resends,
    firstReplyMs: percentiles(firstReplies),
    finishMs: percentiles(finishes),
    clientCpuMs: Math.round((user + system - userBefore - systemBefore) / 1000),
  })}\n`,
);
await engine.close();
