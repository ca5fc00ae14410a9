/** The metadata of the Debian package: control file, changelog, checksums. */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' } as const;

/** Version of Debian's package: `0.1.0-rc.1` sorts before `0.1.0` only with a tilde. */
export function debianVersion(version: string): string {
  return `${version.replace('-', '~')}-1`;
}

export interface Control {
  readonly version: string;
  readonly architecture: string;
  readonly maintainer: string;
  readonly dependencies: readonly string[];
  readonly installedKiB: number;
}

const DESCRIPTION = `TFTP server for booting whole racks at once
 Reveille serves loaders, kernels and initrds over TFTP and HTTP to thousands of
 machines that power up at the same moment. It keeps boot sets in versions, so
 that no boot gets files of two, makes configs for each node, and says why a
 node did not boot.
 .
 The package brings its own Node.js and needs none of the system's.`;

export function controlText({ version, architecture, maintainer, dependencies, installedKiB }: Control): string {
  const fields = {
    Package: 'reveille',
    Version: debianVersion(version),
    Section: 'net',
    Priority: 'optional',
    Architecture: architecture,
    Maintainer: maintainer,
    'Installed-Size': String(installedKiB),
    // procps has /bin/kill, with which the unit reloads. The last two have systemd-sysusers where systemd is not wanted.
    Depends: [...dependencies, 'procps', 'systemd | systemd-standalone-sysusers | systemd-sysusers'].join(', '),
    // For upstreams with HTTPS, and `reveille storm` against such a server.
    Recommends: 'ca-certificates',
    Description: DESCRIPTION,
  };
  return `${Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n')}\n`;
}

/** RFC 5322, as Debian's changelogs have it. */
function changelogDate(seconds: number): string {
  return new Date(seconds * 1000).toUTCString().replace('GMT', '+0000');
}

/**
 * The changelog of the Debian package: an entry for each release in CHANGELOG.md, which has the details.
 * @param date day of the build, seconds since 1970; releases without a day, and the one that is built, have it.
 */
export function changelogText(changelog: string, version: string, maintainer: string, date: number): string {
  const released = [...changelog.matchAll(/^## \[(\d[^\]]*)\](?: - (\d{4}-\d{2}-\d{2}))?/gm)]
    .map(([, name, day]) => ({ name: name!, date: day === undefined ? date : Date.parse(day) / 1000 }))
    .filter(({ name }) => name !== version);
  return [{ name: version, date }, ...released]
    .map(
      (one) =>
        `reveille (${debianVersion(one.name)}) stable; urgency=medium\n\n  * New release: changelog.gz lists the changes.\n\n -- ${maintainer}  ${changelogDate(one.date)}\n`,
    )
    .join('\n');
}

/** Paths of the files below a folder, sorted. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => lstatSync(join(folder, path)).isFile())
    .toSorted();
}

/** The checksums of all files but the conffiles, which the administrator may change. */
export function md5sumsText(root: string, conffiles: readonly string[]): string {
  return filesBelow(root)
    .filter((path) => !path.startsWith('DEBIAN/') && !conffiles.includes(`/${path}`))
    .map(
      (path) =>
        `${createHash('md5')
          .update(readFileSync(join(root, path)))
          .digest('hex')}  ${path}\n`,
    )
    .join('');
}

/** The space that the files take, as dpkg-gencontrol counts it: each file in full KiB, anything else 1. */
export function measureKiB(root: string): number {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => !/^DEBIAN(?:\/|$)/.test(path))
    .map((path) => lstatSync(join(root, path)))
    .reduce((sum, stat) => sum + (stat.isFile() ? Math.ceil(stat.size / 1024) : 1), 0);
}
