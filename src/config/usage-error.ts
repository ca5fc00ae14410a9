/**
 * The error for a wrong command line or config file, and the exit codes. Knows nothing about the mistakes themselves.
 */

/** Exit codes of the process; documented in `reveille --help`. */
export const EXIT = {
  /** Success. */
  fine: 0,
  /** A failure at run time: address in use, download failed. */
  failed: 1,
  /** Wrong command line or config file; nothing was started. */
  usage: 2,
  /** Stopped before the running transfers had finished. */
  cutShort: 3,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A mistake of the user, with exit code 2. The message is one line: where, what was expected, what was found. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
