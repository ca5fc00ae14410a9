/** The possible results of a check. Knows nothing of how the server is asked. */

export const VERDICTS = ['pass', 'fail', 'not offered', 'not tried'] as const;

export interface Verdict {
  readonly verdict: (typeof VERDICTS)[number];
  /** One sentence: what was seen, or what was missing. Printable; may be empty for a pass. */
  readonly detail: string;
}

export function pass(detail = ''): Verdict {
  return { verdict: 'pass', detail };
}

export function fail(detail: string): Verdict {
  return { verdict: 'fail', detail };
}

/** The server lacks an optional feature. */
export function notOffered(detail: string): Verdict {
  return { verdict: 'not offered', detail };
}

/** The result is unknown, for lack of a file, time or a reply. */
export function notTried(detail: string): Verdict {
  return { verdict: 'not tried', detail };
}

export function isVerdict(value: object): value is Verdict {
  return 'verdict' in value;
}

/** Returns the first failure, or else the first verdict that is not a pass, or else the first pass. */
export function worst(verdicts: readonly Verdict[]): Verdict {
  return (
    verdicts.find(({ verdict }) => verdict === 'fail') ??
    verdicts.find(({ verdict }) => verdict !== 'pass') ??
    verdicts[0] ??
    pass()
  );
}
