/**
 * The form of pins and addresses that servers share through a Valkey or Redis server, and the scripts that change them.
 * Anyone with access to it may have written anything, so every field is checked. Knows no table and no connection.
 *
 * A value is `NUMBER HOLDER LIFE PINS`. NUMBER grows with each change, so a server sees whether a value is newer or
 * older than the one it knows; HOLDER is the server that answered the node last; LIFE is the key's time to live in
 * milliseconds after each use, so the age of the last use follows from the engine's clock alone.
 */
import { isIP } from 'node:net';
import { isDigest } from '../store/layout.ts';
import { MAX_CHANNEL_NAME } from '../store/channel-name.ts';
import type { NodeId } from '../node/node-identity.ts';

/** A pin as servers share it: numbers of versions differ between stores, digests of manifests do not. */
export interface SharedPin {
  readonly channel: string;
  readonly digest: string;
  readonly stage: 0 | 1;
  /** When the boot began by the engine's clock, which all servers know, ms. */
  readonly createdAt: number;
  readonly address: string;
  readonly provisional: boolean;
}

/** All pins of one node at one address. */
export interface SharedNode {
  /** Address of the last request; empty without pins. */
  readonly address: string;
  readonly pins: readonly SharedPin[];
}

export interface SharedValue {
  /** The value as it is stored. */
  readonly text: string;
  readonly number: number;
  readonly holder: string;
  readonly lifeMs: number;
  /** The part that says which pins. */
  readonly pins: string;
  /** Time since the node's last request to any server, ms. */
  readonly usedAgoMs: number;
}

/**
 * Bytes of a value that are read.
 * @limit Size of a node's shared pins. Shows: `reveille_shared_pins_refused_total`.
 */
const MAX_TEXT_BYTES = 16_384;
/** @limit Channels in a node's shared pins: those that it has acknowledged a file of first, then the last used. Shows: `reveille_shared_pins_refused_total`. */
export const MAX_CHANNELS = 32;
/** @limit Time after its last use for which a shared pin is kept. */
const SHARED_LIFE_MS = 24 * 3_600_000;
/** @limit Time for which a shared pin is kept while nobody has acknowledged a file under it. */
const PROVISIONAL_LIFE_MS = 60_000;
/** @limit Time for which servers know that a node's pins are over. */
export const OVER_LIFE_MS = 15 * 60_000;
/** @limit Time after its last use for which the node of an address is shared. */
export const ADDRESS_SHARED_MS = 2 * 3_600_000;

const VALUE = /^([0-9]{1,15}) ([0-9a-f]{8,32}) ([1-9][0-9]{0,8}) (.*)$/s;
/** Pins of a node that boots nothing. */
export const NO_PINS = '["",[]]';
const CLAIM = /^[+=] (?:mac|uuid|serial):[0-9a-f:-]{4,64}(?: (?:mac|uuid|serial):[0-9a-f:-]{4,64}){0,2}$/;
/** The node of an address is unknown: a boot has begun there without a name. */
export const DOUBTED = '?';

/**
 * Reads a value: one that is too long, or of another type, comes as an empty text, which is unreadable. Otherwise a key
 * of another type would fail the whole script, and a long value would be sent to every server that asks.
 */
const READ = `
local function read(key)
  local value = redis.pcall('GET', key)
  if value and (type(value) == 'table' or #value > ${MAX_TEXT_BYTES}) then return '' end
  return value
end
`;

const NOW = `${READ}
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
`;

/**
 * Takes over nodes: KEYS are those of values, ARGV[1] is the new holder. Returns the engine's time, and for each key the
 * value before and the time that it would have lived without this use, or false. See takenOver().
 */
export const TAKE_OVER = `${NOW}local found = {}
for i, key in ipairs(KEYS) do
  local value = read(key)
  local number, holder, life, pins
  if value then number, holder, life, pins = string.match(value, '^(%d+) (%x+) (%d+) (.*)$') end
  if life and #number < 16 and #life < 10 and tonumber(life) > 0 then
    found[i] = {value, redis.call('PTTL', key)}
    local taken = value
    if holder ~= ARGV[1] then taken = string.format('%.0f', number + 1) .. ' ' .. ARGV[1] .. ' ' .. life .. ' ' .. pins end
    redis.call('SET', key, taken, 'PX', life)
  else
    found[i] = value and {value, 0}
  end
end
return {now, found}
`;

/**
 * Creates, replaces or renews values: for each of KEYS, ARGV has the value that it must have if it has a readable one, the
 * new value, and its life. Returns the engine's time, and for each key 0, or the value that stands in the way and
 * its time to live.
 */
export const OFFER = `${NOW}local found = {}
for i, key in ipairs(KEYS) do
  local value = read(key)
  local wanted = ARGV[3 * i - 1]
  if not value or value == '' or value == ARGV[3 * i - 2] or value == wanted then
    local life = tonumber(ARGV[3 * i])
    if value == wanted then life = math.max(life, redis.call('PTTL', key)) end
    redis.call('SET', key, wanted, 'PX', string.format('%.0f', life))
    found[i] = 0
  else
    found[i] = {value, redis.call('PTTL', key)}
  end
end
return {now, found}
`;

/**
 * Tells others which node uses the address KEYS[1]: ARGV has the claim and its time to live, from which follows when it was
 * learned. The claim that was learned last stays.
 */
export const CLAIM_ADDRESS = `
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 0
`;

/** Returns the claim of the address KEYS[1], and its time to live. */
export const READ_ADDRESS = `${READ}return {read(KEYS[1]), redis.call('PTTL', KEYS[1])}`;

/** Commands that the engine must allow, each on a key that nothing else uses. */
export function sharedPinsProbe(key: (...parts: string[]) => string): readonly (readonly (string | number)[])[] {
  const [value, at, mark] = [key('node', 'probe'), key('at', 'probe'), key('mark')];
  const offered = encodeValue(1, '00000000', 1000, NO_PINS);
  return [
    ['EVAL', OFFER, 1, value, '', offered, 1000],
    ['EVAL', TAKE_OVER, 1, value, '00000000'],
    ['EVAL', CLAIM_ADDRESS, 1, at, DOUBTED, 1000],
    ['EVAL', READ_ADDRESS, 1, at],
    // A script takes a key that it may not read for one that is unreadable.
    ['GET', at],
    ['SET', mark, 'first', 'NX'],
  ];
}

/** Orders by channel, so that the same pins make the same text. */
export function encodePins({ address, pins }: SharedNode): string {
  const rows = pins
    .toSorted((a, b) => (a.channel < b.channel ? -1 : 1))
    .map((pin) => [pin.channel, pin.digest, pin.stage, pin.createdAt, pin.address, pin.provisional ? 1 : 0]);
  return JSON.stringify([address, rows]);
}

export function lifeOf({ pins }: SharedNode): number {
  if (pins.length === 0) return OVER_LIFE_MS;
  return pins.every(({ provisional }) => provisional) ? PROVISIONAL_LIFE_MS : SHARED_LIFE_MS;
}

export function encodeValue(number: number, holder: string, lifeMs: number, pins: string): string {
  return `${number} ${holder} ${lifeMs} ${pins}`;
}

/** Returns the value that TAKE_OVER leaves in the place of this one. */
export function takenOver(value: SharedValue, holder: string): SharedValue {
  if (value.holder === holder || value.holder === '') return value;
  const number = value.number + 1;
  return { ...value, number, holder, text: encodeValue(number, holder, value.lifeMs, value.pins) };
}

/** @param found element of a script's answer. @returns undefined when there is none; a value without pins when it is unreadable. */
export function decodeValue(found: unknown): SharedValue | undefined {
  if (!Array.isArray(found)) return undefined;
  const [text, leftMs] = found as readonly unknown[];
  if (typeof text !== 'string') return undefined;
  const parts = text.length > MAX_TEXT_BYTES ? null : VALUE.exec(text);
  if (parts === null) return { text, number: 0, holder: '', lifeMs: 0, pins: '', usedAgoMs: 0 };
  const [, number, holder, life, pins] = parts;
  const lifeMs = Number(life);
  const usedAgoMs = Math.max(0, lifeMs - Math.max(0, Number(leftMs)));
  return { text, number: Number(number), holder: holder!, lifeMs, pins: pins!, usedAgoMs };
}

/** @returns undefined when the text is nothing that a server writes. */
export function decodePins(text: string): SharedNode | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [address, rows] = value as readonly unknown[];
  if (!isAddress(address) && !(address === '' && Array.isArray(rows) && rows.length === 0)) return undefined;
  if (!Array.isArray(rows) || rows.length > MAX_CHANNELS) return undefined;
  const pins = rows.map(pinOf);
  if (pins.includes(undefined)) return undefined;
  const channels = new Set(pins.map((pin) => pin!.channel));
  return channels.size === pins.length ? { address, pins: pins as SharedPin[] } : undefined;
}

function isAddress(value: unknown): value is string {
  return typeof value === 'string' && isIP(value) !== 0;
}

function pinOf(row: unknown): SharedPin | undefined {
  if (!Array.isArray(row) || row.length !== 6) return undefined;
  const [channel, digest, stage, createdAt, address, provisional] = row as readonly unknown[];
  if (typeof channel !== 'string' || channel.length > MAX_CHANNEL_NAME) return undefined;
  if (typeof digest !== 'string' || !isDigest(digest)) return undefined;
  if ((stage !== 0 && stage !== 1) || (provisional !== 0 && provisional !== 1)) return undefined;
  if (!Number.isSafeInteger(createdAt) || (createdAt as number) < 0 || !isAddress(address)) return undefined;
  return { channel, digest, stage, createdAt: createdAt as number, address, provisional: provisional === 1 };
}

/** Knowledge of the node at an address. */
export interface AddressClaim {
  /** At most one of each kind, the best first; none: a boot has begun there that may be another node's. */
  readonly ids: readonly NodeId[];
  /** True when the node named itself. */
  readonly bySelf: boolean;
}

export function encodeClaim({ ids, bySelf }: AddressClaim): string {
  return ids.length === 0 ? DOUBTED : [bySelf ? '+' : '=', ...ids].join(' ');
}

/** @returns undefined when the text is nothing that a server writes. */
export function decodeClaim(text: unknown): AddressClaim | undefined {
  if (text === DOUBTED) return { ids: [], bySelf: false };
  if (typeof text !== 'string' || text.length > 256 || !CLAIM.test(text)) return undefined;
  const [mark, ...ids] = text.split(' ');
  const kinds = new Set(ids.map((id) => id.slice(0, id.indexOf(':'))));
  return kinds.size === ids.length ? { ids, bySelf: mark === '+' } : undefined;
}
