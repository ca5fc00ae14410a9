/**
 * The log: JSON lines about transfers, refusals, warnings and the life of the server. Knows what each line looks like
 * and how many may be written; decides nothing. Whatever came from a peer or a disk is escaped before it gets here.
 */
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import type { Refusal, RefusalRecord, TransferRecord } from '../server/types.ts';
import type { Outcome } from '../session/session.ts';
import { formatAddress } from '../text/address-text.ts';
import { escapeDeep, escapeText } from '../text/escape.ts';
import { errorCode } from '../text/error-text.ts';
import { RateBound } from './rate-bound.ts';
import type { Settings } from '../config/settings.ts';

/** Bytes kept in memory while whoever reads stdout stands still; lines past it are dropped. */
const BACKLOG_BYTES = 8 * 2 ** 20;
/** How long after the first line left out the number of such lines is told, in milliseconds. */
const SUPPRESSED_AFTER_MS = 5000;

/** Kinds of lines that others can provoke. */
export const BOUNDED_KINDS = ['transfer', 'failure', 'refusal', 'miss', 'warning'] as const;
export type BoundedKind = (typeof BOUNDED_KINDS)[number];

/**
 * How many of them may be written. Anyone who can send a packet can cause refusals and warnings; so can they make
 * transfers fail (a request with a forged sender times out), but there a whole rack may honestly fail at once. Transfers
 * that end well are bounded where writing about them would cost as much as serving them.
 */
const BOUNDS: Readonly<Record<BoundedKind, { burst: number; perSecond: number }>> = {
  transfer: { burst: 20_000, perSecond: 2000 },
  refusal: { burst: 200, perSecond: 20 },
  miss: { burst: 200, perSecond: 100 },
  warning: { burst: 200, perSecond: 20 },
  failure: { burst: 10_000, perSecond: 100 },
};

/** What a transfer's end means to an operator. */
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
 * What a refusal means to one. A boot asks for a dozen names that do not exist; who wants to write, or asks for what is
 * outside, is not a node that boots.
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
  /** Writes what is left. Called once, at the end; lines that come later are lost. */
  close(): Promise<void>;
}

/** stdout, written without blocking; nothing that happens to stdout may stop the server. */
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
        // What can't be written is given up: left in the stream it would be tried again for ever when the process exits.
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
  /** `ADDR:PORT`, or false. */
  readonly admin: string | false;
  readonly engine: string;
  readonly workers: number;
  readonly root?: string;
  readonly store?: string;
  readonly routes?: number;
  readonly version: string;
}

function forEachKind<T>(make: (kind: BoundedKind) => T): Record<BoundedKind, T> {
  return Object.fromEntries(BOUNDED_KINDS.map((kind) => [kind, make(kind)])) as Record<BoundedKind, T>;
}

/** What is worth telling of an error. The stack is for those who asked for debug lines. */
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
  /** Lines left out so far, ever, by kind. */
  readonly #suppressed = forEachKind(() => 0);
  readonly #told = forEachKind(() => 0);
  #telling: NodeJS.Timeout | undefined;

  /** @param now milliseconds for the rate bounds; never steps back. */
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

  /** Lines left out because too many came, by kind, since the start. */
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
        file: escapeText(record.file),
        origin: record.origin,
        ...(record.set === undefined ? {} : { set: `${record.set.channel}-${record.set.version}` }),
        bytes: record.bytes,
        size: record.size,
        durationMs: record.durationMs,
        waitedMs: record.waitedMs,
        ...(record.firstReplyMs === undefined ? {} : { firstReplyMs: record.firstReplyMs }),
        blksize: record.blksize,
        windowsize: record.windowsize,
        retransmits: record.retransmits,
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
        file: escapeText(record.filename),
        kind: record.kind,
        errorCode: record.code,
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

  /** @param detail may hold foreign text: it is escaped here. */
  info(message: string, detail: Readonly<Record<string, unknown>> = {}): void {
    this.#log.info(escapeDeep(detail), message);
  }

  /** As info, for what somebody should see to. */
  error(message: string, detail: Readonly<Record<string, unknown>>): void {
    this.#log.error(escapeDeep(detail), message);
  }

  fatal(message: string, error: unknown): void {
    this.#log.fatal(describe(error, this.#log.isLevelEnabled('debug')), message);
  }

  /** Tells what was left out, and writes what is left. What is logged later is lost. */
  async close(): Promise<void> {
    this.#tellSuppressed();
    await this.#target.close();
  }

  #mayWrite(kind: BoundedKind): boolean {
    if (this.#bounds[kind].take(this.#now())) return true;
    this.#suppressed[kind]++;
    // A log is no reason to stay alive.
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
