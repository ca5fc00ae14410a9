/**
 * A thousand nodes boot in a loop, over TFTP and half of them with kernel and initrd over HTTP, while the channel moves, old versions are collected at once, and the server is ended
 * by SIGTERM and SIGKILL and started again: `npm run test:mixed -- [--nodes 1000] [--seconds 60] [--pause 10] [--engine
 * auto]`. Prints the results. Exits with 0 if every boot got files of one version only and no file was missing. Needs a
 * build.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { BootLoop, type BootCounts, WAYS } from './support/boot-loop.ts';
import { SEED } from './support/content.ts';
import { MovingStore } from './support/moving-store.ts';
import { lastingPort } from './support/ports.ts';
import { ServedStoreProcess } from './support/served-store.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '60' },
    pause: { type: 'string', default: '10' },
    engine: { type: 'string', default: 'auto' },
    'no-restarts': { type: 'boolean', default: false },
  },
});
const nodes = Number(values.nodes);
const lengthMs = 1000 * Number(values.seconds);
const pauseMs = 1000 * Number(values.pause);
/** A pin outlives the longest pause and a restart; versions that no boot uses any more are collected within seconds. */
const pinIdleMs = pauseMs + 15_000;
/** Share of boots that may change their version after a silence; more of them would leave too few to judge. */
const MAX_SILENT = 0.05;

function row(name: string, counts: BootCounts): string {
  const { boots, cut, files, overHttp, retries, stale, silent, failed, missing, wrong, mixed } = counts;
  const cells = [boots, cut, files, overHttp, retries, stale, silent, failed, missing, wrong, mixed];
  return name.padEnd(16) + cells.map((cell) => String(cell).padStart(9)).join('');
}

const folder = await mkdtemp(join(tmpdir(), 'reveille-mixed-'));
const moving = await MovingStore.create({ folder, pinIdleMs, everyMs: 200, collectEveryMs: 1000 });
const http = { address: '127.0.0.1', port: await lastingPort() };
const options = [
  '--http',
  `${http.address}:${http.port}`,
  '--workers',
  '1',
  '--gc-every',
  '0',
  '--drain',
  '2s',
  '--engine',
  values.engine,
];
const server = new ServedStoreProcess(['--store', moving.path, ...options]);
let restarts = 0;

async function restart(signal: NodeJS.Signals): Promise<void> {
  await server.end(signal);
  await server.start();
  restarts++;
}

let ok = false;
try {
  await server.start();
  const loop = new BootLoop({
    nodes,
    seed: SEED,
    pauseMs,
    restMs: 4000,
    server: () => server.address,
    http,
    current: () => moving.state.current,
    pinIdleMs,
  });
  moving.start();
  const boots = loop.run(lengthMs);
  if (!values['no-restarts']) {
    await delay(lengthMs / 3);
    await restart('SIGTERM');
    await delay(lengthMs / 3);
    await restart('SIGKILL');
  }
  await boots;
  const late = await server.metric('reveille_late_pins_total');
  const pins = await server.metric('reveille_pins');
  const { moves, published, collections, collected } = moving.state;
  const { mixed, missing, wrong, failed, silent, boots: whole, overHttp } = loop.total;
  process.stdout.write(
    [
      `${nodes} nodes, ${lengthMs / 1000} s, pauses of ${pauseMs / 1000} s, engine ${values.engine}, seed ${SEED}`,
      `${moves} moves of the channel, ${published} versions published; ${collections} collections, ${collected} versions collected; ${restarts} restarts`,
      `${late} late requests and ${pins} pins since the last restart`,
      '',
      `${'way'.padEnd(16)}${['boots', 'cut', 'files', 'HTTP', 'retries', 'stale', 'silent', 'failed', 'missing', 'wrong', 'mixed'].map((name) => name.padStart(9)).join('')}`,
      ...WAYS.map((way) => row(way, loop.counts[way])),
      row('all', loop.total),
      ...loop.examples,
      ...server.complaints.slice(0, 10),
      '',
    ].join('\n'),
  );
  ok = mixed + missing + wrong + failed === 0 && whole > 0 && overHttp > 0 && silent <= MAX_SILENT * whole;
} finally {
  await server.end('SIGKILL');
  await moving.stop();
  await rm(folder, { recursive: true, force: true });
}
process.exitCode = ok ? 0 : 1;
