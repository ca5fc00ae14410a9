/** What a check is and how it can end. Knows nothing of how the server is asked. */
import type { CheckContext } from './check-context.ts';

export const VERDICTS = ['pass', 'fail', 'not offered', 'not tried'] as const;

export interface Verdict {
  readonly verdict: (typeof VERDICTS)[number];
  /** One sentence: what was seen, or what was missing. Printable; may be empty for a pass. */
  readonly detail: string;
}

/** One statement of docs/statements.md, put to a server. */
export interface Check {
  /** The statement's number. */
  readonly number: number;
  /** The statement. */
  readonly title: string;
  /** `RFC 1350 §5`, or in a few words why it is so without one. */
  readonly clause: string;
  /** Sends what has killed servers: nothing else is asked meanwhile, so that it is known what did it. */
  readonly alone?: boolean;
  run(context: CheckContext): Promise<Verdict>;
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
