/**
 * The flags that name the admin address of a running server, for all commands that ask it. Knows the server's config
 * file; sends nothing.
 */
import type { Command } from 'commander';
import type { Address } from '../engine/types.ts';
import { readConfig } from '../config/config-file.ts';
import { ADMIN_PORT } from '../config/network-settings.ts';
import { defaultOf } from '../config/setting.ts';
import { SETTINGS } from '../config/settings.ts';
import { UsageError } from '../config/usage-error.ts';
import { findServer } from './host-port.ts';

type ConfiguredAdmin = Pick<ReturnType<typeof readConfig>['values'], 'admin' | 'apiToken' | 'apiTokenFile'>;

/** A server that listens on every address is reached on the loopback address. */
function reachable({ address, port }: Address): Address {
  return { address: address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address, port };
}

/** @param file the server's config file; undefined: it has none. @throws UsageError */
export function configuredAdmin(file: string | undefined): ConfiguredAdmin {
  return file === undefined ? {} : readConfig(file).values;
}

/** A flag takes precedence over the server's config, and that over the default. @throws UsageError */
export async function adminAddress(flag: string | undefined, { admin }: ConfiguredAdmin): Promise<Address> {
  if (flag !== undefined) return await findServer(flag, '--admin', ADMIN_PORT);
  const configured = admin ?? defaultOf(SETTINGS.admin);
  if (configured === false) {
    throw new UsageError('--admin: expected an address, because the config has admin: false');
  }
  return reachable(configured);
}

/** Adds a command with the flags that name the server. */
export function adminCommand(program: Command, nameAndArguments: string): Command {
  return program
    .command(nameAndArguments)
    .option('--admin <HOST[:PORT]>', `admin address of the server (default: 127.0.0.1:${ADMIN_PORT})`)
    .option('--config <FILE>', "read the admin address, and the token if one is needed, from the server's config file");
}
