/**
 * Racks boot from cold: a server that has just started, knows no address and has all limits at their defaults. In one
 * run, 5,000 nodes from 20 networks request files at the same moment; in another, 1,000 nodes behind one address. Each
 * node fetches three files, and every byte is compared. Exits with 1 if a node fails.
 *
 *   npm run test:cold -- [--nodes 5000] [--behind 1000]
 *
 * Needs Linux with two cores, cc and a build. Traffic stays on loopback.
 */
import { randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runStorm, type Storm } from '../bench/peers/run-storm.ts';
import { readCounts, unansweredBetween } from '../src/storm/unanswered.ts';
import { ServedStoreProcess } from './support/served-store.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '5000' },
    behind: { type: 'string', default: '1000' },
  },
});

const FILES: readonly (readonly [name: string, bytes: number])[] = [
  ['loader', 60_000],
  ['config', 300],
  ['kernel', 256 * 1024],
];
const SHARED = '127.200.0.1';
/** Number of addresses in a /24. */
const NETWORK = 256;

/** Requests that the server has left unanswered since its start, by reason. */
async function leftUnanswered(server: ServedStoreProcess): Promise<string[]> {
  const counts = readCounts(await (await fetch(`${server.admin}/metrics`)).text())!;
  const none = { startedAt: counts.startedAt, byReason: new Map<string, number>() };
  return unansweredBetween(none, counts)!.map(({ reason, count, what }) => `${count} × ${reason}: ${what}`);
}

/** @returns true if every node has booted. */
async function boot(root: string, what: string, storm: Pick<Storm, 'nodes' | 'shared'>): Promise<boolean> {
  const server = new ServedStoreProcess([root, '--workers', '1', '--shared-networks', `${SHARED}/32`]);
  await server.start();
  try {
    const [file = '', ...next] = FILES.map(([name]) => name);
    const { nodes } = storm;
    const result = await runStorm(root, server.address.port, {
      ...storm,
      fetches: nodes,
      file,
      next,
      wish: { blksize: 1468 },
    });
    const { firstReplyMs, finishMs, resends, failed } = result;
    process.stdout.write(
      `${what}: first reply p50 ${firstReplyMs.p50} ms, p99 ${firstReplyMs.p99} ms; finish p50 ${finishMs.p50} ms, p99 ${finishMs.p99} ms; ` +
        `${resends} resends, ${failed} failed\n`,
    );
    for (const line of await leftUnanswered(server)) process.stdout.write(`  ${line}\n`);
    for (const complaint of server.complaints.slice(0, 10)) process.stdout.write(`  ${complaint}\n`);
    return failed === 0;
  } finally {
    await server.end('SIGKILL');
  }
}

async function main(): Promise<number> {
  const root = mkdtempSync(join(tmpdir(), 'reveille-cold-'));
  try {
    for (const [name, bytes] of FILES) writeFileSync(join(root, name), randomFillSync(Buffer.alloc(bytes)));
    const nodes = Number(values.nodes);
    const behind = Number(values.behind);
    const networks = Math.ceil(nodes / NETWORK);
    const apart = await boot(root, `${nodes} nodes of ${networks} networks`, { nodes });
    const together = await boot(root, `${behind} nodes behind one address`, { nodes: behind, shared: SHARED });
    return apart && together ? 0 : 1;
  } finally {
    rmSync(root, { recursive: true });
  }
}

process.exitCode = await main();
