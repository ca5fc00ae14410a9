/** Failures of commands and connections to a Valkey or Redis server, each in one line. Knows no commands. */
import { escapeText } from '../text/escape.ts';
import { errorCode, errorLine } from '../text/error-text.ts';

/**
 * `down`: there is no connection, or it broke. `deadline`: no answer came in time. `refused`: the server answered with
 * an error.
 */
export type RedisFailure = 'down' | 'deadline' | 'refused';

export class RedisError extends Error {
  readonly failure: RedisFailure;

  /** @param message one line; what the server said must be escaped. */
  constructor(failure: RedisFailure, message: string) {
    super(message);
    this.name = 'RedisError';
    this.failure = failure;
  }
}

/** Longest part of a server's own words in a message. */
const MAX_WORDS = 160;

/** Servers repeat the arguments of a command that they do not know, and those of AUTH are secret. */
function wordsOf(error: unknown): string {
  return escapeText(errorLine(error).replace(/,? with args.*$/i, ''), MAX_WORDS);
}

/** Returns an error reply as an error. */
export function refusal(error: Error): RedisError {
  return new RedisError('refused', wordsOf(error));
}

/** Codes of Node.js and OpenSSL for a certificate that is not trusted. */
const CERTIFICATE = /^(?:CERT_|ERR_TLS_CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(?:GET|VERIFY))/;

const CLOSED = /closed unexpectedly/;

/** Returns why a connection failed, as one line: what was expected, and what came. */
export function failureLine(error: unknown): string {
  const text = wordsOf(error);
  const code = errorCode(error) ?? '';
  if (/^(?:WRONGPASS|NOAUTH|ERR AUTH|ERR invalid password)/.test(text)) {
    return `expected a user and a password that the server accepts, got ${text}`;
  }
  if (text.startsWith('NOPERM')) return `expected a user with the permissions of docs/fleet.md, got ${text}`;
  if (text.startsWith('ERR unknown command')) return `expected a server with this command, got ${text}`;
  if (CERTIFICATE.test(code)) return `expected a certificate that pinsCaFile or the system trusts, got ${text}`;
  if (code.startsWith('ERR_SSL')) return `expected TLS (rediss), got an answer without it: ${text}`;
  // The client's words for commands that were under way when the connection was given up.
  if (text === 'Disconnects client') return 'the connection broke';
  return CLOSED.test(text) ? 'the server closed the connection' : text;
}

/**
 * Returns why a connection could not be made. See failureLine().
 *
 * @param isTls true when TLS was expected.
 */
export function connectFailure(error: unknown, isTls: boolean): string {
  // A server that expects TLS closes a connection on which something else arrives.
  if (!isTls && (errorCode(error) === 'ECONNRESET' || CLOSED.test(wordsOf(error)))) {
    return `expected a server without TLS, got a closed connection: with TLS it is rediss`;
  }
  return failureLine(error);
}
