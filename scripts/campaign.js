// Checks that take too long for every change; run before a release. Runs all of them, and exits with 1 when any has
// failed.
import { spawnSync } from 'node:child_process';

const RUNS = [
  {
    what: '2,000 seeds of the storm on virtual time',
    command: 'npx vitest run test/server/storm.test.ts',
    env: { REVEILLE_SEEDS: '2000' },
  },
  {
    what: '100 reloads, 1,000 histories of a store, 100,000 hostile datagrams, 500 downloads of 16 MiB at once',
    command:
      'npx vitest run test/daemon/reload.test.ts test/boot-set/store/collect-model.test.ts test/load/hostile.test.ts test/load/downloads.test.ts',
    env: { REVEILLE_CAMPAIGN: '1' },
  },
  { what: '100,000 transfers on each engine', command: 'npm run --silent test:endurance', env: {} },
  { what: '1,000 nodes boot while the channel moves', command: 'npm run --silent test:mixed', env: {} },
  { what: 'honest nodes in floods of forged requests', command: 'npm run --silent test:flood', env: {} },
  { what: '5,000 nodes, and 1,000 behind one address, boot from cold', command: 'npm run --silent test:cold', env: {} },
  {
    what: '200 files and one large one that nobody has read, on slow storage',
    command: 'npm run --silent test:disk',
    env: {},
  },
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
