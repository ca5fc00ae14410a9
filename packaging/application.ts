/**
 * Lays the program that all packages run into a folder: the built output, package.json, the files that `reveille init`
 * copies, and the production modules for one platform, never those installed here. Needs a build (`npm run build`).
 */
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { npm, withTemporaryFolder } from './download.ts';
import { ROOT, lockedPackages } from './locked-packages.ts';
import type { Package } from './sbom.ts';

export { ROOT } from './locked-packages.ts';

/** The git-ignored folder that every package is written to. */
export const BUILD = join(ROOT, 'build');

export interface Platform {
  readonly arch: 'x64' | 'arm64';
  readonly libc: 'glibc' | 'musl';
}

/** Origin of a build, from scripts/build-record.js. The build writes it to dist/build.json. */
export interface BuildRecord {
  readonly version: string;
  /** Seven digits of the commit, followed by `-dirty` if the tree differed from it; `unknown` without git. */
  readonly commit: string;
  /** SOURCE_DATE_EPOCH or the time of the commit, seconds since 1970. */
  readonly date: number;
}

export interface Application extends BuildRecord {
  /** The modules in the folder, sorted by path. */
  readonly packages: readonly Package[];
}

/** Files that Node.js or a browser loads. Sources, types, maps and documents of modules stay out. */
const LOADED = /\.(?:js|cjs|mjs|json|node|wasm|css|html|svg|txt)$/;
/** Folders of modules for their own developers: tests, measurements, examples, and hidden ones. */
const DEVELOPMENT =
  /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/@]+\/(?:\.[^/]+|tests?(?:-[^/]+)?|bench(?:mark)?s?|examples|fixtures)\//;
const LICENSE = /^(?:licen[cs]e|copying|copyright|notice)\b/i;

export function readBuild(): BuildRecord {
  try {
    return JSON.parse(readFileSync(join(ROOT, 'dist/build.json'), 'utf8')) as BuildRecord;
  } catch (cause) {
    throw new Error('dist/build.json: expected a build; run `npm run build`', { cause });
  }
}

/** @param folder is created and must be empty. */
export function layApplication(folder: string, platform: Platform): Application {
  const build = readBuild();
  mkdirSync(folder, { recursive: true });
  for (const name of ['package.json', 'LICENSE']) copyFileSync(join(ROOT, name), join(folder, name));
  cpSync(join(ROOT, 'dist'), join(folder, 'dist'), { recursive: true });
  withTemporaryFolder((temporary) => {
    for (const name of ['package.json', 'package-lock.json', '.npmrc'])
      copyFileSync(join(ROOT, name), join(temporary, name));
    const which = [`--os=linux`, `--cpu=${platform.arch}`, `--libc=${platform.libc}`];
    const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
    npm(temporary, 'ci', '--omit=dev', '--ignore-scripts', ...which, ...quiet);
    cpSync(join(temporary, 'node_modules'), join(folder, 'node_modules'), { recursive: true });
  });
  // Links to commands of modules, and npm's own record of what it did.
  for (const name of ['.bin', '.package-lock.json'])
    rmSync(join(folder, 'node_modules', name), { recursive: true, force: true });
  prune(folder, (path) => isNeeded(relative(folder, path), platform));
  cpSync(join(ROOT, 'examples/starter'), join(folder, 'examples/starter'), { recursive: true });
  return { ...build, packages: installedIn(folder) };
}

/** Deletes the files below a folder that are not needed, and folders without files. @returns whether files remain. */
function prune(folder: string, needed: (path: string) => boolean): boolean {
  let remain = false;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() ? prune(path, needed) : needed(path)) remain = true;
    else if (!entry.isDirectory()) rmSync(path);
  }
  if (!remain) rmdirSync(folder);
  return remain;
}

/** @param path relative to the program's folder. @returns whether the platform needs the file. */
export function isNeeded(path: string, { libc }: Platform): boolean {
  const name = basename(path);
  // Pages of modules are their documents, with scripts from elsewhere.
  if (DEVELOPMENT.test(path) || /(?:^|\/)node_modules\/.*\.html$/.test(path)) return false;
  if (!name.endsWith('.node')) return LOADED.test(name) || LICENSE.test(name);
  // `abi115` and `abi127` are Node.js 20 and 22. Node.js 24 loads `napi`.
  if (/\.abi\d+\./.test(name)) return false;
  return /[-._/]musl[-._/]|\/musl_/.test(path) === (libc === 'musl');
}

function installedIn(folder: string): Package[] {
  return lockedPackages().filter(({ path }) => existsSync(join(folder, path, 'package.json')));
}
