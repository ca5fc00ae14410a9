/** A check: one statement, and the way to test a server for it. */
import type { CheckContext } from './check-context.ts';
import type { Verdict } from './verdict.ts';

/** One statement of docs/statements.md, as a test of a server. */
export interface Check {
  /** The statement's number. */
  readonly number: number;
  /** The statement's text. */
  readonly title: string;
  /** A clause such as `RFC 1350 §5`, or a short reason for a statement without one. */
  readonly clause: string;
  /** True if it sends packets that have crashed servers: it runs alone, so that the cause is known. */
  readonly alone?: boolean;
  run(context: CheckContext): Promise<Verdict>;
}
