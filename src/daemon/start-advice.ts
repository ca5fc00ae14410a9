/** Advice for operators whose server could not start. */
import { errorCode } from '../text/error-text.ts';

export const ADMIN_FAILED = 'cannot start the admin address';

/**
 * @param what the message about the part that could not start.
 * @returns the advice, to be appended to the error; empty where there is none.
 */
export function adviceFor(what: string, error: unknown): string {
  switch (errorCode(error)) {
    case 'EACCES':
      return ' (a port below 1024 needs root or the capability CAP_NET_BIND_SERVICE)';
    case 'EADDRINUSE':
      if (error instanceof Error && 'isHttp' in error) {
        return ' (is another HTTP server running? Choose another address with --http or --https ADDR:PORT)';
      }
      return what === ADMIN_FAILED
        ? ' (is another server running? Choose another address with --admin ADDR:PORT, or none with --no-admin)'
        : ' (is another TFTP server running? Choose another address with --listen ADDR:PORT)';
    default:
      return '';
  }
}
