/**
 * The common part of the commands on a fleet: the flags that name its Redis, reaching it, and the form of a failure.
 * Knows the command line; src/fleet does the work.
 */
import type { Command } from 'commander';
import { readConfig } from '../../config/config-file.ts';
import { flag } from '../../config/flag.ts';
import { keyPrefix } from '../../config/value-kind.ts';
import { type ExitCode, UsageError } from '../../config/usage-error.ts';
import { FleetBoard } from '../../fleet/fleet-board.ts';
import { FleetError } from '../../fleet/promotion-plan.ts';
import { openRedis, type RedisLink, type RedisOptions } from '../../redis/redis-link.ts';
import { redisOptions, type RedisSettings } from '../../redis/redis-options.ts';
import { EXPECTED_ADDRESS } from '../../redis/redis-url.ts';
import { escapeLine } from '../../text/escape.ts';
import { print, type VerbContext, type VerbResult } from '../store/store-verb.ts';

/** Longest wait for Redis to be reached, and for each of its answers. */
const PATIENCE_MS = 10_000;
/** Time for further attempts to reach Redis after the first one has failed. */
const RETRIES_MS = 1500;
/** Interval between two looks at the connection. */
const LOOK_MS = 10;

export interface FleetFlags {
  readonly config?: string;
  readonly pins?: string;
  readonly pinsPrefix?: string;
  readonly pinsCaFile?: string;
  readonly pinsPasswordFile?: string;
  readonly json?: boolean;
}

/** The arguments of a command's work. */
export interface Fleet {
  readonly board: FleetBoard;
  /** Prefix of the keys, for messages. */
  readonly prefix: string;
  /** Aborted when the process gets SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
}

/** Adds a command with the flags that all commands on a fleet share. */
export function fleetCommand(program: Command, nameAndArguments: string): Command {
  return program
    .command(nameAndArguments)
    .option('--config <FILE>', "read the settings below from a server's config file")
    .option('--pins <URL>', 'Redis of the fleet, such as redis://192.0.2.5')
    .option('--pins-prefix <NAME>', 'prefix of the keys in Redis (default: reveille)', flag('--pins-prefix', keyPrefix))
    .option('--pins-ca-file <FILE>', "certificate authorities of Redis, in PEM (default: the system's)")
    .option('--pins-password-file <FILE>', 'file with the password of Redis')
    .option('--json', 'print one JSON document');
}

/** Flags take precedence over the config file. @throws UsageError when neither names a Redis. */
function optionsOf(flags: FleetFlags): RedisOptions {
  const { config, pins, pinsPrefix, pinsCaFile, pinsPasswordFile } = flags;
  const values: RedisSettings = config === undefined ? {} : readConfig(config).values;
  const options = redisOptions({
    pins: pins ?? values.pins,
    pinsPrefix: pinsPrefix ?? values.pinsPrefix,
    pinsCaFile: pinsCaFile ?? values.pinsCaFile,
    pinsPasswordFile: pinsPasswordFile ?? values.pinsPasswordFile,
  });
  if (options !== undefined) return options;
  const where = pins === undefined && config !== undefined ? `${escapeLine(config)}: pins` : '--pins';
  // The value is not shown: it may hold a password.
  throw new UsageError(
    `${where}: expected ${EXPECTED_ADDRESS}, got ${pins === undefined ? 'nothing' : 'something else'}`,
  );
}

/** Resolves once the link is up. @throws FleetError with the reason why it is not. */
async function reached(link: RedisLink, signal: AbortSignal): Promise<void> {
  let until = performance.now() + PATIENCE_MS;
  let hasFailed = false;
  while (link.state === 'down') {
    if (link.trouble !== undefined && !hasFailed) {
      hasFailed = true;
      until = performance.now() + RETRIES_MS;
    }
    if (signal.aborted || performance.now() >= until) {
      throw new FleetError(`Redis: ${link.trouble ?? `no answer within ${PATIENCE_MS} ms`}`, false);
    }
    // oxlint-disable-next-line no-await-in-loop -- one look after the other.
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/**
 * Reaches Redis, does the work and prints the result.
 *
 * @throws UsageError for a mistake in the request, FleetError or RedisError for a failure: one line.
 */
export async function runFleetVerb(
  context: VerbContext,
  flags: FleetFlags,
  work: (fleet: Fleet) => Promise<VerbResult>,
): Promise<ExitCode> {
  const options = optionsOf(flags);
  const abort = new AbortController();
  context.interrupts.on('signal', () => abort.abort());
  const link = openRedis(options);
  try {
    await reached(link, abort.signal);
    const board = new FleetBoard(link, PATIENCE_MS);
    return print(context, await work({ board, prefix: options.prefix, signal: abort.signal }), flags.json === true);
  } catch (error) {
    if (error instanceof FleetError && error.isMistake) throw new UsageError(escapeLine(error.message));
    throw error;
  } finally {
    await link.close();
  }
}
