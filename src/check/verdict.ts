/** How a check can end. Knows nothing of how the server is asked. */

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

/** The server has no such thing, and need not have it. */
export function notOffered(detail: string): Verdict {
  return { verdict: 'not offered', detail };
}

/** Nothing is known, for want of a file, time or an answer. */
export function notTried(detail: string): Verdict {
  return { verdict: 'not tried', detail };
}

export function isVerdict(value: object): value is Verdict {
  return 'verdict' in value;
}

/** The first that is not a pass, or else the first pass. */
export function worst(verdicts: readonly Verdict[]): Verdict {
  return (
    verdicts.find(({ verdict }) => verdict === 'fail') ??
    verdicts.find(({ verdict }) => verdict !== 'pass') ??
    verdicts[0] ??
    pass()
  );
}
