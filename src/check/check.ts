/** A check: one statement, and how it is put to a server. */
import type { CheckContext } from './check-context.ts';
import type { Verdict } from './verdict.ts';

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
