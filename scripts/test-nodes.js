/**
 * Runs the tests below the server on every Node.js that Reveille supports: `npm run test:nodes [-- VERSION...]`. Both
 * engines pass through one conformance suite there. Each Node.js comes from the npm package `node`. Needs a build.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const VERSIONS = ['20', '22', '24', '26'];
const TESTS = ['test/protocol', 'test/session', 'test/engine', 'test/pool'];
const VITEST = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));

const wanted = process.argv.slice(2);
const unknown = wanted.filter((version) => !/^[1-9][0-9]{0,2}(\.[0-9]+){0,2}$/.test(version));
if (unknown.length > 0) {
  process.stderr.write(`Expected versions of Node such as 24 or 26.4.0, got ${unknown.join(' ')}\n`);
  process.exit(2);
}
let failed = 0;
for (const version of wanted.length > 0 ? wanted : VERSIONS) {
  const ask = ['--yes', '--package', `node@${version}`, '--', 'node', '--print', 'process.execPath'];
  const node = execFileSync('npx', ask, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
  const exact = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  process.stdout.write(`== Node.js ${exact}\n`);
  const { status } = spawnSync(node, [VITEST, 'run', '--reporter=dot', ...TESTS], { stdio: 'inherit' });
  if (!exact.startsWith(`v${version}`) || status !== 0) failed++;
}
process.exitCode = failed === 0 ? 0 : 1;
