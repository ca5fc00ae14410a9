/** The version of Reveille and the commit that it was built from. */
import { existsSync, readFileSync } from 'node:fs';

interface ProgramVersion {
  readonly version: string;
  /** Undefined if the program runs from src, without a build. */
  readonly commit?: string;
}

/** The build writes build.json into dist. Both src/cli and dist/cli lie two folders below package.json. */
export function readVersion(): ProgramVersion {
  const built = new URL('../build.json', import.meta.url);
  const about = existsSync(built) ? built : new URL('../../package.json', import.meta.url);
  return JSON.parse(readFileSync(about, 'utf8')) as ProgramVersion;
}

/** @returns such as `0.1.0 (abc1234)`. */
export function versionText(): string {
  const { version, commit } = readVersion();
  return commit === undefined ? version : `${version} (${commit})`;
}
