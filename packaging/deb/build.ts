/**
 * Builds the Debian package: `npm run deb [-- --arch arm64]`. Needs a build of Reveille and dpkg-deb; nothing of the
 * package is run, so any architecture can be built on any other. The same commit gives the same bytes.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { BUILD, layApplication, readBuild, ROOT } from '../application.ts';
import { withTemporaryFolder } from '../download.ts';
import { layNode } from '../node.ts';
import { sbomOf } from '../sbom.ts';
import { gzip } from '../tar.ts';
import { bashCompletion } from './completion-bash.ts';
import { fishCompletion } from './completion-fish.ts';
import { zshCompletion } from './completion-zsh.ts';
import { type CommandNode, commandLine } from './command-line.ts';
import { ARCHITECTURES, changelogText, controlText, debianVersion, md5sumsText, measureKiB } from './control.ts';
import { copyrightText } from './copyright.ts';
import { libraryDependencies } from './library-dependencies.ts';
import { commandPages } from './man-pages.ts';
import { settingsPage } from './man-settings.ts';
import { packagedUnit } from './unit.ts';

/** Where the program is in the package. */
const PLACE = 'usr/lib/reveille';
const CONFIG_FILE = '/etc/reveille/reveille.yaml';
const DOC = 'usr/share/doc/reveille';
const SCRIPTS = ['postinst', 'prerm', 'postrm'].map((name) => `DEBIAN/${name}`);
const EXECUTABLE = ['usr/bin/reveille', `${PLACE}/bin/node`, ...SCRIPTS];
const FILES = join(import.meta.dirname, 'files');

type Architecture = keyof typeof ARCHITECTURES;

/** Returns the maintainer that the environment names, in the variables that Debian's own tools read. */
function maintainer(): string {
  const { DEBFULLNAME = 'Reveille authors', DEBEMAIL = 'reveille@localhost' } = process.env;
  return `${DEBFULLNAME} <${DEBEMAIL}>`;
}

function write(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function own(name: string): string {
  return readFileSync(join(FILES, name), 'utf8');
}

/** Native modules and Node.js itself. */
function binaries(folder: string): Buffer[] {
  return [
    'bin/node',
    ...readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.node')),
  ].map((path) => readFileSync(join(folder, path)));
}

function layManual(root: string, program: CommandNode, version: string, date: number): void {
  const edition = { version, day: new Date(date * 1000).toISOString().slice(0, 10) };
  for (const { name, text } of [...commandPages(program, edition), settingsPage(edition, CONFIG_FILE)]) {
    const path = `usr/share/man/man${name.at(-1)!}/${name}`;
    write(root, path, text);
    gzip(join(root, path));
  }
  write(root, 'usr/share/bash-completion/completions/reveille', bashCompletion(program));
  write(root, 'usr/share/zsh/vendor-completions/_reveille', zshCompletion(program));
  write(root, 'usr/share/fish/vendor_completions.d/reveille.fish', fishCompletion(program));
}

/** Lays what operators read: documents and examples. */
function layDocuments(root: string): void {
  for (const name of ['docs', 'examples', 'README.md', 'SECURITY.md']) {
    mkdirSync(join(root, DOC), { recursive: true });
    cpSync(join(ROOT, name), join(root, DOC, name), { recursive: true });
  }
  copyFileSync(join(ROOT, 'CHANGELOG.md'), join(root, DOC, 'changelog'));
  gzip(join(root, DOC, 'changelog'));
}

/**
 * Sets all modes and times: dpkg-deb keeps modes, which depend on the umask of whoever cloned the repository, and times
 * before the build's, which a clock that is behind gives.
 */
function setModesAndTimes(root: string, date: number): void {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  for (const entry of entries) chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
  for (const path of EXECUTABLE) chmodSync(join(root, path), 0o755);
  chmodSync(root, 0o755);
  for (const entry of entries) utimesSync(join(entry.parentPath, entry.name), date, date);
  utimesSync(root, date, date);
}

/** Builds the package. @returns the path of the file. */
export async function buildDeb(arch: Architecture): Promise<string> {
  const commands = await commandLine(readBuild().version);
  return withTemporaryFolder((root) => {
    const program = join(root, PLACE);
    const application = layApplication(program, { arch, libc: 'glibc' });
    const node = layNode(join(program, 'bin'), arch);
    const { version, date } = application;
    const architecture = ARCHITECTURES[arch];
    write(root, `${DOC}/copyright`, copyrightText(program, PLACE, application));
    for (const name of ['LICENSE', 'bin/LICENSE']) rmSync(join(program, name));

    write(root, 'usr/bin/reveille', own('reveille'));
    write(root, CONFIG_FILE, own('reveille.yaml'));
    write(root, 'usr/lib/sysusers.d/reveille.conf', own('sysusers.conf'));
    write(
      root,
      'usr/lib/systemd/system/reveille.service',
      packagedUnit(readFileSync(join(ROOT, 'deploy/reveille.service'), 'utf8')),
    );
    write(
      root,
      'usr/share/reveille/reveille.schema.json',
      readFileSync(join(ROOT, 'deploy/reveille.schema.json'), 'utf8'),
    );
    write(
      root,
      'usr/share/lintian/overrides/reveille',
      readFileSync(join(import.meta.dirname, 'lintian-overrides'), 'utf8'),
    );
    const sbom = { name: 'reveille', version, date, packages: [...application.packages, node] };
    write(root, `${DOC}/reveille.spdx.json`, sbomOf(sbom));
    layManual(root, commands, version, date);
    layDocuments(root);
    write(
      root,
      `${DOC}/changelog.Debian`,
      changelogText(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8'), version, maintainer(), date),
    );
    gzip(join(root, DOC, 'changelog.Debian'));

    for (const path of SCRIPTS) write(root, path, own(basename(path)));
    write(root, 'DEBIAN/conffiles', `${CONFIG_FILE}\n`);
    write(root, 'DEBIAN/md5sums', md5sumsText(root, [CONFIG_FILE]));
    const dependencies = libraryDependencies(binaries(program));
    const control = { version, architecture, maintainer: maintainer(), dependencies, installedKiB: measureKiB(root) };
    write(root, 'DEBIAN/control', controlText(control));
    setModesAndTimes(root, date);

    mkdirSync(BUILD, { recursive: true });
    const file = join(BUILD, `reveille_${debianVersion(version)}_${architecture}.deb`);
    // The archive itself has this date. Level 1 takes a sixth of the time of the usual level and a
    // fifth more space; Debian's tools accept no zstd.
    const env = { ...process.env, SOURCE_DATE_EPOCH: String(date) };
    execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '-z1', '--build', root, file], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    return file;
  });
}

const { values } = parseArgs({ options: { arch: { type: 'string', default: 'x64' } } });
if (!(values.arch in ARCHITECTURES))
  throw new Error(`--arch: expected ${Object.keys(ARCHITECTURES).join(' or ')}, got ${values.arch}`);
process.stdout.write(`${await buildDeb(values.arch as Architecture)}\n`);
