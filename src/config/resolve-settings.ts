/**
 * Merges flags, config file and defaults, in this order of precedence, and checks the paths. Knows both origins, and
 * how messages name each.
 */
import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { readToken } from './api-token.ts';
import { type ConfigFile, readConfig } from './config-file.ts';
import { showValue } from '../text/escape.ts';
import { errorCode } from '../text/error-text.ts';
import { checkFile, checkRouteFiles } from './named-files.ts';
import { defaultSettings, SETTINGS, type Settings } from './settings.ts';
import { UsageError } from './usage-error.ts';

/** Settings from the command line; undefined for those not given. */
export type Flags = { readonly [K in keyof Settings]?: Settings[K] | undefined };

function saidBy(flags: Flags): Partial<Settings> {
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
}

/**
 * Checks a directory. A missing or unreadable one is accepted, because its disk may be mounted later.
 *
 * @returns its absolute path.
 */
function checkDirectory(directory: string, origin: string): string {
  const path = resolve(directory);
  let isOther = false;
  try {
    isOther = !statSync(path).isDirectory();
  } catch (error) {
    isOther = errorCode(error) === 'ENOTDIR';
  }
  if (isOther) throw new UsageError(`${origin}: expected a directory, got ${showValue(directory)}, which is not one`);
  return path;
}

/** Checks that HTTPS has its files. @returns their absolute paths. */
function checkTls(
  { https, tlsCertificate, tlsKey }: Settings,
  originOf: (name: keyof Settings) => string,
): Pick<Settings, 'tlsCertificate' | 'tlsKey'> {
  const pathOf = (name: 'tlsCertificate' | 'tlsKey', file: string | undefined): string | undefined => {
    if (file === undefined && https !== undefined) {
      throw new UsageError(`${originOf('https')}: expected ${SETTINGS[name].key} with it, got none`);
    }
    if (file !== undefined) checkFile(resolve(file), file, () => originOf(name));
    return file === undefined ? undefined : resolve(file);
  };
  return { tlsCertificate: pathOf('tlsCertificate', tlsCertificate), tlsKey: pathOf('tlsKey', tlsKey) };
}

/** Checks that a server with one port says whom it serves, and names no other ports. */
function checkSinglePort(
  { singlePort, clients, dataPorts }: Settings,
  originOf: (name: keyof Settings) => string,
): void {
  if (!singlePort) return;
  if (clients.length === 0) {
    throw new UsageError(
      `${originOf('singlePort')}: expected ${SETTINGS.clients.key}, a list of networks, with it, got none`,
    );
  }
  if (dataPorts !== undefined) {
    throw new UsageError(
      `${originOf('dataPorts')}: expected none with ${SETTINGS.singlePort.key}, got ${dataPorts.from}-${dataPorts.to}`,
    );
  }
}

/**
 * Resolves all settings.
 *
 * @param flags settings from the command line. Relative paths are relative to the working directory.
 * @param configFile path of the config file, if one is used.
 * @throws UsageError with one line for the first mistake.
 */
export function resolveSettings(flags: Flags, configFile: string | undefined): Settings {
  const config: ConfigFile | undefined = configFile === undefined ? undefined : readConfig(configFile);
  const said = saidBy(flags);
  const originOf = (name: keyof Settings): string => {
    const { key, spelling = key } = SETTINGS[name];
    return said[name] !== undefined || config === undefined ? spelling : `${config.where(key)}: ${key}`;
  };
  const check = (name: 'root' | 'store'): string | undefined => {
    const directory = said[name] ?? config?.values[name];
    return directory === undefined ? undefined : checkDirectory(directory, originOf(name));
  };
  const root = check('root');
  const store = check('store');
  const given = { ...defaultSettings(), ...config?.values, ...said };
  if (root === undefined && store === undefined && given.routes.length === 0) {
    throw new UsageError(
      'serve: expected a directory to serve, got neither ROOT nor --store nor "root", "store" or "routes" in a config file',
    );
  }
  checkSinglePort(given, originOf);
  if (given.pins !== undefined && store === undefined) {
    throw new UsageError(`${originOf('pins')}: expected a store as well, whose pins are shared`);
  }
  if (given.follow.length > 0 && store === undefined) {
    throw new UsageError(`${originOf('follow')}: expected a store as well, for what the channels follow`);
  }
  if (given.pins === undefined && given.follow.some(({ isPromoted }) => isPromoted)) {
    throw new UsageError(`${originOf('follow')}: expected pins as well, because a channel has "move: promoted"`);
  }
  const inventory = given.inventory === undefined ? undefined : resolve(given.inventory);
  if (inventory !== undefined) checkFile(inventory, given.inventory!, () => originOf('inventory'));
  if (config !== undefined) checkRouteFiles(given.routes, dirname(configFile!), (path) => config.origin(path));
  const trustedRoots = given.trustedRoots.map((directory) => checkDirectory(directory, originOf('trustedRoots')));
  const settings = { ...given, root, store, trustedRoots, inventory, ...checkTls(given, originOf) };
  const { apiToken, apiTokenFile } = settings;
  // A token given directly wins over a token file.
  if (apiToken !== undefined) return { ...settings, apiTokenFile: undefined };
  return apiTokenFile === undefined ? settings : { ...settings, apiToken: readToken(apiTokenFile) };
}
