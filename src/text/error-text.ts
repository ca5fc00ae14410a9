/** Text for anything thrown. Knows nothing of its source. */

/** Returns the system's code, such as EADDRINUSE, if the error has one. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/**
 * Returns the message as one line, such as `bind EADDRINUSE 127.0.0.1:69`. Accepts any thrown value. Does not escape.
 */
export function errorLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ');
}
