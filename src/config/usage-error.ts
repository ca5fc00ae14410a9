/** How a command line or a config file is turned down. Knows the exit codes, and nothing about what was wrong. */

/** What the process ends with; documented in `reveille --help`. */
export const EXIT = {
  /** All is well. */
  fine: 0,
  /** Something failed at run time: address in use, download failed. */
  failed: 1,
  /** The command line or the config file is wrong; nothing was started. */
  usage: 2,
  /** Stopped before the running transfers had finished. */
  cutShort: 3,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A mistake of the user's. The message is one line: where, what was expected, what was found. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
