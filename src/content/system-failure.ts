/** What a failed system call means for who asked for the file. Knows error codes, not what was being done. */
import type { Busy, Denied, Missing } from './types.ts';

type SystemError = Error & { readonly code: string };

function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && 'syscall' in error && 'code' in error && typeof error.code === 'string';
}

/** The code of a system error; undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  return isSystemError(error) ? error.code : undefined;
}

/**
 * No such file: missing. Not for us: denied. Everything else (disk errors, no descriptors left) may pass: busy.
 *
 * @throws the error itself when it is no system error: then the fault is ours.
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
