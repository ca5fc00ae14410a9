// Builds src into dist. Deletes dist first, so that a file deleted from src does not remain there.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Folders of src with a page: scripts for browsers, compiled with libraries of their own, and the files beside them.
 */
const PAGES = ['page', 'storm/page'];

const root = fileURLToPath(new URL('..', import.meta.url));

function compile(...options) {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', ...options], { cwd: root, stdio: 'inherit' });
}

// It says itself what is wrong.
const record = spawnSync(process.execPath, ['scripts/build-record.js'], {
  cwd: root,
  stdio: ['ignore', 'pipe', 'inherit'],
});
if (record.status !== 0) process.exit(record.status ?? 1);
rmSync(new URL('../dist', import.meta.url), { recursive: true, force: true });
compile('-p', 'tsconfig.build.json');
for (const page of PAGES) {
  const emit = ['--noEmit', 'false', '--allowImportingTsExtensions', 'false', '--rootDir', 'src', '--outDir', 'dist'];
  compile('-p', `src/${page}`, ...emit);
  const folder = new URL(`../src/${page}/`, import.meta.url);
  for (const name of readdirSync(folder)) {
    if (/\.(?:html|css|svg)$/.test(name))
      copyFileSync(new URL(name, folder), new URL(`../dist/${page}/${name}`, import.meta.url));
  }
}
chmodSync(new URL('../dist/cli/main.js', import.meta.url), 0o755);
writeFileSync(new URL('../dist/build.json', import.meta.url), record.stdout);
