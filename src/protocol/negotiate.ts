/**
 * Option negotiation (RFC 2347): from the options asked for, our limits and the file's size to the values that hold for
 * the transfer. Pure functions. The server uses `negotiate`, the client `acceptOack`.
 */
import type { Rollover } from './block.ts';
import type { AskedOption, Mode, OptionName } from './request.ts';

/** RFC 2348: blksize is 8..65464 octets. */
export const MIN_BLKSIZE = 8;
export const MAX_BLKSIZE = 65464;
/** RFC 1350 §2: the block size without negotiation, in bytes. */
export const BLKSIZE_DEFAULT = 512;
/** RFC 7440 §4: windowsize is 1..65535 blocks. Above 32767, ACK numbers would be ambiguous. */
export const MAX_WINDOWSIZE = 65535;
/** RFC 2349: timeout is 1..255 seconds. */
const MAX_TIMEOUT_S = 255;
/** tftp-hpa's `utimeout`: 10 ms to 255 s, in microseconds. */
const MIN_UTIMEOUT_US = 10_000;
const MAX_UTIMEOUT_US = 255_000_000;

export interface NegotiationLimits {
  /** The largest blksize granted, in bytes: the largest that reaches the client unfragmented. */
  readonly maxBlksize: number;
  /** The largest windowsize granted, in blocks, 1..32767. */
  readonly maxWindowsize: number;
  /** True if `timeout` and `utimeout` are granted. Granting one forbids adaptive retransmission (RFC 2349). */
  readonly acknowledgeTimeout: boolean;
}

/** The values both sides apply. Without options: 512 bytes, lockstep, rollover to 0, our own timer. */
export interface Settled {
  readonly blksize: number;
  readonly windowsize: number;
  readonly rollover: Rollover;
  /** The agreed retransmission interval in milliseconds, or 0 when none was agreed. */
  readonly timeoutMs: number;
}

export interface GrantedOption {
  readonly spelling: string;
  readonly value: string;
}

export interface Negotiation {
  readonly settled: Settled;
  /** The options to acknowledge, in the order asked. Empty: the transfer starts with DATA 1 instead of an OACK. */
  readonly oack: readonly GrantedOption[];
  /** Known options left out of the OACK: their value is bad, or our limits exclude it. */
  readonly refused: readonly OptionName[];
}

export const UNNEGOTIATED: Settled = { blksize: BLKSIZE_DEFAULT, windowsize: 1, rollover: 0, timeoutMs: 0 };

/** Parses a decimal number as RFC 2347 has it: digits alone. `Number` would also accept '0x10', '1e3', ' 7' and ''. */
function decimal(value: string, mostDigits = 10): number | undefined {
  return value.length <= mostDigits && /^[0-9]+$/.test(value) ? Number(value) : undefined;
}

function within(value: string, min: number, max: number): number | undefined {
  const number = decimal(value);
  return number !== undefined && number >= min && number <= max ? number : undefined;
}

type Draft = { -readonly [K in keyof Settled]: Settled[K] };

/**
 * Grants one option.
 *
 * @returns the value to acknowledge, or undefined to leave the option out.
 */
function grant(
  asked: AskedOption,
  limits: NegotiationLimits,
  size: number | undefined,
  draft: Draft,
): number | undefined {
  switch (asked.name) {
    case 'blksize': {
      const wanted = within(asked.value, MIN_BLKSIZE, MAX_BLKSIZE);
      if (wanted === undefined) return undefined;
      draft.blksize = Math.min(wanted, limits.maxBlksize);
      return draft.blksize;
    }
    case 'blksize2': {
      // Like blksize, except that only powers of two are granted.
      const wanted = within(asked.value, MIN_BLKSIZE, 0x10000);
      if (wanted === undefined) return undefined;
      draft.blksize = 2 ** Math.floor(Math.log2(Math.min(wanted, limits.maxBlksize, MAX_BLKSIZE)));
      return draft.blksize;
    }
    case 'windowsize': {
      const wanted = within(asked.value, 1, MAX_WINDOWSIZE);
      if (wanted === undefined) return undefined;
      draft.windowsize = Math.min(wanted, limits.maxWindowsize);
      return draft.windowsize;
    }
    case 'tsize':
      // RFC 2349 has clients send 0; U-Boot sends other numbers. The reply is the same.
      return decimal(asked.value, 20) === undefined ? undefined : size;
    case 'timeout': {
      const seconds = limits.acknowledgeTimeout ? within(asked.value, 1, MAX_TIMEOUT_S) : undefined;
      if (seconds !== undefined) draft.timeoutMs = seconds * 1000;
      return seconds;
    }
    case 'utimeout': {
      const micros = limits.acknowledgeTimeout ? within(asked.value, MIN_UTIMEOUT_US, MAX_UTIMEOUT_US) : undefined;
      if (micros !== undefined) draft.timeoutMs = Math.ceil(micros / 1000);
      return micros;
    }
    case 'rollover': {
      const rollover = within(asked.value, 0, 1);
      if (rollover !== undefined) draft.rollover = rollover === 0 ? 0 : 1;
      return rollover;
    }
  }
}

/** Pairs of options that set the same value: the first one asked holds, the other is left out of the OACK. */
const RIVALS: ReadonlyMap<OptionName, OptionName> = new Map([
  ['blksize', 'blksize2'],
  ['blksize2', 'blksize'],
  ['timeout', 'utimeout'],
  ['utimeout', 'timeout'],
]);

/**
 * Replies to the options of a read request. Never grants more than was asked, and never an option not asked for (EDK2
 * aborts on either).
 *
 * @param size bytes the transfer will carry. `tsize` is left out for netascii: clients compare it with the local size,
 *   which differs.
 */
export function negotiate(
  asked: readonly AskedOption[],
  limits: NegotiationLimits,
  size: number,
  mode: Mode,
): Negotiation {
  const draft: Draft = { ...UNNEGOTIATED };
  const oack: GrantedOption[] = [];
  const refused: OptionName[] = [];
  const granted = new Set<OptionName>();
  for (const option of asked) {
    const rival = RIVALS.get(option.name);
    const taken = rival !== undefined && granted.has(rival);
    const value = taken ? undefined : grant(option, limits, mode === 'netascii' ? undefined : size, draft);
    if (value === undefined) {
      refused.push(option.name);
      continue;
    }
    granted.add(option.name);
    oack.push({ spelling: option.spelling, value: String(value) });
  }
  return { settled: draft, oack, refused };
}

/** Makes a value safe to quote in a message: a peer can write anything into an option. */
function shown(value: string): string {
  return /^[0-9]{1,20}$/.test(value) ? value : 'no such number';
}

/** The options a client asks for; an undefined one is left out of the request. */
export interface Wish {
  readonly blksize?: number | undefined;
  readonly windowsize?: number | undefined;
  readonly tsize?: boolean | undefined;
  /** Seconds, 1..255. */
  readonly timeout?: number | undefined;
}

export interface Accepted {
  readonly settled: Settled;
  /** The file's size as the server announced it, in bytes. */
  readonly tsize: number | undefined;
}

/**
 * Checks a server's OACK against the options asked for.
 *
 * @returns the agreed values, or a sentence naming the rule the server broke (reply to it with ERROR 8, RFC 2347).
 */
export function acceptOack(wish: Wish, options: readonly AskedOption[]): Accepted | string {
  const draft: Draft = { ...UNNEGOTIATED };
  let tsize: number | undefined;
  for (const { name, value } of options) {
    switch (name) {
      case 'blksize': {
        if (wish.blksize === undefined) return 'blksize was acknowledged but not asked for';
        const blksize = within(value, MIN_BLKSIZE, wish.blksize);
        if (blksize === undefined) return `blksize ${wish.blksize} was asked for, ${shown(value)} acknowledged`;
        draft.blksize = blksize;
        break;
      }
      case 'windowsize': {
        if (wish.windowsize === undefined) return 'windowsize was acknowledged but not asked for';
        const windowsize = within(value, 1, wish.windowsize);
        if (windowsize === undefined)
          return `windowsize ${wish.windowsize} was asked for, ${shown(value)} acknowledged`;
        draft.windowsize = windowsize;
        break;
      }
      case 'tsize': {
        if (wish.tsize !== true) return 'tsize was acknowledged but not asked for';
        tsize = decimal(value, 16);
        if (tsize === undefined) return 'tsize is not a number of bytes';
        break;
      }
      case 'timeout': {
        if (wish.timeout === undefined) return 'timeout was acknowledged but not asked for';
        // RFC 2349: the server acknowledges the exact number asked for, or leaves the option out.
        if (decimal(value) !== wish.timeout)
          return `timeout ${wish.timeout} was asked for, ${shown(value)} acknowledged`;
        draft.timeoutMs = wish.timeout * 1000;
        break;
      }
      case 'blksize2':
      case 'utimeout':
      case 'rollover':
        return `${name} was acknowledged but not asked for`;
    }
  }
  return { settled: draft, tsize };
}
