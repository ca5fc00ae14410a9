/** Gets packages of npm's registry through npm, as it is configured here. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs npm in a folder; its messages go to stderr. @returns its output. */
export function npm(folder: string, ...args: readonly string[]): string {
  return execFileSync('npm', [...args], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Calls `use` with a new folder, which is deleted afterwards. */
export function withTemporaryFolder<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'reveille-packaging-'));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Downloads one version of a package into a folder.
 * @param integrity the expected hash of the archive: `sha512-BASE64`.
 * @returns the path of the archive.
 * @throws {Error} if the archive is another one.
 */
export function downloadPackage(folder: string, name: string, version: string, integrity: string): string {
  const said = npm(folder, 'pack', `${name}@${version}`, '--prefer-offline', '--json');
  const [{ filename }] = JSON.parse(said) as [{ filename: string }];
  const archive = join(folder, filename);
  const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
  if (found !== integrity) throw new Error(`${name}@${version}: expected ${integrity}, got ${found}`);
  return archive;
}
