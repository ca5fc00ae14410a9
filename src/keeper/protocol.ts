/**
 * The messages between the keeper and its server: JSON texts of a known version. Pure: knows no sockets and no
 * processes. Everything that is read is checked, because the other end may be of another build.
 */

/** The variable that tells a server the descriptor of its channel. */
export const CHANNEL_VARIABLE = 'REVEILLE_KEEPER';
/** Version of the messages and of what they mean. Ends of different versions part after their greetings. */
export const KEEPER_VERSION = 1;
/** @limit Descriptors of a message between the keeper and the server; more take several messages. */
export const MAX_ENTRIES = 128;
const MAX_LABEL = 128;

/** The history of the servers that the keeper has started, for the log and the metrics of the next one. */
export interface History {
  /** Servers that have died. */
  readonly deaths: number;
  /** The last servers of which each died before it had answered requests for a second. */
  readonly deathsAtOnce: number;
  /** Servers that were replaced by a successor. */
  readonly upgrades: number;
  /** How the last server ended: a signal or an exit code; undefined for the first server. */
  readonly cause: string | undefined;
}

export const FIRST_SERVER: History = { deaths: 0, deathsAtOnce: 0, upgrades: 0, cause: undefined };

export type Message =
  /** Server: its greeting. */
  | { readonly type: 'hello'; readonly version: number }
  /**
   * Keeper: its greeting. @param standby true if another server still answers requests, which the new one will replace.
   */
  | { readonly type: 'welcome'; readonly version: number; readonly standby: boolean }
  /** Server: asks for the descriptors. They follow once no other server uses them, then `complete`. */
  | { readonly type: 'take' }
  /** Keeper: a successor wants the descriptors. */
  | { readonly type: 'handOver' }
  /** Server: it uses the descriptors no longer. It may finish what needs none of them. */
  | { readonly type: 'handedOver' }
  /**
   * Server: descriptors to be held. Keeper: descriptors that were held. They come with the message. Keys are the
   * server's and unique; a label says what the descriptor is.
   */
  | { readonly type: 'hold'; readonly keys: readonly number[]; readonly labels: readonly string[] }
  /** Server: descriptors that need not be held any longer. */
  | { readonly type: 'drop'; readonly keys: readonly number[] }
  /** Server: none of the descriptors needs to be held any longer. */
  | { readonly type: 'forget' }
  /** Keeper: every descriptor has been passed. */
  | { readonly type: 'complete'; readonly history: History }
  /** Server: requests are answered. */
  | { readonly type: 'ready' };

export function encodeMessage(message: Message): string {
  return JSON.stringify(message);
}

/** @returns undefined for a text that is not a message. */
export function decodeMessage(text: string): Message | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const message = value as Record<string, unknown>;
  switch (message['type']) {
    case 'hello':
      return isCount(message['version']) ? { type: 'hello', version: message['version'] } : undefined;
    case 'welcome':
      return isCount(message['version'])
        ? { type: 'welcome', version: message['version'], standby: message['standby'] === true }
        : undefined;
    case 'complete':
      return complete(message);
    case 'hold':
      return hold(message);
    case 'drop':
      return isKeys(message['keys']) ? { type: 'drop', keys: message['keys'] } : undefined;
    case 'take':
    case 'handOver':
    case 'handedOver':
    case 'forget':
    case 'ready':
      return { type: message['type'] };
    default:
      return undefined;
  }
}

function complete({ history }: Record<string, unknown>): Message {
  const { deaths, deathsAtOnce, upgrades, cause } = (history ?? {}) as Record<string, unknown>;
  return {
    type: 'complete',
    history: {
      deaths: isCount(deaths) ? deaths : 0,
      deathsAtOnce: isCount(deathsAtOnce) ? deathsAtOnce : 0,
      upgrades: isCount(upgrades) ? upgrades : 0,
      cause: typeof cause === 'string' ? cause.slice(0, MAX_LABEL) : undefined,
    },
  };
}

function hold({ keys, labels }: Record<string, unknown>): Message | undefined {
  if (!isKeys(keys) || !Array.isArray(labels) || labels.length !== keys.length) return undefined;
  const isLabels = labels.every((label) => typeof label === 'string' && label.length <= MAX_LABEL);
  return isLabels ? { type: 'hold', keys, labels: labels as string[] } : undefined;
}

function isKeys(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= MAX_ENTRIES && value.every(isCount);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
