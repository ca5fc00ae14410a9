/** Maps a failed system call to the answer for the request. Knows error codes, not what was being done. */
import type { Busy, Denied, Missing } from './types.ts';

type SystemError = Error & { readonly code: string };

function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && 'syscall' in error && 'code' in error && typeof error.code === 'string';
}

/** Returns the code of a system error; undefined for any other error. */
export function systemCode(error: unknown): string | undefined {
  return isSystemError(error) ? error.code : undefined;
}

/**
 * Returns `missing` when there is no such file, `denied` when access is refused, and `busy` for everything else (disk
 * errors, no descriptors left), which may pass.
 *
 * @throws the error itself when it is not a system error: it is a bug.
 */
export function answerToFailure(error: unknown): Missing | Denied | Busy {
  if (!isSystemError(error)) throw error;
  switch (error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ENAMETOOLONG':
      return { kind: 'missing' };
    case 'EACCES':
    case 'EPERM':
    case 'ELOOP':
      return { kind: 'denied', reason: error.message };
    default:
      return { kind: 'busy', reason: error.message };
  }
}
