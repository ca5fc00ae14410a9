/**
 * The files of the image, in three layers: Debian's, Node.js, and Reveille, which changes most often. Knows paths and
 * owners; nothing of the image's format.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type BuildRecord, layApplication } from '../application.ts';
import { layNode } from '../node.ts';
import { sbomOf } from '../sbom.ts';
import { entriesBelow, type TarEntry } from '../tar.ts';
import { getDebianFiles } from './debian-files.ts';
import { BIND_SERVICE, COMMAND, CONFIG, FILES, NODE, PROGRAM, STORE, USER } from './description.ts';

export interface Layer {
  /** Words for the history of the image. */
  readonly what: string;
  readonly entries: readonly TarEntry[];
}

export interface ImageContents extends BuildRecord {
  readonly layers: readonly Layer[];
  /** Bill of materials (SPDX 2.3, JSON). */
  readonly sbom: string;
}

/** Where engines mount file systems, and the links of Debian's merged layout. */
const SYSTEM: readonly TarEntry[] = [
  ...['dev', 'proc', 'run', 'sys', 'usr/sbin'].map((path) => ({ path })),
  { path: 'tmp', mode: 0o1777 },
  ...['bin', 'lib', 'lib64', 'sbin'].map((path) => ({ path, link: `usr/${path}` })),
  {
    path: 'etc/passwd',
    text: [
      'root:x:0:0:root:/:/usr/sbin/nologin',
      'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin',
      `${USER.name}:x:${USER.id}:${USER.id}:Reveille:${STORE}:/usr/sbin/nologin\n`,
    ].join('\n'),
  },
  { path: 'etc/group', text: `root:x:0:\nnogroup:x:65534:\n${USER.name}:x:${USER.id}:\n` },
  { path: 'etc/nsswitch.conf', text: 'passwd: files\ngroup: files\nhosts: files dns\n' },
  { path: STORE.slice(1), mode: 0o750, owner: USER.id },
  { path: FILES.slice(1) },
];

/** @param folder an empty folder for the files, to which the entries refer. */
export function makeLayers(folder: string): ImageContents {
  const part = (name: string): string => {
    const path = join(folder, name);
    mkdirSync(path);
    return path;
  };
  const debian = getDebianFiles(part('debian'));
  const nodeFolder = part('node');
  const node = layNode(nodeFolder, 'x64');
  const programFolder = part('program');
  const application = layApplication(programFolder, { arch: 'x64', libc: 'glibc' });
  const { version, commit, date } = application;
  const packages = [...debian.packages, node, ...application.packages];
  const sbom = sbomOf({ name: 'reveille-image', version, date, packages });

  const layers: Layer[] = [
    { what: 'Debian: C and C++ libraries, certificates', entries: withFolders([...debian.entries, ...SYSTEM]) },
    {
      what: `Node.js ${node.version}`,
      entries: withFolders([
        { path: NODE.slice(1), file: join(nodeFolder, 'node'), mode: 0o755, capability: BIND_SERVICE },
        { path: 'usr/share/doc/nodejs/copyright', file: join(nodeFolder, 'LICENSE') },
      ]),
    },
    {
      what: `Reveille ${version} (${commit})`,
      entries: withFolders([
        ...programEntries(programFolder),
        { path: COMMAND.slice(1), link: `..${PROGRAM.slice('/usr'.length)}/dist/cli/main.js` },
        { path: CONFIG.slice(1), file: join(import.meta.dirname, 'reveille.yaml') },
        { path: 'usr/share/doc/reveille/sbom.spdx.json', text: sbom },
      ]),
    },
  ];
  return { version, commit, date, layers, sbom };
}

function programEntries(folder: string): TarEntry[] {
  return entriesBelow(folder, PROGRAM.slice(1)).map((entry) => {
    if (entry.path !== `${PROGRAM.slice(1)}/dist/cli/main.js`) return entry;
    // The image has no /usr/bin/env. The flag is that of the systemd unit: docs/operations.md says what it saves.
    const shebang = `#!${NODE} --max-semi-space-size=4`;
    const text = readFileSync(entry.file!, 'utf8').replace(/^#!.*/, shebang);
    return { path: entry.path, text, mode: 0o755 };
  });
}

/** Adds the folders that lead to the entries. @throws {Error} if two entries have one path. */
function withFolders(entries: readonly TarEntry[]): TarEntry[] {
  const found = new Map<string, TarEntry>();
  for (const entry of entries) {
    if (found.has(entry.path)) throw new Error(`${entry.path}: expected one entry of this path`);
    found.set(entry.path, entry);
  }
  for (const { path } of entries) {
    for (let parent = dirname(path); parent !== '.'; parent = dirname(parent)) {
      if (!found.has(parent)) found.set(parent, { path: parent });
    }
  }
  return [...found.values()];
}
