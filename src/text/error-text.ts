/** What can be told of anything thrown. Knows nothing of where it came from. */

/** The system's code, such as EADDRINUSE, if it has one. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** `bind EADDRINUSE 127.0.0.1:69`, or whatever else was thrown, as one line. Not escaped. */
export function errorLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ');
}
