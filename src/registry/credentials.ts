/**
 * Credentials for registries, from a file in the form of `~/.docker/config.json`. Reads the file when a registry asks
 * for them, so that a rotated password needs no restart. Runs no credential helpers, and shows no secret in any message.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { quote, StoreError } from '../boot-set/store/store-error.ts';
import { readSmallFile } from './small-file.ts';

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
  const { DOCKER_CONFIG: named = '' } = process.env;
  return join(named === '' ? join(homedir(), '.docker') : named, 'config.json');
}

function textOf(path: string | undefined): string | undefined {
  const file = path ?? defaultAuthFile();
  // The default file need not exist.
  const found = readSmallFile(file, 'credentials', path === undefined);
  if (found !== undefined && process.platform !== 'win32' && (found.mode & OTHERS_READ) !== 0) {
    throw new StoreError(
      `${quote(file)}: expected credentials that only their owner can read, got mode ${found.mode.toString(8)}: chmod 600`,
    );
  }
  return found?.text;
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

function stringOf(value: unknown, key: string): string | undefined {
  const found = fieldOf(value, key);
  return typeof found === 'string' && found !== '' ? found : undefined;
}

/**
 * Host of a key, which may be a URL: older files have `https://HOST/v1/`. Some tools write keys with a repository, whose
 * password may be another one: these are left alone.
 */
function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/(?:v[12]\/?)?$/, '');
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
  const file = path ?? defaultAuthFile();
  const text = textOf(path);
  if (text === undefined) return undefined;
  let auths: unknown;
  try {
    auths = fieldOf(JSON.parse(text), 'auths');
  } catch {
    throw new StoreError(`${quote(file)}: expected JSON such as {"auths": {"registry.example": {"auth": "…"}}}`);
  }
  if (typeof auths !== 'object' || auths === null) return undefined;
  const entry = Object.entries(auths).find(([key]) => hostOf(key) === host)?.[1] as unknown;
  if (entry === undefined) return undefined;
  const [user, password] = [stringOf(entry, 'username'), stringOf(entry, 'password')];
  const encoded =
    stringOf(entry, 'auth') ??
    (user === undefined || password === undefined ? undefined : Buffer.from(`${user}:${password}`).toString('base64'));
  if (encoded !== undefined && !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) {
    throw new StoreError(`${quote(file)}: expected user:password in base64 as the "auth" of ${quote(host)}`);
  }
  const identityToken = stringOf(entry, 'identitytoken');
  // The password is with a credential helper, which is not run.
  if (encoded === undefined && identityToken === undefined) return undefined;
  return {
    basic: encoded === undefined ? undefined : `Basic ${encoded}`,
    identityToken,
  };
}
