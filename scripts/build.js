// Builds src into dist. Deletes dist first, so that a file deleted from src does not remain there.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, readFileSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Folders of src with a page: scripts for browsers, compiled with libraries of their own, and the files beside them.
 */
const PAGES = ['page', 'storm/page'];

const root = fileURLToPath(new URL('..', import.meta.url));

function compile(...options) {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', ...options], { cwd: root, stdio: 'inherit' });
}

function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}

/**
 * The commit that is built and its time in seconds: from git, or from commit.txt, which `git archive` fills in. A clone
 * around an unpacked archive says nothing about it.
 */
function commitOf() {
  const archived = /^([0-9a-f]{40}) (\d+)$/m.exec(readFileSync(new URL('commit.txt', import.meta.url), 'utf8'));
  if (archived !== null) return { commit: archived[1].slice(0, 7), date: Number(archived[2]) };
  try {
    if (realpathSync(git('rev-parse', '--show-toplevel')) !== realpathSync(root)) throw new Error('not this folder');
    const [hash, date] = git('log', '--max-count=1', '--format=%H %ct').split(' ');
    const dirty = git('status', '--porcelain') === '' ? '' : '-dirty';
    return { commit: `${hash.slice(0, 7)}${dirty}`, date: Number(date) };
  } catch {
    return { commit: 'unknown', date: 0 };
  }
}

/** Writes the record that `reveille --version` prints and that dates packages. */
function writeBuildRecord() {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const { commit, date } = commitOf();
  const wished = process.env['SOURCE_DATE_EPOCH'];
  if (wished !== undefined && !/^\d{1,10}$/.test(wished))
    throw new Error(`SOURCE_DATE_EPOCH: expected seconds since 1970, got ${wished}`);
  const record = { version, commit, date: wished === undefined ? date : Number(wished) };
  writeFileSync(new URL('../dist/build.json', import.meta.url), `${JSON.stringify(record)}\n`);
}

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
writeBuildRecord();
