/**
 * Tries the npm package: `tsx test/packaging/npm.ts RELEASE`, where RELEASE is the folder that `npm run release` wrote.
 * It looks at what the package contains, installs it without install scripts, runs it with npx and as it is installed,
 * and checks that every native module has its file for each platform. Needs npm's registry, curl and atftp.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Platform, layApplication } from '../../packaging/application.ts';
import { npm, withTemporaryFolder } from '../../packaging/download.ts';
import { check, fetchFiles, type Listening, Trial, writeFiles } from './trial.ts';

const STARTS = 5;
/** Bound of the CPU time until a server listens: on a busy machine, the clock says nothing about the server. */
const START_CPU_MS = 1500;
const FLAGS = ['--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', '--no-admin'];

/** Paths in the package that somebody needs: the programs, what they load, types, and documents for operators. */
const WANTED = [
  'dist/cli/main.js',
  'dist/build.json',
  'dist/pool/worker.js',
  'dist/page/index.html',
  'dist/storm/page/app.js',
  'dist/index.d.ts',
  'README.md',
  'LICENSE',
  'CHANGELOG.md',
  'SECURITY.md',
  'docs/operations.md',
  'docs/licenses.md',
  'deploy/reveille.service',
];
const UNWANTED = /^(?:test|bench|src|scripts|packaging|build|\.ci)\/|\.test\.|\.map$/;

/** Native modules that every platform must have. msgpackr-extract only speeds up lmdb, and has no file for one platform. */
const NATIVE = ['koffi.node', 'node.napi.'];
const MACHINE = { x64: 62, arm64: 183 };

function demand(holds: boolean, fault: string): void {
  if (!holds) throw new Error(fault);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function contents(archive: string): void {
  const said = execFileSync('tar', ['--list', '--gzip', '--file', archive], { encoding: 'utf8' });
  const paths = said
    .trimEnd()
    .split('\n')
    .map((path) => path.replace(/^package\//, ''));
  const missing = WANTED.filter((path) => !paths.includes(path));
  demand(missing.length === 0, `Not in the package: ${missing.join(', ')}`);
  const unwanted = paths.filter((path) => UNWANTED.test(path));
  demand(unwanted.length === 0, `Not to be in the package: ${unwanted.join(', ')}`);
}

/** Installs the package without running install scripts. @returns the path of the reveille command. */
function install(archive: string, folder: string): string {
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{}');
  npm(folder, 'install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', archive);
  return join(folder, 'node_modules/.bin/reveille');
}

function checkListening({ engine, startedMs }: Listening, command: string): void {
  demand(engine === 'linux', `${command}: expected the Linux engine, got ${engine}`);
  say(`${command}: listens after ${Math.round(startedMs)} ms`);
}

async function withNpx(archive: string, files: string, scratch: string): Promise<void> {
  const command = ['npx', '--yes', '--package', archive, 'reveille', 'serve', files, ...FLAGS];
  const { trial, listening } = await Trial.start(command, { npm_config_ignore_scripts: 'true' });
  try {
    checkListening(listening, 'npx');
    fetchFiles(listening, files, scratch);
  } finally {
    await trial.stop();
  }
}

async function installed(reveille: string, files: string, scratch: string): Promise<void> {
  const times: number[] = [];
  const cpu: number[] = [];
  for (let start = 1; start <= STARTS; start++) {
    // oxlint-disable-next-line no-await-in-loop -- starts at the same time would slow each other down.
    const { trial, listening } = await Trial.start([reveille, 'serve', files, ...FLAGS]);
    try {
      times.push(listening.startedMs);
      cpu.push(trial.cpuMs());
      if (start === STARTS) {
        const { rss, pss } = trial.memory();
        say(`idle memory: RSS ${Math.round(rss / 1024)} MiB, PSS ${Math.round(pss / 1024)} MiB`);
        checkListening(listening, reveille);
        fetchFiles(listening, files, scratch);
        check([reveille], listening, files);
      }
    } finally {
      // oxlint-disable-next-line no-await-in-loop -- one server after the other.
      await trial.stop();
    }
  }
  const sorted = (values: readonly number[]): string =>
    values
      .toSorted((a, b) => a - b)
      .map(Math.round)
      .join(', ');
  say(`listens after ${sorted(times)} ms, and ${sorted(cpu)} ms of CPU`);
  demand(Math.min(...cpu) <= START_CPU_MS, `expected a server to listen within ${START_CPU_MS} ms of CPU`);
}

/** Checks the files of native modules for a platform, by their ELF headers and the C library that they name. */
function nativeModules(folder: string, { arch, libc }: Platform): void {
  layApplication(folder, { arch, libc });
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.node'));
  for (const path of files) {
    const bytes = readFileSync(join(folder, path));
    const machine = bytes.readUInt16LE(18);
    const isGlibc = bytes.includes('libc.so.6');
    demand(machine === MACHINE[arch], `${path}: expected a file for ${arch}, got one for machine ${machine}`);
    demand(isGlibc === (libc === 'glibc'), `${path}: expected a file for ${libc}`);
  }
  demand(existsSync(join(folder, 'examples/starter/reveille.yaml')), 'no files for reveille init');
  const names = files.map((path) => path.slice(path.lastIndexOf('/') + 1));
  const missing = NATIVE.filter((start) => !names.some((name) => name.startsWith(start)));
  demand(missing.length === 0, `${arch}, ${libc}: no ${missing.join(', ')}`);
  say(`${arch}, ${libc}: ${files.length} native modules`);
}

const release = process.argv[2];
if (release === undefined) throw new Error('expected the folder of a release');
const archive = resolve(release, readdirSync(release).find((name) => name.endsWith('.tgz'))!);
contents(archive);
const folder = mkdtempSync(join(tmpdir(), 'reveille-npm-'));
try {
  const files = join(folder, 'files');
  const scratch = join(folder, 'scratch');
  writeFiles(files);
  const reveille = install(archive, join(folder, 'app'));
  const rack = join(folder, 'rack');
  execFileSync(reveille, ['init', rack]);
  execFileSync(reveille, ['validate', '--config', join(rack, 'reveille.yaml')]);
  await withNpx(archive, files, scratch);
  await installed(reveille, files, scratch);
} finally {
  rmSync(folder, { recursive: true });
}
for (const arch of ['x64', 'arm64'] as const) {
  for (const libc of ['glibc', 'musl'] as const) {
    withTemporaryFolder((temporary) => nativeModules(join(temporary, 'app'), { arch, libc }));
  }
}
