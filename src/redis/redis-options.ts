/** The options of a link from the settings of a fleet. Connects to nothing. */
import type { RedisOptions } from './redis-link.ts';
import { parseRedisAddress } from './redis-url.ts';

export const DEFAULT_PREFIX = 'reveille';

/** The settings that name a Redis. */
export interface RedisSettings {
  readonly pins?: string | undefined;
  readonly pinsPrefix?: string | undefined;
  readonly pinsCaFile?: string | undefined;
  readonly pinsPasswordFile?: string | undefined;
}

/** @returns undefined when `pins` is missing or not an address. */
export function redisOptions(settings: RedisSettings): RedisOptions | undefined {
  const { pins, pinsPrefix: prefix = DEFAULT_PREFIX, pinsCaFile: caFile, pinsPasswordFile: passwordFile } = settings;
  const address = pins === undefined ? undefined : parseRedisAddress(pins);
  return address === undefined ? undefined : { address, prefix, caFile, passwordFile };
}
