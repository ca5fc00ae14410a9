/**
 * Requests that a Reveille server left unanswered during a storm, by its own metrics: each reason with its meaning and
 * the settings that change it. Knows the text format of Prometheus, but not how the text is fetched.
 */

/** Requests, and datagrams lost before they were read, that got no answer for one reason. */
export interface UnansweredReason {
  /** The `reason` label of the metric (`prefixFull`), or `receiveDrops`. */
  readonly reason: string;
  readonly count: number;
  /** The meaning in plain words; null for a reason that this version does not know. */
  readonly what: string | null;
  /** Flags of `reveille serve`, or sysctls, that admit more; empty where no setting would. */
  readonly settings: readonly string[];
}

/** Difference between the readings before and after the storm, over all clients of the server. */
export interface LeftUnanswered {
  /** The admin address that was asked: `127.0.0.1:6970`. */
  readonly admin: string;
  /** The reason why nothing is known, in one line; null when the server answered. */
  readonly problem: string | null;
  /** Sorted by frequency, the most frequent first. */
  readonly reasons: readonly UnansweredReason[];
}

/** One reading of the server's metrics. */
export interface ServerCounts {
  /** Start of the server in seconds since 1970; undefined where the server does not say. */
  readonly startedAt: number | undefined;
  readonly byReason: ReadonlyMap<string, number>;
}

/** The report's hint for storms that were run without `--admin`. */
export const ADMIN_HINT =
  'a Reveille server reports which requests it left unanswered, and why: give its admin address with --admin HOST[:PORT]';

/** A repeated request belongs to a transfer that runs or waits, so it is answered. */
const ANSWERED = 'repeated';
const RECEIVE_DROPS = 'receiveDrops';

const MEANINGS: Readonly<Record<string, { readonly what: string; readonly settings: readonly string[] }>> = {
  queueFull: { what: 'too many requests waited for a session', settings: ['--queue', '--sessions'] },
  expired: { what: 'no session became free before the client stopped asking', settings: ['--sessions'] },
  draining: { what: 'the server was being stopped', settings: [] },
  busy: { what: 'a file could not be read, or there was not enough memory for it', settings: ['--memory-limit'] },
  source: { what: 'the request came from a port that no TFTP client uses', settings: [] },
  client: { what: 'the client is in none of the allowed networks', settings: ['--clients'] },
  unreachable: { what: 'there was no route to the client', settings: [] },
  unanswered: {
    what: 'too many transfers had no answer from their clients',
    settings: ['--half-open', '--half-open-per-network', '--half-open-per-address'],
  },
  addressFull: {
    what: 'an address had as many transfers as it may have',
    settings: ['--sessions-per-address', '--shared-networks'],
  },
  prefixFull: {
    what: 'a network had as many transfers as it may have',
    settings: ['--sessions-per-network4', '--sessions-per-network6'],
  },
  [RECEIVE_DROPS]: { what: 'datagrams were lost in full receive buffers', settings: ['net.core.rmem_max'] },
};

const SAMPLE =
  /^(?:reveille_requests_ignored_total\{reason="(?<reason>[A-Za-z]{1,40})"\}|(?<drops>reveille_receive_drops_total)|process_start_time_seconds) (?<value>[0-9.e+]{1,30})$/;

/** @param text metrics in Prometheus' format. @returns undefined when they are not those of a Reveille server. */
export function readCounts(text: string): ServerCounts | undefined {
  const byReason = new Map<string, number>();
  let startedAt: number | undefined;
  for (const line of text.split('\n')) {
    const groups = SAMPLE.exec(line)?.groups;
    const value = Number(groups?.['value']);
    if (groups === undefined || !Number.isFinite(value)) continue;
    const reason = groups['drops'] === undefined ? groups['reason'] : RECEIVE_DROPS;
    if (reason === undefined) startedAt = value;
    else byReason.set(reason, value);
  }
  return byReason.size === 0 ? undefined : { startedAt, byReason };
}

/** @returns undefined when the server was restarted between the readings, since its counts then began at zero. */
export function unansweredBetween(before: ServerCounts, after: ServerCounts): UnansweredReason[] | undefined {
  if (before.startedAt !== after.startedAt) return undefined;
  const reasons: UnansweredReason[] = [];
  for (const [reason, value] of after.byReason) {
    const count = value - (before.byReason.get(reason) ?? 0);
    if (count < 0) return undefined;
    if (count === 0 || reason === ANSWERED) continue;
    const meaning = Object.hasOwn(MEANINGS, reason) ? MEANINGS[reason] : undefined;
    reasons.push({ reason, count, what: meaning?.what ?? null, settings: meaning?.settings ?? [] });
  }
  return reasons.toSorted((one, other) => other.count - one.count);
}
