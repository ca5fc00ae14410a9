/**
 * The log: JSON lines about transfers, refusals, warnings and the life of the server. Knows the format of each line and
 * the number of lines that may be written; decides nothing else. All text from a peer or a disk has been escaped before
 * it gets here.
 */
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import type { Refusal, RefusalRecord, TransferRecord } from '../server/types.ts';
import type { Outcome } from '../session/session.ts';
import { formatAddress } from '../text/address-text.ts';
import { escapeDeep, escapeText } from '../text/escape.ts';
import { errorCode } from '../text/error-text.ts';
import { RateBound } from './rate-bound.ts';
import type { Settings } from '../config/settings.ts';

/**
 * Bytes kept in memory while the reader of stdout is stalled; lines past it are dropped.
 * @limit Log lines that wait for a slow reader. Shows: nothing: further lines are lost.
 */
const BACKLOG_BYTES = 8 * 2 ** 20;
/** Time from the first suppressed line to the line that tells how many there were, in milliseconds. */
const SUPPRESSED_AFTER_MS = 5000;

/** Kinds of lines that others can provoke. */
export const BOUNDED_KINDS = ['transfer', 'failure', 'refusal', 'miss', 'warning'] as const;
export type BoundedKind = (typeof BOUNDED_KINDS)[number];

/**
 * Limits on the lines of each kind. Anyone who can send a packet can cause refusals and warnings, and can also make
 * transfers fail (a request with a forged sender times out); but a whole rack may honestly fail at once. Transfers that
 * end well are limited where logging them would cost as much as serving them.
 * @limit Log lines of each kind: at once, then per second. Shows: `reveille_log_lines_suppressed_total`.
 */
const BOUNDS: Readonly<Record<BoundedKind, { burst: number; perSecond: number }>> = {
  transfer: { burst: 20_000, perSecond: 2000 },
  refusal: { burst: 200, perSecond: 20 },
  miss: { burst: 200, perSecond: 100 },
  warning: { burst: 200, perSecond: 20 },
  failure: { burst: 10_000, perSecond: 100 },
};

/** Log level of a transfer's outcome, by its meaning to an operator. */
const OUTCOME_LEVEL: Readonly<Record<Outcome, 'debug' | 'info' | 'warn'>> = {
  complete: 'info',
  completeUnconfirmed: 'info',
  probe: 'debug',
  clientError: 'warn',
  timeout: 'warn',
  unreachable: 'warn',
  aborted: 'warn',
  refused: 'warn',
};

/**
 * Log level of a refusal, by its meaning to an operator. A boot asks for a dozen names that do not exist; a client that
 * wants to write, or asks for something outside the root, is not a booting node.
 */
const REFUSAL_LEVEL: Readonly<Record<Refusal, 'debug' | 'info' | 'warn'>> = {
  not_found: 'debug',
  route: 'debug',
  write: 'info',
  mode: 'info',
  access: 'warn',
  too_large: 'warn',
  render: 'warn',
};

export interface LogTarget extends DestinationStream {
  /** Writes the remaining lines. Called once, at the end; later lines are lost. */
  close(): Promise<void>;
}

/** Writes to stdout without blocking; no failure of stdout may stop the server. */
export function stdoutTarget(): LogTarget {
  const stream = pino.destination({ dest: 1, sync: false, maxLength: BACKLOG_BYTES });
  let gone = false;
  // A full disk or a reader that has gone away costs lines, not boots.
  stream.on('error', () => {
    gone = true;
  });
  stream.on('write', () => {
    gone = false;
  });
  let closed = false;
  return {
    write(line) {
      if (!closed) stream.write(line);
    },
    close() {
      closed = true;
      return new Promise((resolve) => {
        // Unwritable lines are discarded: left in the stream, they would be retried for ever when the process exits.
        const giveUp = (): void => {
          stream.destroy();
          resolve();
        };
        if (gone) {
          giveUp();
          return;
        }
        stream.once('close', resolve);
        stream.once('error', giveUp);
        stream.end();
      });
    },
  };
}

export interface Listening {
  readonly addresses: readonly string[];
  /** URLs of HTTP and HTTPS. */
  readonly http?: readonly string[];
  /** `ADDR:PORT`, or false. */
  readonly admin: string | false;
  readonly engine: string;
  /** True if all transfers run at the port that was asked. */
  readonly singlePort?: true;
  readonly workers: number;
  readonly root?: string;
  readonly store?: string;
  readonly routes?: number;
  readonly version: string;
}

function forEachKind<T>(make: (kind: BoundedKind) => T): Record<BoundedKind, T> {
  return Object.fromEntries(BOUNDED_KINDS.map((kind) => [kind, make(kind)])) as Record<BoundedKind, T>;
}

/** @returns the fields that describe an error. The stack appears only at level debug. */
function describe(error: unknown, withStack: boolean): Record<string, unknown> {
  if (!(error instanceof Error)) return { error: escapeText(String(error)) };
  const code = errorCode(error);
  return {
    ...(code === undefined ? {} : { code }),
    error: escapeText(error.message),
    ...(withStack && error.stack !== undefined
      ? { stack: error.stack.split('\n').map((line) => escapeText(line)) }
      : {}),
  };
}

export class Log {
  readonly #log: Logger;
  readonly #target: LogTarget;
  readonly #now: () => number;
  readonly #bounds: Record<BoundedKind, RateBound>;
  /** Lines suppressed since the start, by kind. */
  readonly #suppressed = forEachKind(() => 0);
  readonly #told = forEachKind(() => 0);
  #telling: NodeJS.Timeout | undefined;

  /** @param now returns milliseconds for the rate bounds; never steps back. */
  constructor(level: Settings['logLevel'], target: LogTarget, now: () => number = () => performance.now()) {
    this.#target = target;
    this.#now = now;
    this.#bounds = forEachKind((kind) => new RateBound(BOUNDS[kind].burst, BOUNDS[kind].perSecond, now()));
    this.#log = pino(
      {
        level,
        base: null,
        timestamp: stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
      },
      target,
    );
  }

  set level(level: Settings['logLevel']) {
    this.#log.level = level;
  }

  /** Lines suppressed because there were too many, by kind, since the start. */
  get suppressed(): Readonly<Record<BoundedKind, number>> {
    return this.#suppressed;
  }

  transfer(record: TransferRecord): void {
    const level = OUTCOME_LEVEL[record.outcome];
    if (!this.#log.isLevelEnabled(level) || !this.#mayWrite(level === 'warn' ? 'failure' : 'transfer')) return;
    this.#log[level](
      {
        client: formatAddress(record.client),
        local: record.local,
        protocol: record.protocol,
        file: escapeText(record.file),
        origin: record.origin,
        ...(record.set === undefined ? {} : { set: `${record.set.channel}-${record.set.version}` }),
        bytes: record.bytes,
        size: record.size,
        durationMs: record.durationMs,
        waitedMs: record.waitedMs,
        ...(record.firstReplyMs === undefined ? {} : { firstReplyMs: record.firstReplyMs }),
        ...(record.protocol === 'http'
          ? {}
          : { blksize: record.blksize, windowsize: record.windowsize, retransmits: record.retransmits }),
        outcome: record.outcome,
        ...(record.errorCode === undefined
          ? {}
          : { errorCode: record.errorCode, errorText: escapeText(record.errorText) }),
        ...(record.fault === undefined ? {} : { fault: escapeText(record.fault) }),
      },
      'transfer',
    );
  }

  refusal(record: RefusalRecord): void {
    const level = REFUSAL_LEVEL[record.kind];
    if (!this.#log.isLevelEnabled(level) || !this.#mayWrite(level === 'debug' ? 'miss' : 'refusal')) return;
    this.#log[level](
      {
        client: formatAddress(record.client),
        local: record.local,
        protocol: record.protocol,
        file: escapeText(record.filename),
        kind: record.kind,
        ...(record.protocol === 'http' ? { status: record.code } : { errorCode: record.code }),
        reason: escapeText(record.reason),
      },
      'refused',
    );
  }

  warning(message: string, detail: Readonly<Record<string, unknown>>): void {
    if (!this.#log.isLevelEnabled('warn') || !this.#mayWrite('warning')) return;
    this.#log.warn(escapeDeep(detail), escapeText(message));
  }

  listening(fields: Listening): void {
    this.#log.info(fields, 'listening');
  }

  /** @param detail may contain text from outside: it is escaped here. */
  info(message: string, detail: Readonly<Record<string, unknown>> = {}): void {
    this.#log.info(escapeDeep(detail), message);
  }

  /** Same as info, for events that need attention. */
  error(message: string, detail: Readonly<Record<string, unknown>>): void {
    this.#log.error(escapeDeep(detail), message);
  }

  fatal(message: string, error: unknown): void {
    this.#log.fatal(describe(error, this.#log.isLevelEnabled('debug')), message);
  }

  /** Logs the number of suppressed lines, and writes the remaining ones. Later lines are lost. */
  async close(): Promise<void> {
    this.#tellSuppressed();
    await this.#target.close();
  }

  #mayWrite(kind: BoundedKind): boolean {
    if (this.#bounds[kind].take(this.#now())) return true;
    this.#suppressed[kind]++;
    // The timer does not keep the process alive.
    this.#telling ??= setTimeout(() => this.#tellSuppressed(), SUPPRESSED_AFTER_MS).unref();
    return false;
  }

  #tellSuppressed(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    for (const kind of BOUNDED_KINDS) {
      const count = this.#suppressed[kind] - this.#told[kind];
      this.#told[kind] = this.#suppressed[kind];
      if (count > 0) this.#log.warn({ kind, suppressed: count }, 'log lines left out');
    }
  }
}
