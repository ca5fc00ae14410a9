/** Flags over the config file over the defaults, and the root looked at. Knows both origins, and how to name each. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type ConfigFile, readConfig } from './config.ts';
import { showValue } from './escape.ts';
import { errorCode } from './failure.ts';
import { defaultSettings, type Settings } from './settings.ts';
import { UsageError } from './usage-error.ts';

/** What the command line says; undefined: nothing. */
export type Flags = { readonly [K in keyof Settings]?: Settings[K] | undefined };

function given(flags: Flags): Partial<Settings> {
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
}

function checkRoot(root: string | undefined, origin: string): string {
  if (root === undefined) {
    throw new UsageError('serve: expected a directory to serve, got neither ROOT nor "root" in a config file');
  }
  if (root === '') throw new UsageError(`${origin}: expected a directory, got an empty name`);
  const path = resolve(root);
  let found: string;
  try {
    if (statSync(path).isDirectory()) return path;
    found = 'which is not one';
  } catch (error) {
    const code = errorCode(error) ?? 'unreadable';
    found = code === 'ENOENT' ? 'which does not exist' : `which cannot be read (${code})`;
  }
  throw new UsageError(`${origin}: expected a directory, got ${showValue(root)}, ${found}`);
}

/**
 * @param flags from the command line. A relative `root` is relative to the working directory.
 * @param configFile path of the config file, if one is used.
 * @throws UsageError with one line for the first mistake.
 */
export function resolveSettings(flags: Flags, configFile: string | undefined): Settings {
  const config: ConfigFile | undefined = configFile === undefined ? undefined : readConfig(configFile);
  const said = given(flags);
  const origin = said.root !== undefined || config === undefined ? 'ROOT' : `${config.where('root')}: root`;
  const root = checkRoot(said.root ?? config?.values.root, origin);
  return { ...defaultSettings(), ...config?.values, ...said, root };
}
