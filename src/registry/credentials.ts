/**
 * Credentials for registries, from a file in the form of `~/.docker/config.json`. Reads the file when a registry asks
 * for them, so that a rotated password needs no restart. Runs no credential helpers, and shows no secret in any message.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { quote, StoreError } from '../boot-set/store/store-error.ts';
import { errorCode } from '../text/error-text.ts';

/** @limit Size of a file with credentials for registries. Shows: an error message. */
const MAX_FILE_BYTES = 1024 * 1024;
/** Read permission for others (S_IROTH). */
const OTHERS_READ = 0o004;

export interface Credentials {
  /** `Basic` and the encoded user and password; undefined when there is only a token. */
  readonly basic: string | undefined;
  /** A refresh token, as identity providers issue it. */
  readonly identityToken: string | undefined;
}

/** Returns where credentials are looked up unless a file is named. */
export function defaultAuthFile(): string {
  return join(process.env['DOCKER_CONFIG'] ?? join(homedir(), '.docker'), 'config.json');
}

interface AuthFile {
  readonly path: string;
  /** False for the default file, which need not exist. */
  readonly isNamed: boolean;
}

function textOf({ path, isNamed }: AuthFile): string | undefined {
  let fd: number;
  try {
    // O_NONBLOCK: a pipe in the place of the file must not block.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (!isNamed && errorCode(error) === 'ENOENT') return undefined;
    throw new StoreError(
      `${quote(path)}: expected a file with credentials, got ${errorCode(error) ?? 'an unreadable one'}`,
    );
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile() || stats.size > MAX_FILE_BYTES) {
      throw new StoreError(`${quote(path)}: expected a file of at most ${MAX_FILE_BYTES} bytes`);
    }
    if (process.platform !== 'win32' && (stats.mode & OTHERS_READ) !== 0) {
      throw new StoreError(
        `${quote(path)}: expected credentials that only their owner can read, got mode ${(stats.mode & 0o777).toString(8)}: chmod 600`,
      );
    }
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

function stringOf(value: unknown, key: string): string | undefined {
  const found = fieldOf(value, key);
  return typeof found === 'string' && found !== '' ? found : undefined;
}

/** Host of a key, which may be a URL: older files have `https://HOST/v1/`. */
function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

/**
 * Finds the credentials for a registry.
 *
 * @param path file that was named; undefined for the default one, which may be missing.
 * @param host host and port of the registry, as people write it.
 * @returns undefined when the file has none for it.
 * @throws StoreError with one line that shows nothing of the file's contents.
 */
export function credentialsFor(path: string | undefined, host: string): Credentials | undefined {
  const file = { path: path ?? defaultAuthFile(), isNamed: path !== undefined };
  const text = textOf(file);
  if (text === undefined) return undefined;
  let auths: unknown;
  try {
    auths = fieldOf(JSON.parse(text), 'auths');
  } catch {
    throw new StoreError(`${quote(file.path)}: expected JSON such as {"auths": {"registry.example": {"auth": "…"}}}`);
  }
  if (typeof auths !== 'object' || auths === null) return undefined;
  const entry = Object.entries(auths).find(([key]) => hostOf(key) === host)?.[1] as unknown;
  if (entry === undefined) return undefined;
  const [user, password] = [stringOf(entry, 'username'), stringOf(entry, 'password')];
  const encoded =
    stringOf(entry, 'auth') ??
    (user === undefined || password === undefined ? undefined : Buffer.from(`${user}:${password}`).toString('base64'));
  if (encoded !== undefined && !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) {
    throw new StoreError(`${quote(file.path)}: expected user:password in base64 as the "auth" of ${quote(host)}`);
  }
  return {
    basic: encoded === undefined ? undefined : `Basic ${encoded}`,
    identityToken: stringOf(entry, 'identitytoken'),
  };
}
