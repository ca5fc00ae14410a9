/**
 * One port for all transfers, where it is needed: storms with every kind of firmware over TFTP, 500 and 5,000 nodes, on
 * two and four workers; boots through nftables DNAT and through IPVS that forward port 69 alone; a stale connection
 * tracking entry; a NAT that gives one node's port to the next; the conformance check; and workers that die in a storm.
 * Exits with 1 if anything fails, or can't be tried here.
 *
 *   npm run test:port -- [--only storms|nat|ipvs|check|death]
 *
 * Needs root, two cores, Debian's packages in .ci/apt-packages, and a build. The IPVS director is a virtual machine with
 * Debian's kernel, which is downloaded once. Traffic stays on loopback and in network namespaces of the test.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { distribution, provideDistribution } from './support/debian-kernel.ts';
import { Director } from './support/director.ts';
import { ForkedServer } from './support/forked-server.ts';
import { forward, Network, WHOLE } from './support/one-port-network.ts';

const MAIN = join(import.meta.dirname, '../dist/cli/main.js');
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
const contents = new Map(FILES.map(([name, bytes]) => [name, randomFillSync(Buffer.alloc(bytes))]));
for (const [name, content] of contents) writeFileSync(join(root, name), content);

let failed = 0;
function report(what: string, isFine: boolean, detail = ''): void {
  if (!isFine) failed++;
  process.stdout.write(`${isFine ? 'passed' : 'FAILED'}  ${what}${detail === '' ? '' : `: ${detail}`}\n`);
}

function reportBoot(what: string, result: string): void {
  report(what, result === WHOLE, result === WHOLE ? '' : result);
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
      await storm(workers, nodes, 'every firmware', TFTP);
    }
  }
  // Nodes with one port for all files: a late copy of a request for one file must not be answered during the next.
  await storm(4, 3000, 'lpxelinux', 'lpxelinux');
}

async function storm(workers: number, nodes: number, what: string, profile: string): Promise<void> {
  const server = new Served([], ...ONE_PORT, '--listen', '127.0.0.1:0', '--workers', String(workers));
  const json = join(folder, 'storm.json');
  const files = FILES.flatMap(([name]) => ['--file', name]);
  const args = ['storm', await server.address, '--nodes', String(nodes), '--profile', profile, ...files, '--quiet'];
  const child = spawn(process.execPath, [MAIN, ...args, '--verify', root, '--json', json], { stdio: 'ignore' });
  const [code] = (await once(child, 'exit')) as [number | null];
  await server.end();
  const { completed, wrong_bytes, first_reply_ms } = JSON.parse(readFileSync(json, 'utf8')) as {
    completed: number;
    wrong_bytes: number;
    first_reply_ms: { p99: number };
  };
  report(
    `${nodes} nodes with ${what}, ${workers} workers`,
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

/** Starts a server behind the network, and waits until it listens. */
async function serveIn(network: Network, ...args: readonly string[]): Promise<Served> {
  const server = new Served(network.prefix('server'), '--listen', '0.0.0.0:69', ...args);
  await server.address;
  return server;
}

async function nat(): Promise<void> {
  const network = new Network(contents);
  try {
    network.shell('router', forward('10.77.2.2'));
    const usual = await serveIn(network);
    report('a port for each transfer does not pass a DNAT for port 69', !network.fetches('config'));
    await usual.end();
    const single = await serveIn(network, ...ONE_PORT, '--workers', '2');
    report('a boot through a DNAT for port 69', network.boots());
    staleEntry(network);
    reusedPort(network);
    await single.end();
  } finally {
    network.close();
  }
}

/** An entry that leads to a server that has gone keeps one client port from the next server until it expires. */
function staleEntry(network: Network): void {
  network.shell('router', `sysctl -qw net.netfilter.nf_conntrack_udp_timeout=3; ${forward('10.77.2.99')}`);
  report('no answer from a server that has gone', network.bootFrom(2070, 1000).startsWith('0 of'));
  network.shell('router', forward('10.77.2.2'));
  report('a client that repeats its request keeps its stale entry', network.bootFrom(2070, 4000).startsWith('0 of'));
  report('boots from other ports beside a stale entry', network.boots());
  reportBoot('a boot from one other port beside a stale entry', network.bootFrom(2071, 20_000));
  execFileSync('sleep', ['4']);
  reportBoot('a boot from the same port when its stale entry has expired', network.bootFrom(2070, 20_000));
}

/** The NAT has one port for all nodes. It gives the port of a node that has gone silent in a file to the next one. */
function reusedPort(network: Network): void {
  const timeouts = ['timeout', 'timeout_stream'].map((name) => `net.netfilter.nf_conntrack_udp_${name}=1`).join(' ');
  network.shell('router', `sysctl -qw ${timeouts}; ${forward('10.77.2.2', 20_000)}`);
  const isLeft = network.leaves(2080, 'kernel', 10);
  report(
    'a second node gets no port of the NAT while the first has it',
    isLeft && network.bootFrom(2081, 500) !== WHOLE,
  );
  execFileSync('sleep', ['3']);
  reportBoot('a boot from the port at the NAT of a transfer that has stalled', network.bootFrom(2082, 20_000));
}

async function ipvs(): Promise<void> {
  const network = new Network(contents);
  let director: Director | undefined;
  try {
    provideDistribution();
    const addresses = ['10.77.1.1/24', '10.77.2.1/24'] as const;
    director = await Director.start({
      distribution: distribution(),
      prefix: network.prefix('router'),
      folder,
      taps: network.becomeSwitches(),
      addresses,
      server: '10.77.2.2',
    });
    const usual = await serveIn(network);
    report('a port for each transfer does not pass IPVS for port 69', !network.fetches('config'));
    await usual.end();
    const single = await serveIn(network, ...ONE_PORT, '--workers', '2');
    report('boots through IPVS from many ports', network.boots());
    reportBoot('a boot through IPVS from one port', network.bootFrom(2090, 60_000));
    const ports = await director.connections();
    await single.end();
    report('a connection for each port', ports.includes(2090) && ports.length > FILES.length, `${ports.length} ports`);
  } catch (error) {
    report('boots through IPVS', false, error instanceof Error ? error.message : String(error));
  } finally {
    await director?.end();
    network.close();
  }
}

/** One of four workers dies after every 400 transfers of a storm: no transfer is lost. */
async function death(): Promise<void> {
  const server = await ForkedServer.start(root, 4, { engine: 'linux', singlePort: true });
  const files = Array.from({ length: 8 }, () => ['--file', 'kernel']).flat();
  const args = ['storm', `127.0.0.1:${server.address.port}`, '--nodes', '400', '--profile', 'ipxe', ...files];
  const child = spawn(process.execPath, [MAIN, ...args, '--verify', root, '--quiet'], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  let deaths = 0;
  while (deaths < 5 && child.exitCode === null) {
    // oxlint-disable-next-line no-await-in-loop -- one death after the other.
    await Promise.race([ended, server.ended((deaths + 1) * 400)]);
    if (child.exitCode !== null) break;
    // oxlint-disable-next-line no-await-in-loop -- see above.
    await server.crash();
    deaths++;
    // oxlint-disable-next-line no-await-in-loop -- the spare takes the dead worker's place before the next death.
    while ((await server.stats()).workersLostTotal < deaths);
  }
  await ended;
  const { packets, workersLostTotal, transfersResumedTotal } = await server.stats();
  const failures = server.transfers.filter(({ outcome }) => outcome !== 'complete');
  report(
    `${workersLostTotal} deaths of one of 4 workers`,
    transfersResumedTotal > 0 && packets.receiveDrops === 0 && failures.length === 0,
    `${transfersResumedTotal} transfers resumed, ${failures.length} failed; ${packets.receiveDrops} datagrams dropped`,
  );
  await server.end();
}

const PARTS: Readonly<Record<string, () => Promise<void>>> = { check, nat, ipvs, death, storms };

for (const [name, part] of Object.entries(PARTS)) {
  // oxlint-disable-next-line no-await-in-loop -- one part after the other.
  if (values.only === undefined || values.only === name) await part();
}
rmSync(folder, { recursive: true });
process.exitCode = failed === 0 ? 0 : 1;
