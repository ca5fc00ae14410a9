/** Reads the packages that Reveille needs at run time from package-lock.json. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Package, npmPurl } from './sbom.ts';

export const ROOT = join(import.meta.dirname, '..');

export interface LockedPackage extends Package {
  /** Folder in the program: `node_modules/…`. */
  readonly path: string;
  readonly license: string;
}

interface Lock {
  readonly packages: Readonly<Record<string, LockEntry>>;
}

interface LockEntry {
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly os?: readonly string[];
}

/** @returns the packages for Linux on any architecture, those for development left out, sorted by path. */
export function lockedPackages(): LockedPackage[] {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock;
  return Object.entries(lock.packages)
    .filter(([path, { dev, os }]) => path !== '' && dev !== true && (os === undefined || os.includes('linux')))
    .map(([path, { version, license, integrity }]) => {
      if (license === undefined) throw new Error(`package-lock.json: ${path} states no license`);
      const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
      return { path, name, version, license, integrity, purl: npmPurl(name) };
    });
}
