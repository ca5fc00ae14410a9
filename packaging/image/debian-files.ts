/**
 * Gets the files of Debian packages that the image needs, without installing the packages: apt downloads and verifies
 * them, and none of their scripts runs. Uses the sources and keys with which apt is configured here.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { withTemporaryFolder } from '../download.ts';
import type { Package } from '../sbom.ts';
import { entriesBelow, type TarEntry } from '../tar.ts';
import { CERTIFICATES } from './description.ts';

/** The release whose packages the image contains. */
const RELEASE = { ID: 'debian', VERSION_ID: '12' } as const;

/** base-files names the release and holds the licenses; gcc-12-base holds the copyright of the two GCC libraries. */
const PACKAGES = ['base-files', 'ca-certificates', 'gcc-12-base', 'libc6', 'libgcc-s1', 'libstdc++6'] as const;

/** Everything else, such as manuals and character sets that Node.js does not load, stays out. */
const NEEDED =
  /^(?:usr\/lib(?:64)?\/(?!.*\/gconv\/)|usr\/share\/doc\/[^/]+(?:\/copyright)?$|usr\/share\/common-licenses\/|etc\/(?:debian_version|os-release)$)/;

const CERTIFICATE_FOLDER = 'usr/share/ca-certificates/mozilla';

export interface DebianFiles {
  /** Files and links without their folders, in Debian's merged layout: `usr/lib` in place of `lib`. */
  readonly entries: readonly TarEntry[];
  readonly packages: readonly Package[];
}

/**
 * @param folder receives the unpacked packages, to which the entries refer.
 * @throws {Error} if this system is not the release, or apt fails.
 */
export function getDebianFiles(folder: string): DebianFiles {
  checkRelease();
  return withTemporaryFolder((temporary) => {
    const archives = download(temporary);
    const packages: Package[] = [];
    const records: TarEntry[] = [];
    for (const archive of archives) {
      execFileSync('dpkg-deb', ['--extract', archive, folder]);
      const field = (name: string): string => execFileSync('dpkg-deb', ['--field', archive, name]).toString().trim();
      const [name, version, arch] = [field('Package'), field('Version'), field('Architecture')];
      const integrity = `sha256-${createHash('sha256').update(readFileSync(archive)).digest('base64')}`;
      packages.push({ name, version, purl: `pkg:deb/debian/${name}`, qualifiers: `arch=${arch}`, integrity });
      // Scanners of images look here for packages that were not installed with dpkg.
      const text = execFileSync('dpkg-deb', ['--field', archive], { encoding: 'utf8' });
      records.push({ path: `var/lib/dpkg/status.d/${name}`, text });
    }
    const files = entriesBelow(folder, '')
      .filter(({ file, link }) => file !== undefined || link !== undefined)
      .map((entry) => ({ ...entry, path: entry.path.replace(/^lib/, 'usr/lib') }))
      .filter(({ path }) => NEEDED.test(path));
    return { entries: [...files, ...records, { path: CERTIFICATES.slice(1), text: bundle(folder) }], packages };
  });
}

function checkRelease(): void {
  const text = readFileSync('/etc/os-release', 'utf8');
  for (const [key, wanted] of Object.entries(RELEASE)) {
    const found = new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(text)?.[1];
    if (found !== wanted) throw new Error(`/etc/os-release: expected ${key} ${wanted}, got ${found ?? 'none'}`);
  }
}

/** Keeps apt's lists in the folder: they are up to date, and reading them needs no rights. @returns the archives. */
function download(folder: string): string[] {
  for (const name of ['state/lists/partial', 'cache/archives/partial'])
    mkdirSync(join(folder, name), { recursive: true });
  const options = [
    // The image's, which need not be that of this machine.
    'APT::Architecture=amd64',
    'APT::Architectures=amd64',
    `Dir::State=${join(folder, 'state')}`,
    'Dir::State::status=/var/lib/dpkg/status',
    `Dir::Cache=${join(folder, 'cache')}`,
    'Acquire::Languages=none',
    // As root, apt would download as another user, who cannot write to the folder.
    ...(process.getuid?.() === 0 ? ['APT::Sandbox::User=root'] : []),
  ].flatMap((option) => ['--option', option]);
  const apt = (...args: string[]): void => {
    execFileSync('apt-get', ['--quiet=2', ...options, ...args], { cwd: folder, stdio: ['ignore', 2, 2] });
  };
  apt('update');
  apt('download', ...PACKAGES);
  const archives = readdirSync(folder).filter((name) => name.endsWith('.deb'));
  return archives.toSorted().map((name) => join(folder, name));
}

/** @returns all certificates in the order of their names, as `update-ca-certificates` writes them after an installation. */
function bundle(folder: string): string {
  const certificates = join(folder, CERTIFICATE_FOLDER);
  const names = readdirSync(certificates).toSorted();
  return names.map((name) => `${readFileSync(join(certificates, name), 'utf8').trimEnd()}\n`).join('');
}
