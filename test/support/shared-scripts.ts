/** The scripts of shared pins as functions, for the server on virtual time. A test compares them with the Lua. */
import { CLAIM_ADDRESS, OFFER, READ_ADDRESS, TAKE_OVER } from '../../src/boot-set/boot/shared-record.ts';
import { RedisError } from '../../src/redis/redis-error.ts';
import type { Script, VirtualRedis } from './virtual-redis.ts';

const VALUE = /^(\d+) ([0-9a-fA-F]+) (\d+) (.*)$/s;

function timeOf(redis: VirtualRedis): string {
  const [seconds, micros] = redis.execute(['TIME']) as readonly [string, string];
  return String(Number(seconds) * 1000 + Math.floor(Number(micros) / 1000));
}

/** Longest value that servers read. */
const MAX_BYTES = 16_384;

/** @returns an empty text for a value that is too long, or of another type. */
function readIn(redis: VirtualRedis, key: string): string | null {
  try {
    const value = redis.execute(['GET', key]) as string | null;
    return value !== null && value.length > MAX_BYTES ? '' : value;
  } catch (error) {
    if (error instanceof RedisError) return '';
    throw error;
  }
}

const takeOver: Script = (redis, keys, [holder]) => {
  const found = keys.map((key) => {
    const value = readIn(redis, key);
    if (value === null) return null;
    const [, number, former, life, pins] = VALUE.exec(value) ?? [];
    if (life === undefined || number!.length > 15 || life.length > 9 || Number(life) <= 0) return [value, 0];
    const left = redis.execute(['PTTL', key]);
    const taken = former === holder ? value : `${Number(number) + 1} ${holder} ${life} ${pins}`;
    redis.execute(['SET', key, taken, 'PX', life]);
    return [value, left];
  });
  return [timeOf(redis), found];
};

const offer: Script = (redis, keys, args) => {
  const found = keys.map((key, at) => {
    const value = readIn(redis, key);
    const [expected, wanted, life] = args.slice(3 * at, 3 * at + 3);
    if (value !== null && value !== '' && value !== expected && value !== wanted)
      return [value, redis.execute(['PTTL', key])];
    const left = value === wanted ? (redis.execute(['PTTL', key]) as number) : 0;
    redis.execute(['SET', key, wanted!, 'PX', Math.max(Number(life), left)]);
    return 0;
  });
  return [timeOf(redis), found];
};

const claimAddress: Script = (redis, [key], [claim, life]) => {
  const left = redis.execute(['PTTL', key!]) as number;
  if (left < Number(life)) redis.execute(['SET', key!, claim!, 'PX', life!]);
  return 0;
};

const readAddress: Script = (redis, [key]) => [readIn(redis, key!), redis.execute(['PTTL', key!])];

export const SHARED_SCRIPTS: ReadonlyMap<string, Script> = new Map([
  [TAKE_OVER, takeOver],
  [OFFER, offer],
  [CLAIM_ADDRESS, claimAddress],
  [READ_ADDRESS, readAddress],
]);
