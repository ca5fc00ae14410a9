// Checks that take too long for every change; run before a release. Runs all of them, and exits with 1 when any has
// failed.
import { spawnSync } from 'node:child_process';

/** Tests with more rounds where REVEILLE_CAMPAIGN is 1. */
const LONG_ROUNDS = [
  'boot-set/boot/shared-world',
  'boot-set/boot/strangers',
  'boot-set/store/collect-model',
  'boot-set/store/hostile-layout',
  'boot-set/store/kill',
  'check/own-server',
  'cli/storm-silence',
  'clients/clients',
  'config/map-file',
  'daemon/reload',
  'engine/virtual-network',
  'fleet/simulation',
  'grafana/prometheus',
  'load/downloads',
  'load/hostile',
  'page/page',
  'protocol/hostile',
  'registry/debian-registry',
  'render/inventory',
].map((name) => `test/${name}.test.ts`);

const RUNS = [
  {
    what: '2,000 seeds of the storm on virtual time',
    command: 'npx vitest run test/server/storm.test.ts',
    env: { REVEILLE_SEEDS: '2000' },
  },
  {
    what: '10,000 worlds on virtual time in which workers die at any step',
    command: 'npx vitest run test/pool/deaths.test.ts',
    env: { REVEILLE_SEEDS: '10000' },
  },
  {
    what: 'the long rounds of tests: 100 reloads, 16,000 worlds, 1,000 histories of a store, 200 of boots with strangers, 12,000 worlds of servers that share pins, 4,000 map files, 2,000 fleets, 100,000 hostile datagrams, 500 downloads of 16 MiB at once, files of 40 MB for every client, every step of a store killed, every layout planted, a boot set of 100 files and 1 GiB cut in every blob',
    command: `npx vitest run ${LONG_ROUNDS.join(' ')}`,
    env: { REVEILLE_CAMPAIGN: '1' },
  },
  { what: '100,000 transfers on each engine', command: 'npm run --silent test:endurance', env: {} },
  { what: '1,000 nodes boot while the channel moves', command: 'npm run --silent test:mixed', env: {} },
  { what: 'honest nodes in floods of forged requests', command: 'npm run --silent test:flood', env: {} },
  { what: '5,000 nodes, and 1,000 behind one address, boot from cold', command: 'npm run --silent test:cold', env: {} },
  {
    what: '1,000 nodes boot while a worker dies every two seconds',
    command: 'npm run --silent test:deaths',
    env: {},
  },
  {
    what: 'HTTP beside TFTP: slow readers, idle connections, slow senders, 100,000 hostile heads, a storm over both',
    command: 'npm run --silent test:http',
    env: {},
  },
  {
    what: '200 files and one large one that nobody has read, on slow storage',
    command: 'npm run --silent test:disk',
    env: {},
  },
  {
    what: 'all transfers at one port: storms, DNAT, IPVS, stale connection tracking, workers that die',
    command: 'npm run --silent test:port',
    env: {},
  },
  {
    what: '1,000 nodes boot through an address that moves between two servers that follow a registry',
    command: 'npm run --silent test:fleet',
    env: {},
  },
  {
    what: '10 servers with 100 channels and 10,000 pins each follow promotions',
    command: 'npm run --silent test:promotions',
    env: {},
  },
  { what: 'real firmware boots in virtual machines', command: 'npm run --silent test:firmware', env: {} },
];

let failed = 0;
for (const { what, command, env } of RUNS) {
  process.stdout.write(`\n== ${what}: ${command}\n`);
  const begun = performance.now();
  const { status } = spawnSync(command, { shell: true, stdio: 'inherit', env: { ...process.env, ...env } });
  const seconds = Math.round((performance.now() - begun) / 1000);
  process.stdout.write(`== ${status === 0 ? 'passed' : 'FAILED'} after ${seconds} s\n`);
  if (status !== 0) failed++;
}
process.exitCode = failed === 0 ? 0 : 1;
