/**
 * `npm run release`: writes everything that is published for a version into build/release, with an SBOM and the
 * checksums. Two runs from the same commit give the same bytes.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUILD, readBuild } from './application.ts';
import { changelogFaults } from './changelog.ts';
import { npm, withTemporaryFolder } from './download.ts';
import { ROOT, lockedPackages } from './locked-packages.ts';
import { sbomOf } from './sbom.ts';
import { entriesBelow, gzip, writeTar } from './tar.ts';

const release = join(BUILD, 'release');

/** Scripts of package.json that write packages into the build folder. */
const SCRIPTS = ['image', 'deb'];

function releaseAll(): void {
  // Packages of another version or commit may lie there.
  rmSync(BUILD, { recursive: true, force: true });
  mkdirSync(release, { recursive: true });
  packNpm();
  const { version, commit, date } = readBuild();
  const subject = { name: 'reveille', version, date, packages: lockedPackages() };
  writeFileSync(join(release, `reveille-${version}.spdx.json`), sbomOf(subject));
  for (const script of SCRIPTS) npm(ROOT, 'run', '--silent', script);
  for (const entry of readdirSync(BUILD, { withFileTypes: true })) {
    if (entry.isFile()) copyFileSync(join(BUILD, entry.name), join(release, entry.name));
  }
  writeChecksums();
  process.stdout.write(`${release}: version ${version}, commit ${commit}\n`);
}

/** Builds, and packs the npm package. npm keeps the modes of files, which follow the umask, so it is packed once more. */
function packNpm(): void {
  withTemporaryFolder((folder) => {
    npm(ROOT, 'pack', '--pack-destination', folder, '--loglevel=error');
    const { version, date } = readBuild();
    const name = `reveille-${version}`;
    execFileSync('tar', ['--extract', '--gzip', '--file', `${name}.tgz`], { cwd: folder });
    const tar = join(folder, `${name}.tar`);
    writeTar(tar, entriesBelow(join(folder, 'package'), 'package'), date);
    copyFileSync(gzip(tar), join(release, `${name}.tgz`));
  });
}

/** Writes SHA256SUMS, which `sha256sum --check` reads. */
function writeChecksums(): void {
  const lines = readdirSync(release)
    .toSorted()
    .map(
      (name) =>
        `${createHash('sha256')
          .update(readFileSync(join(release, name)))
          .digest('hex')}  ${name}\n`,
    );
  writeFileSync(join(release, 'SHA256SUMS'), lines.join(''));
}

const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
const faults = changelogFaults(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8'), version);
if (faults.length === 0) {
  releaseAll();
} else {
  process.stderr.write(`${faults.join('\n')}\n`);
  process.exitCode = 1;
}
