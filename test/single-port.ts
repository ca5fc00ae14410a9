/**
 * One port for all transfers, where it is needed: storms with every kind of firmware over TFTP, 500 and 5,000 nodes, on
 * two and four workers; boots through nftables DNAT and through IPVS that forward port 69 alone; a stale connection
 * tracking entry; the conformance check; and workers that die in a storm. Exits with 1 if anything fails, or can't be
 * tried on this kernel.
 *
 *   npm run test:port -- [--only storms|nat|check|death]
 *
 * Needs root, two cores, ip, nft, ipvsadm, curl, a kernel with ip_vs, and a build. Traffic stays on loopback and in
 * network namespaces of the test.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { workerOf } from '../src/engine/linux/single-port/steering.ts';
import type { Address } from '../src/engine/types.ts';
import { ForkedServer } from './support/forked-server.ts';

const MAIN = join(import.meta.dirname, '../dist/cli/main.js');
const ONE_PORT_CLIENT = join(import.meta.dirname, 'support/one-port-client.mjs');
const DEATH_WORKERS = 4;
const TFTP = 'pxe-rom,edk2,shim,pxelinux,lpxelinux,grub,ipxe,u-boot,raspberry-pi,windows,bare';
const FILES: readonly (readonly [name: string, bytes: number])[] = [
  ['loader', 60_000],
  ['config', 300],
  ['kernel', 256 * 1024],
];
const { values } = parseArgs({ options: { only: { type: 'string' } } });
const folder = mkdtempSync(join(tmpdir(), 'reveille-one-port-'));
const root = join(folder, 'root');
mkdirSync(root);
for (const [name, bytes] of FILES) writeFileSync(join(root, name), randomFillSync(Buffer.alloc(bytes)));

let failed = 0;
function report(what: string, isFine: boolean, detail = ''): void {
  if (!isFine) failed++;
  process.stdout.write(`${isFine ? 'passed' : 'FAILED'}  ${what}${detail === '' ? '' : `: ${detail}`}\n`);
}

/** A server in a process of its own, perhaps in a network namespace. */
class Served {
  readonly #process: ChildProcess;
  readonly #listening: Promise<string>;

  constructor(prefix: readonly string[], ...args: readonly string[]) {
    const common = ['serve', root, '--no-admin', '--no-hint', '--engine', 'linux'];
    const [file = '', ...rest] = [...prefix, process.execPath, MAIN, ...common, ...args];
    const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#process = child;
    this.#listening = new Promise((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`The server ended with ${code}`)));
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        const line = /"addresses":\["([^"]+)"/.exec(text);
        if (line !== null) resolve(line[1]!);
      });
    });
  }

  get address(): Promise<string> {
    return this.#listening;
  }

  async end(): Promise<void> {
    this.#process.removeAllListeners('exit');
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }
}

const ONE_PORT = ['--single-port', '--clients', '127.0.0.0/8', '--clients', '10.0.0.0/8'];

async function storms(): Promise<void> {
  for (const workers of [2, 4]) {
    for (const nodes of [500, 5000]) {
      // oxlint-disable-next-line no-await-in-loop -- one storm after the other.
      await storm(workers, nodes);
    }
  }
}

async function storm(workers: number, nodes: number): Promise<void> {
  const server = new Served([], ...ONE_PORT, '--listen', '127.0.0.1:0', '--workers', String(workers));
  const json = join(folder, 'storm.json');
  const files = FILES.flatMap(([name]) => ['--file', name]);
  const args = ['storm', await server.address, '--nodes', String(nodes), '--profile', TFTP, ...files, '--quiet'];
  const child = spawn(process.execPath, [MAIN, ...args, '--verify', root, '--json', json], { stdio: 'ignore' });
  const [code] = (await once(child, 'exit')) as [number | null];
  await server.end();
  const { completed, wrong_bytes, first_reply_ms } = JSON.parse(readFileSync(json, 'utf8')) as {
    completed: number;
    wrong_bytes: number;
    first_reply_ms: { p99: number };
  };
  report(
    `${nodes} nodes with every firmware, ${workers} workers`,
    code === 0 && completed === nodes && wrong_bytes === 0,
    `${completed} booted, ${wrong_bytes} files with wrong bytes, first reply p99 ${first_reply_ms.p99.toFixed(0)} ms`,
  );
}

async function check(): Promise<void> {
  const server = new Served([], ...ONE_PORT, '--listen', '127.0.0.1:0');
  const { status, stdout } = spawnSync(process.execPath, [MAIN, 'check', await server.address, '--file', 'kernel'], {
    encoding: 'utf8',
  });
  await server.end();
  report('reveille check', status === 0, stdout.trim().split('\n').at(-1));
}

/** A node, a router that knows the server as 10.77.1.1, and the server, each in a namespace. */
class Network {
  readonly #names = ['node', 'router', 'server'].map((name) => `reveille-${process.pid}-${name}`);

  constructor() {
    const [node = '', router = '', server = ''] = this.#names;
    for (const name of this.#names) execFileSync('ip', ['netns', 'add', name]);
    execFileSync('sh', [
      '-ec',
      `
      ip link add near netns ${node} type veth peer name near netns ${router}
      ip link add far netns ${router} type veth peer name far netns ${server}`,
    ]);
    this.shell('node', 'ip address add 10.77.1.2/24 dev near; ip link set near up; ip link set lo up');
    this.shell(
      'router',
      `ip address add 10.77.1.1/24 dev near; ip address add 10.77.2.1/24 dev far
      ip link set near up; ip link set far up; ip link set lo up; sysctl -qw net.ipv4.ip_forward=1`,
    );
    this.shell(
      'server',
      `ip address add 10.77.2.2/24 dev far; ip link set far up; ip link set lo up
      ip route add default via 10.77.2.1`,
    );
  }

  prefix(where: 'node' | 'router' | 'server'): readonly string[] {
    return ['ip', 'netns', 'exec', this.#names.find((name) => name.endsWith(where))!];
  }

  shell(where: 'node' | 'router' | 'server', script: string): string {
    const [file = '', ...args] = this.prefix(where);
    return execFileSync(file, [...args, 'sh', '-ec', script], { encoding: 'utf8' });
  }

  /** Fetches a file with curl. @returns true if it arrives whole. */
  fetches(name: string): boolean {
    const [file = '', ...args] = this.prefix('node');
    const curl = ['curl', '--silent', '--max-time', '10', '--tftp-blksize', '1400', `tftp://10.77.1.1/${name}`];
    const { status, stdout } = spawnSync(file, [...args, ...curl], { maxBuffer: 2 ** 24 });
    return status === 0 && stdout.equals(readFileSync(join(root, name)));
  }

  boots(): boolean {
    return FILES.every(([name]) => this.fetches(name));
  }

  /** Fetches all files from one client port. @returns true if they arrive whole. */
  bootsFrom(port: number, ms: number): boolean {
    const [file = '', ...args] = this.prefix('node');
    const names = FILES.map(([name]) => name);
    const command = [process.execPath, ONE_PORT_CLIENT, '10.77.1.1', String(port), String(ms), ...names];
    const { status, stdout } = spawnSync(file, [...args, ...command], { maxBuffer: 2 ** 24 });
    return status === 0 && stdout.equals(Buffer.concat(names.map((name) => readFileSync(join(root, name)))));
  }

  close(): void {
    for (const name of this.#names) execFileSync('ip', ['netns', 'delete', name]);
  }
}

/** Only UDP to port 69 is forwarded to the server, and only answers to it come back. */
function forward(to: string): string {
  return `nft -f - <<'END'
table ip t
delete table ip t
table ip t {
  chain nat {
    type nat hook prerouting priority dstnat
    iifname "near" udp dport 69 dnat to ${to}
  }
  chain filter {
    type filter hook forward priority filter; policy drop
    iifname "near" udp dport 69 accept
    iifname "far" ct direction reply accept
  }
}
END`;
}

async function nat(): Promise<void> {
  const network = new Network();
  const start = (...args: readonly string[]): Served =>
    new Served(network.prefix('server'), '--listen', '0.0.0.0:69', ...args);
  try {
    network.shell('router', forward('10.77.2.2'));
    const usual = start();
    await usual.address;
    report('a port for each transfer does not pass a DNAT for port 69', !network.fetches('config'));
    await usual.end();
    const single = start(...ONE_PORT, '--workers', '2');
    await single.address;
    report('a boot through a DNAT for port 69', network.boots());
    staleEntry(network);
    ipvs(network);
    await single.end();
  } finally {
    network.close();
  }
}

/** An entry that leads to a server that has gone keeps one client port from the next server until it expires. */
function staleEntry(network: Network): void {
  network.shell('router', `sysctl -qw net.netfilter.nf_conntrack_udp_timeout=3; ${forward('10.77.2.99')}`);
  report('no answer from a server that has gone', !network.bootsFrom(2070, 1000));
  network.shell('router', forward('10.77.2.2'));
  report('a client that repeats its request keeps its stale entry', !network.bootsFrom(2070, 4000));
  report('a boot from other ports beside a stale entry', network.boots() && network.bootsFrom(2071, 20_000));
  execFileSync('sleep', ['4']);
  report('a boot from the same port when its stale entry has expired', network.bootsFrom(2070, 20_000));
}

function ipvs(network: Network): void {
  network.shell('router', 'nft delete table ip t; nft add table ip t');
  const [file = '', ...args] = network.prefix('router');
  const rules = `ipvsadm -A -u 10.77.1.1:69 -s sh; ipvsadm -a -u 10.77.1.1:69 -r 10.77.2.2:69 -m
    sysctl -qw net.ipv4.vs.conntrack=1 2>/dev/null || true`;
  const { status, stderr } = spawnSync(file, [...args, 'sh', '-ec', rules], { encoding: 'utf8' });
  const why = `needs a kernel with ip_vs, and ipvsadm: ${stderr.trim().split('\n')[0] ?? ''}`;
  report('a boot through IPVS', status === 0 && network.boots(), status === 0 ? '' : why);
}

/** Returns the worker that a client's packets come to: the kernel's filter has the same formula. */
function workerAt({ address, port }: Address): number {
  const sockaddr = Buffer.from([2, 0, port >> 8, port & 255, ...address.split('.').map(Number)]);
  return workerOf(new Int32Array(Uint8Array.from(sockaddr).buffer), 0, DEATH_WORKERS);
}

/** One of four workers dies after every 400 transfers of a storm: nothing that the others received is lost. */
async function death(): Promise<void> {
  const server = await ForkedServer.start(root, DEATH_WORKERS, 'linux', true);
  const files = Array.from({ length: 8 }, () => ['--file', 'kernel']).flat();
  const args = ['storm', `127.0.0.1:${server.address.port}`, '--nodes', '400', '--profile', 'ipxe', ...files];
  const child = spawn(process.execPath, [MAIN, ...args, '--verify', root, '--quiet'], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  /** For each death, how many transfers had ended before it. */
  const before: number[] = [];
  while (before.length < 5 && child.exitCode === null) {
    // oxlint-disable-next-line no-await-in-loop -- one death after the other.
    await Promise.race([ended, server.ended((before.length + 1) * 400)]);
    if (child.exitCode !== null) break;
    before.push(server.transfers.length);
    // oxlint-disable-next-line no-await-in-loop -- see above.
    await server.crash();
    // oxlint-disable-next-line no-await-in-loop -- its transfers are reported before its death is counted.
    while ((await server.stats()).workersLostTotal < before.length);
  }
  await ended;
  const { packets, workersLostTotal } = await server.stats();
  const faults = server.transfers.filter(({ fault }) => fault !== undefined);
  const others = server.transfers.filter(({ fault, outcome }) => fault === undefined && outcome !== 'complete');
  const dead = before.map((from, index) => {
    const group = server.transfers.slice(from, before[index + 1]).filter(({ fault }) => fault !== undefined);
    return new Set(group.map(({ client }) => workerAt(client)));
  });
  report(
    `${workersLostTotal} deaths of one of ${DEATH_WORKERS} workers`,
    workersLostTotal > 0 && packets.receiveDrops === 0 && others.length === 0 && dead.every(({ size }) => size <= 1),
    `${faults.length} transfers lost with their workers (${dead.map((workers) => [...workers].join('+')).join(', ')}), ` +
      `${others.length} otherwise; ${packets.receiveDrops} datagrams dropped`,
  );
  await server.end();
}

const PARTS: Readonly<Record<string, () => Promise<void>>> = { check, nat, death, storms };

for (const [name, part] of Object.entries(PARTS)) {
  // oxlint-disable-next-line no-await-in-loop -- one part after the other.
  if (values.only === undefined || values.only === name) await part();
}
rmSync(folder, { recursive: true });
process.exitCode = failed === 0 ? 0 : 1;
