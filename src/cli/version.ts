/** The version of Reveille, from its package. */
import { readFileSync } from 'node:fs';

/** Both src/cli and dist/cli lie two folders below package.json. */
export function readVersion(): string {
  const about: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return typeof about === 'object' && about !== null && 'version' in about ? String(about.version) : 'unknown';
}
