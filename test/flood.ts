/**
 * Honest nodes while the server is flooded with forged requests: nodes that have booted recently, and strangers. The
 * test runs in its own network namespace, where ICMP errors from the forged addresses are dropped, as in a network
 * without such hosts. Exits with 1 if a node fails or waits too long.
 *
 *   npm run test:flood -- [--seconds 10] [--rate 6000]
 *
 * Needs root, cc, ip and nft, and a build.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchFile } from '../src/client/fetch.ts';
import { ServedStoreProcess } from './support/served-store.ts';

const KNOWN_P99_MS = 250;
const STRANGER_MS = 5000;
const NODES = 20;
const OPTIONS = ['tsize', '0', 'blksize', '1468', 'windowsize', '4'];

interface Flood {
  readonly name: string;
  /** File name in the forged requests, followed by their options. */
  readonly asked: readonly string[];
  /** File that honest nodes request meanwhile. */
  readonly file: (node: number) => string;
}

const small = (): string => 'small';
const FLOODS: readonly Flood[] = [
  { name: 'plain requests for a kernel', asked: ['kernel'], file: small },
  { name: 'probes of a kernel', asked: ['kernel', ...OPTIONS], file: small },
  { name: 'plain requests for a small file', asked: ['small'], file: small },
  { name: 'requests for a config each', asked: ['cfg/02-50-##-##-##-##'], file: (node) => `cfg/${mac(node)}` },
];

/** MAC of a node; the inventory contains those below {@link NODES}. */
function mac(node: number): string {
  return `52-54-00-00-${(node >> 8).toString(16).padStart(2, '0')}-${(node & 255).toString(16).padStart(2, '0')}`;
}

function writeFiles(folder: string): string {
  const root = join(folder, 'root');
  mkdirSync(root);
  writeFileSync(join(root, 'kernel'), randomFillSync(Buffer.alloc(20 * 2 ** 20)));
  writeFileSync(join(root, 'small'), randomFillSync(Buffer.alloc(300)));
  writeFileSync(join(folder, 'node.liquid'), '{% for i in (1..20) %}line {{ i }} of {{ captures.mac }}\n{% endfor %}');
  const nodes = Array.from({ length: NODES }, (_, node) => `  - { name: node${node}, mac: '${mac(node)}' }\n`);
  writeFileSync(join(folder, 'nodes.yaml'), `nodes:\n${nodes.join('')}`);
  const config = join(folder, 'reveille.yaml');
  const route = '{ match: "cfg/{mac}", template: node.liquid, unknown: true }';
  writeFileSync(config, `root: root\nworkers: 1\ninventory: nodes.yaml\nroutes:\n  - ${route}\n`);
  return config;
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    rate: { type: 'string', default: '6000' },
    inside: { type: 'boolean', default: false },
  },
});

/** Runs this command again in its own network namespace, free of foreign packets. */
function enterNamespace(): number {
  const drop = 'nft add table ip t && nft add chain ip t o "{ type filter hook output priority 0; }"';
  const rule = 'nft add rule ip t o icmp type destination-unreachable drop';
  const script = `ip link set lo up && ${drop} && ${rule} && exec "$@"`;
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1), '--inside'];
  const { status } = spawnSync('unshare', ['--net', 'sh', '-c', script, 'sh', ...command], { stdio: 'inherit' });
  return status ?? 1;
}

/** @returns the duration in milliseconds; Infinity if the transfer failed. */
async function fetchOne(port: number, filename: string, local: string): Promise<number> {
  const begun = performance.now();
  const { outcome } = await fetchFile({
    server: { address: '127.0.0.1', port },
    filename,
    mode: 'octet',
    wish: {},
    local,
    lingerMs: 0,
    sink: { write: () => {} },
  });
  return outcome === 'complete' ? performance.now() - begun : Number.POSITIVE_INFINITY;
}

/** Fetches one file after the other until the time is over. @returns the duration of each fetch, in milliseconds. */
async function fetchUntil(end: number, fetchNext: (turn: number) => Promise<number>): Promise<number[]> {
  const took: number[] = [];
  for (let turn = 0; performance.now() < end; turn++) {
    // oxlint-disable-next-line no-await-in-loop -- a node requests one file after the other.
    took.push(await fetchNext(turn));
  }
  return took;
}

async function main(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'reveille-flood-'));
  const config = writeFiles(folder);
  const flooder = join(folder, 'flood');
  execFileSync('cc', ['-O2', '-o', flooder, join(import.meta.dirname, 'support/flood.c')], { stdio: 'inherit' });
  const server = new ServedStoreProcess(['--config', config]);
  await server.start();
  const { port } = server.address;
  let failed = 0;
  for (const { name, asked, file } of FLOODS) {
    const known = Array.from({ length: NODES }, (_, node) => `127.200.0.${node + 1}`);
    const fetchKnown = (address: string, node: number): Promise<number> => fetchOne(port, file(node), address);
    // oxlint-disable-next-line no-await-in-loop -- one flood after the other.
    await Promise.all(known.map(fetchKnown));
    const flood = spawn(flooder, [String(port), values.rate, values.seconds, ...asked], { stdio: 'inherit' });
    const end = performance.now() + 1000 * Number(values.seconds);
    // oxlint-disable-next-line no-await-in-loop -- see above.
    const [ofKnown, ofStrangers] = await Promise.all([
      Promise.all(known.map((address, node) => fetchUntil(end, () => fetchKnown(address, node)))),
      Promise.all(
        [0, 1, 2, 3].map((row) =>
          fetchUntil(end, (turn) =>
            fetchOne(port, file(NODES + turn), `127.${201 + row}.${(turn >> 8) & 255}.${turn & 255}`),
          ),
        ),
      ),
    ]);
    flood.kill();
    const sorted = ofKnown.flat().toSorted((one, other) => one - other);
    const p99 = sorted[Math.floor(sorted.length * 0.99)]!;
    const slowest = Math.max(...ofStrangers.flat());
    const isBad = p99 > KNOWN_P99_MS || sorted.at(-1) === Number.POSITIVE_INFINITY || slowest > STRANGER_MS;
    if (isBad) failed++;
    process.stdout.write(
      `${name}, ${values.rate}/s: ${sorted.length} fetches of known nodes, p99 ${p99.toFixed(1)} ms, slowest ${sorted.at(-1)!.toFixed(0)} ms; ` +
        `${ofStrangers.flat().length} of strangers, slowest ${slowest.toFixed(0)} ms${isBad ? ': too slow' : ''}\n`,
    );
  }
  await server.end('SIGKILL');
  rmSync(folder, { recursive: true });
  return failed === 0 ? 0 : 1;
}

process.exitCode = values.inside ? await main() : enterNamespace();
