/**
 * A thousand nodes boot through an address that keepalived moves between two servers of a fleet, while a version is
 * published and the server that holds the address is killed: `npm run test:fleet -- [--nodes 1000] [--seconds 30]`.
 * Registry, servers and nodes are in network namespaces. Prints how the boots ended. Exits with 0 if no boot got files of
 * two versions, no byte was wrong, and all nodes that ask again finished. Needs root, ip, keepalived, docker-registry
 * and a build.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fetchFile } from '../src/client/fetch.ts';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const VIP = '198.51.100.1';
const REGISTRY = '198.51.100.250:5000';
const SERVERS = ['198.51.100.11', '198.51.100.12'] as const;
const CLIENTS = '198.51.100.20';
/** Attempts that a node makes at each file, as firmware and loaders do together. */
const ATTEMPTS = 6;
const PATIENCE_MS = 8000;
const KERNEL_BYTES = 50_000;

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '30' },
    role: { type: 'string', default: 'all' },
  },
});
const nodes = Number(values.nodes);
const lengthMs = 1000 * Number(values.seconds);

interface Ends {
  finished: number;
  /** Nodes that asked for a file again. */
  retried: number;
  /** Nodes that never got one of their files, by the reason of the last attempt. */
  failed: Record<string, number>;
  mixed: number;
  wrong: number;
  versions: Record<string, number>;
}

/** Content of a file: its name and version, repeated. */
function contentOf(name: string, version: string): Buffer {
  return Buffer.alloc(name === 'linux' ? KERNEL_BYTES : 2 * KERNEL_BYTES, `${name} of ${version}\n`);
}

/** Fetches a file, in up to ATTEMPTS attempts. @returns its bytes, or why the last attempt failed. */
async function load(filename: string, local: string, onRetry: () => void): Promise<Buffer | string> {
  let reason = '';
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const parts: Buffer[] = [];
    // oxlint-disable-next-line no-await-in-loop -- one attempt after the other.
    const result = await fetchFile({
      server: { address: VIP, port: 69 },
      filename,
      mode: 'octet',
      wish: { blksize: 1400, windowsize: 4 },
      sink: { write: (bytes) => void parts.push(Buffer.from(bytes)) },
      patienceMs: PATIENCE_MS,
      lingerMs: 0,
      local,
    });
    if (result.outcome === 'complete') return Buffer.concat(parts);
    reason = `${filename.split('/').at(-1)}: ${result.outcome} ${result.errorText}`.trim();
    onRetry();
  }
  return reason;
}

async function boot(node: number, ends: Ends): Promise<void> {
  const [high, low] = [node >> 8, node & 255];
  const local = `10.9.${high}.${low}`;
  const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
  let hasRetried = false;
  const onRetry = (): void => {
    hasRetried = true;
  };
  const fail = (reason: string): void => {
    ends.failed[reason] = (ends.failed[reason] ?? 0) + 1;
  };
  const config = await load(`config/52-54-00-00-${hex(high)}-${hex(low)}`, local, onRetry);
  if (typeof config === 'string') return fail(config.replace(/[0-9a-f]{2}(-[0-9a-f]{2})+/, 'config'));
  const found = /^kernel (\S+)\ninitrd (\S+)\n/.exec(config.toString());
  if (found === null) return fail('a config without a version');
  const kernel = await load(found[1]!, local, onRetry);
  if (typeof kernel === 'string') return fail(kernel);
  const initrd = await load(found[2]!, local, onRetry);
  if (typeof initrd === 'string') return fail(initrd);
  const version = /^linux of (\S+)\n/.exec(kernel.toString('latin1', 0, 40))?.[1] ?? '?';
  const other = /^initrd of (\S+)\n/.exec(initrd.toString('latin1', 0, 40))?.[1] ?? '?';
  if (version !== other) ends.mixed++;
  if (!kernel.equals(contentOf('linux', version)) || !initrd.equals(contentOf('initrd', other))) ends.wrong++;
  ends.finished++;
  ends.versions[version] = (ends.versions[version] ?? 0) + 1;
  if (hasRetried) ends.retried++;
}

/** The nodes, in a namespace of theirs: their boots begin at even intervals. */
async function runNodes(): Promise<void> {
  const ends: Ends = { finished: 0, retried: 0, failed: {}, mixed: 0, wrong: 0, versions: {} };
  const boots = Array.from({ length: nodes }, async (_, node) => {
    await delay((node * lengthMs) / nodes);
    await boot(node, ends);
  });
  await Promise.all(boots);
  process.stdout.write(`${JSON.stringify(ends)}\n`);
}

const folder = values.role === 'nodes' ? '' : mkdtempSync(join(tmpdir(), 'reveille-fleet-'));
const tag = `rvf${process.pid}`;
const running: ChildProcess[] = [];

function sh(script: string): void {
  execFileSync('sh', ['-ec', script], { stdio: ['ignore', 'ignore', 'inherit'] });
}

function start(
  namespace: string,
  command: readonly string[],
  stdout: 'ignore' | 'pipe' = 'ignore',
  stderr: 'ignore' | 'inherit' = 'inherit',
): ChildProcess {
  const args = ['netns', 'exec', `${tag}${namespace}`, ...command];
  const child = spawn('ip', args, { stdio: ['ignore', stdout, stderr] });
  running.push(child);
  return child;
}

/** A bridge in one namespace, and a cable from it to each of the others. */
function makeNetwork(): void {
  for (const name of ['r', 'a', 'b', 'c']) sh(`ip netns add ${tag}${name}; ip -n ${tag}${name} link set lo up`);
  sh(`ip -n ${tag}r link add br0 type bridge; ip -n ${tag}r link set br0 up`);
  sh(`ip -n ${tag}r addr add 198.51.100.250/24 dev br0`);
  for (const [name, address] of [
    ['a', SERVERS[0]],
    ['b', SERVERS[1]],
    ['c', CLIENTS],
  ] as const) {
    sh(`ip -n ${tag}r link add v${name} type veth peer name eth0 netns ${tag}${name}
        ip -n ${tag}r link set v${name} master br0 up
        ip -n ${tag}${name} addr add ${address}/24 dev eth0; ip -n ${tag}${name} link set eth0 up`);
    if (name !== 'c') sh(`ip -n ${tag}${name} route add 10.9.0.0/16 via ${CLIENTS}`);
  }
  // Every address of the network is a node's.
  sh(`ip -n ${tag}c route add local 10.9.0.0/16 dev lo`);
}

async function startRegistry(): Promise<void> {
  const config = join(folder, 'registry.yml');
  const data = join(folder, 'registry');
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${data}}}\nhttp: {addr: "${REGISTRY}"}\n`,
  );
  start('r', ['docker-registry', 'serve', config], 'ignore', 'ignore');
}

function release(version: string): void {
  const set = join(folder, 'set');
  mkdirSync(set, { recursive: true });
  for (const name of ['linux', 'initrd']) writeFileSync(join(set, name), contentOf(name, version));
  const store = `--store=${join(folder, 'build')}`;
  execFileSync(process.execPath, [MAIN, 'publish', 'install', set, store]);
  for (const to of [version, 'stable']) {
    const name = `oci+http://${REGISTRY}/boot/install:${to}`;
    execFileSync('ip', ['netns', 'exec', `${tag}r`, process.execPath, MAIN, 'push', 'install', name, store]);
  }
}

async function startServer(namespace: 'a' | 'b'): Promise<ChildProcess> {
  const base = join(folder, namespace);
  mkdirSync(join(base, 'store'), { recursive: true });
  writeFileSync(join(base, 'boot.liquid'), 'kernel {{ bootset.kernel }}\ninitrd {{ bootset.initrd }}\n');
  const config = {
    store: 'store',
    fleet: true,
    follow: [{ channel: 'install', from: `oci+http://${REGISTRY}/boot/install:stable`, every: '1s' }],
    routes: [{ match: 'config/{mac}', template: 'boot.liquid', channel: 'install', unknown: true }],
    listen: ['0.0.0.0:69'],
    admin: '127.0.0.1:6970',
    workers: 1,
  };
  writeFileSync(join(base, 'reveille.yaml'), JSON.stringify(config));
  const server = start(namespace, [process.execPath, MAIN, 'serve', '--config', join(base, 'reveille.yaml')], 'pipe');
  for await (const line of createInterface(server.stdout!)) if (line.includes('the channel follows')) break;
  server.stdout!.resume();
  return server;
}

function startKeepalived(namespace: 'a' | 'b', priority: number): void {
  const file = join(folder, `keepalived-${namespace}.conf`);
  const check = `/usr/bin/curl --silent --fail --max-time 1 http://127.0.0.1:6970/healthz`;
  writeFileSync(
    file,
    `global_defs {\n  enable_script_security\n  script_user root\n}
vrrp_script reveille {\n  script "${check}"\n  interval 1\n  fall 2\n  rise 1\n}
vrrp_instance boot {\n  state BACKUP\n  interface eth0\n  virtual_router_id 69\n  priority ${priority}\n  advert_int 1
  virtual_ipaddress {\n    ${VIP}/24\n  }\n  track_script {\n    reveille\n  }\n}\n`,
  );
  const pids = ['-p', join(folder, `${namespace}.pid`), '-r', join(folder, `${namespace}.vrrp`)];
  start(namespace, ['keepalived', '--dont-fork', '--vrrp', '-f', file, ...pids], 'ignore');
}

async function untilHeld(namespace: string): Promise<void> {
  for (;;) {
    const found = execFileSync('ip', ['-n', `${tag}${namespace}`, 'addr', 'show', 'dev', 'eth0'], { encoding: 'utf8' });
    if (found.includes(` ${VIP}/`)) return;
    // oxlint-disable-next-line no-await-in-loop -- keepalived says nothing when it takes an address.
    await delay(100);
  }
}

async function runAll(): Promise<number> {
  makeNetwork();
  await startRegistry();
  await delay(1000);
  release('v1');
  const [first] = await Promise.all([startServer('a'), startServer('b')]);
  startKeepalived('a', 100);
  startKeepalived('b', 50);
  await untilHeld('a');
  const self = fileURLToPath(import.meta.url);
  const asked = ['--role', 'nodes', '--nodes', String(nodes), '--seconds', values.seconds];
  const client = start('c', [process.execPath, '--import', 'tsx', self, ...asked], 'pipe');
  let text = '';
  client.stdout!.on('data', (piece: Buffer) => {
    text += piece.toString();
  });
  const ended = once(client, 'exit');
  await delay(lengthMs * 0.4);
  release('v2');
  await delay(lengthMs * 0.15);
  first.kill('SIGKILL');
  const killedAt = performance.now();
  await untilHeld('b');
  process.stdout.write(`The address has moved ${Math.round(performance.now() - killedAt)} ms after kill -9\n`);
  await ended;
  const ends = JSON.parse(text) as Ends;
  process.stdout.write(`${JSON.stringify({ nodes, ...ends })}\n`);
  const metrics = execFileSync(
    'ip',
    ['netns', 'exec', `${tag}b`, 'curl', '--silent', 'http://127.0.0.1:6970/metrics'],
    { encoding: 'utf8' },
  );
  const told =
    /^reveille_(?:requests_ignored_total|transfers_total|versions_fetched_total|nodejs_eventloop_lag_p99).* [1-9]/;
  process.stdout.write(
    `${metrics
      .split('\n')
      .filter((line) => told.test(line))
      .join('\n')}\n`,
  );
  const isRight = ends.mixed === 0 && ends.wrong === 0 && ends.finished === nodes;
  const bothBooted = Object.keys(ends.versions).toSorted().join() === 'v1,v2';
  if (!bothBooted) process.stdout.write('Expected boots of both versions\n');
  return isRight && bothBooted ? 0 : 1;
}

if (values.role === 'nodes') await runNodes();
else {
  try {
    process.exitCode = await runAll();
  } finally {
    for (const child of running) child.kill('SIGTERM');
    const alive = running.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    await Promise.all(alive.map((child) => once(child, 'exit')));
    for (const name of ['a', 'b', 'c', 'r']) execFileSync('ip', ['netns', 'delete', `${tag}${name}`]);
    rmSync(folder, { recursive: true, force: true });
  }
}
