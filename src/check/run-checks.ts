/**
 * Tests one server for every statement and returns a report, whatever the server does: each check and the run are
 * bounded, and a server that stops replying is noticed after the check that silenced it.
 */
import type { Check } from './check.ts';
import { setMaxListeners } from 'node:events';
import type { Address } from '../engine/types.ts';
import { formatAddress } from '../text/address-text.ts';
import { CheckContext, type CheckContextOptions } from './check-context.ts';
import { CHECKS } from './checks.ts';
import { DEFAULT_WAITS, type Pulse, type Waits } from './exchange.ts';
import { CHECK_SCHEMA, type CheckReport, type CheckResult } from './report.ts';
import { survey, type Surveyed, type WantedFile } from './survey.ts';
import { notTried, type Verdict } from './verdict.ts';

/** Checks that run at a time, except those that must run alone. */
const CONCURRENCY = 8;

export interface CheckRunOptions {
  /** The server's IP address as text, and the port to ask. */
  readonly server: Address;
  /** At least one file. */
  readonly files: readonly WantedFile[];
  /** Limit for the whole run, ms. */
  readonly timeoutMs: number;
  /** Ends the run early; its reason appears in the report. */
  readonly signal?: AbortSignal;
  /** Called after each check. */
  readonly onProgress?: (done: number, of: number) => void;
  /** Times to wait. Default: DEFAULT_WAITS. */
  readonly waits?: Waits;
  /** The checks to run. Default: all. */
  readonly checks?: readonly Check[];
}

/** Why waits are cut short, as text for the report. */
class CutShort extends Error {
  override readonly name = 'CutShort';
}

interface Ended {
  readonly check: Check;
  readonly verdict: Verdict;
  readonly startedAt: number;
  readonly endedAt: number;
}

const SILENT = 'the server had fallen silent';

/** Returns an address in the system's spelling, so that sources of datagrams can be compared. */
function canonical({ address, port }: Address): Address {
  if (!address.includes(':')) return { address, port };
  const [host, scope] = address.split('%');
  const plain = new URL(`http://[${host}]/`).hostname.slice(1, -1);
  return { address: scope === undefined ? plain : `${plain}%${scope}`, port };
}

class Run {
  readonly #options: Omit<CheckContextOptions, 'signal'>;
  readonly #signal: AbortSignal;
  readonly #silenced = new AbortController();
  readonly #ended: Ended[] = [];
  readonly #running = new Set<Check>();
  readonly #onEnd: () => void;

  constructor(options: Omit<CheckContextOptions, 'signal'>, signal: AbortSignal, onEnd: () => void) {
    this.#options = options;
    this.#signal = signal;
    this.#onEnd = onEnd;
  }

  get ended(): readonly Ended[] {
    return this.#ended;
  }

  /** True if the server has stopped replying. */
  get silent(): boolean {
    return this.#silenced.signal.aborted;
  }

  get #over(): boolean {
    return this.silent || this.#signal.aborted;
  }

  /** Runs checks, `width` at a time, and asks after each whether the server still replies. */
  async take(checks: readonly Check[], width: number): Promise<void> {
    const waiting = [...checks];
    const lane = async (): Promise<void> => {
      for (let check = waiting.shift(); check !== undefined && !this.#over; check = waiting.shift()) {
        await this.#runOne(check);
        if (!this.#over && !(await this.#answers())) this.#silenced.abort(new CutShort(SILENT));
      }
    };
    await Promise.all(Array.from({ length: width }, lane));
  }

  /**
   * Calls `work` with a context that is closed when it is done, is aborted, or takes too long. @param cut returns the
   * result for the last two.
   */
  async #withAsker<T>(work: (context: CheckContext) => Promise<T>, cut: (reason: string) => T): Promise<T> {
    const { checkMs } = this.#options.waits;
    const controller = new AbortController();
    // Every socket listens to the signal; a check may have a dozen.
    setMaxListeners(0, controller.signal);
    const sources = [this.#signal, this.#silenced.signal];
    const relay = (): void => controller.abort(sources.find(({ aborted }) => aborted)?.reason);
    const timer = setTimeout(() => controller.abort(new CutShort(`took over ${checkMs / 1000} s`)), checkMs);
    for (const source of sources) source.addEventListener('abort', relay);
    const context = new CheckContext({ ...this.#options, signal: controller.signal });
    try {
      return await work(context);
    } catch (cause) {
      if (!controller.signal.aborted) throw cause;
      const { reason } = controller.signal as { reason: unknown };
      return cut(reason instanceof Error ? reason.message : 'stopped');
    } finally {
      clearTimeout(timer);
      for (const source of sources) source.removeEventListener('abort', relay);
      controller.abort(new CutShort('over'));
      await context.close();
    }
  }

  async #runOne(check: Check): Promise<void> {
    const startedAt = performance.now();
    this.#running.add(check);
    const verdict = await this.#withAsker((context) => check.run(context), notTried);
    this.#running.delete(check);
    this.#ended.push({ check, verdict, startedAt, endedAt: performance.now() });
    this.#onEnd();
  }

  async #answers(): Promise<boolean> {
    return await this.#withAsker(
      async (context) => (await context.read([])) !== undefined,
      // The question was cut short by something else, which says nothing about the server.
      () => true,
    );
  }

  /** Returns the checks that were not over when the server was last heard. */
  suspects(): Ended[] {
    return this.#ended.filter(({ endedAt }) => endedAt >= this.#options.pulse.heardAt);
  }
}

/**
 * Returns the result of each check. If the server went silent while several checks ran, a failure of one of these is no
 * proof.
 */
function resultsOf(checks: readonly Check[], run: Run | undefined, unstarted: string): CheckResult[] {
  const suspects = run === undefined || !run.silent ? [] : run.suspects();
  return checks.map((check): CheckResult => {
    const { number, title, clause } = check;
    const ended = run?.ended.find((one) => one.check === check);
    if (ended === undefined) return { number, title, clause, ...notTried(unstarted), duration_ms: 0 };
    const doubtful = suspects.length > 1 && suspects.includes(ended) && ended.verdict.verdict === 'fail';
    const verdict = doubtful ? notTried(`${SILENT} (${ended.verdict.detail})`) : ended.verdict;
    return { number, title, clause, ...verdict, duration_ms: Math.round(ended.endedAt - ended.startedAt) };
  });
}

/** Runs the checks. Resolves with the results, whatever the server does. */
export async function runChecks(options: CheckRunOptions): Promise<CheckReport> {
  const checks = options.checks ?? CHECKS;
  const server = canonical(options.server);
  const startedAt = new Date();
  const start = performance.now();
  const pulse: Pulse = { heardAt: start };
  const waits = options.waits ?? DEFAULT_WAITS;
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const relay = (): void => stop.abort(options.signal?.reason);
  const timer = setTimeout(
    () => stop.abort(new CutShort(`the time limit of ${options.timeoutMs / 1000} s was reached`)),
    options.timeoutMs,
  );
  options.signal?.addEventListener('abort', relay);
  if (options.signal?.aborted === true) relay();

  let surveyed: Surveyed | string;
  let run: Run | undefined;
  try {
    const base = { server, waits, pulse };
    try {
      surveyed = await survey({ ...base, signal: stop.signal }, options.files);
    } catch (cause) {
      if (!stop.signal.aborted) throw cause;
      surveyed = 'stopped before the server had answered';
    }
    if (typeof surveyed !== 'string') {
      let done = 0;
      run = new Run({ ...base, ...surveyed }, stop.signal, () => options.onProgress?.(++done, checks.length));
      await run.take(
        checks.filter(({ alone }) => alone === true),
        1,
      );
      // The list is reversed, because most of the long waits are at its end.
      await run.take(checks.filter(({ alone }) => alone !== true).toReversed(), CONCURRENCY);
    }
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', relay);
  }

  const { reason } = stop.signal as { reason: unknown };
  const cutShort = stop.signal.aborted ? (reason instanceof Error ? reason.message : 'stopped') : null;
  const fault = typeof surveyed === 'string' ? (cutShort ?? surveyed) : null;
  const results = resultsOf(checks, run, fault ?? (run?.silent === true ? SILENT : (cutShort ?? 'not reached')));
  const count = (verdict: Verdict['verdict']): number => results.filter((result) => result.verdict === verdict).length;
  return {
    schema: CHECK_SCHEMA,
    started_at: startedAt.toISOString(),
    server: formatAddress(server),
    files: (typeof surveyed === 'string' ? options.files : surveyed.files).map(({ name, size }) => ({
      name,
      size_bytes: size ?? null,
    })),
    duration_s: Math.round(performance.now() - start) / 1000,
    fault,
    fell_silent_after:
      run?.silent === true
        ? run
            .suspects()
            .map(({ check }) => check.number)
            .toSorted((a, b) => a - b)
        : null,
    cut_short: cutShort,
    pass: count('pass'),
    fail: count('fail'),
    not_offered: count('not offered'),
    not_tried: count('not tried'),
    checks: results,
  };
}
