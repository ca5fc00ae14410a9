/**
 * The address of shared pins as people write it: `redis://`, `rediss://` (TLS), and both with `+sentinel`. Connects to
 * nothing.
 */

/** A server, or the Sentinels that name it. */
export interface RedisAddress {
  readonly hosts: readonly RedisHost[];
  readonly isTls: boolean;
  /** Name of the master that the hosts, which are Sentinels, are asked for; undefined: the host is the server. */
  readonly master: string | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
}

export interface RedisHost {
  readonly host: string;
  readonly port: number;
}

/** @limit Sentinels in the address of shared pins. Shows: an error message. */
const MAX_HOSTS = 16;
const SERVER_PORT = 6379;
const SENTINEL_PORT = 26_379;

const ADDRESS =
  /^redis(?<tls>s?)(?<sentinel>\+sentinel)?:\/\/(?:(?<user>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<hosts>[^@/?#]+)(?:\/(?<path>[^?#]*))?$/;
const HOST = /^(?:\[(?<six>[0-9a-fA-F:.]+)\]|(?<name>[A-Za-z0-9_.-]+))(?::(?<port>[0-9]{1,5}))?$/;
const MASTER = /^(?<master>[A-Za-z0-9_.-]{1,128})(?:\/(?<database>[0-9]{1,4}))?$/;
const DATABASE = /^[0-9]{1,4}$/;

/** Completes the sentence "expected …". */
export const EXPECTED_ADDRESS =
  'redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE], rediss:// for TLS, or redis+sentinel://HOST:PORT,HOST:PORT/MASTER';

function decoded(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : decodeURIComponent(text);
}

/** @returns undefined when the text is not an address. */
export function parseRedisAddress(text: string): RedisAddress | undefined {
  const parts = ADDRESS.exec(text)?.groups;
  if (parts === undefined) return undefined;
  const isSentinel = parts['sentinel'] !== undefined;
  const hosts = parts['hosts']!.split(',').map((host) => parseHost(host, isSentinel ? SENTINEL_PORT : SERVER_PORT));
  if (hosts.length > (isSentinel ? MAX_HOSTS : 1) || hosts.includes(undefined)) return undefined;
  const path = parts['path'] ?? '';
  const named = isSentinel ? MASTER.exec(path)?.groups : undefined;
  if (isSentinel ? named === undefined : path !== '' && !DATABASE.test(path)) return undefined;
  try {
    return {
      hosts: hosts as RedisHost[],
      isTls: parts['tls'] === 's',
      master: named?.['master'],
      user: decoded(parts['user']),
      password: decoded(parts['password']),
      database: Number(isSentinel ? (named?.['database'] ?? 0) : path),
    };
  } catch {
    // A percent sign that begins no character.
    return undefined;
  }
}

function parseHost(text: string, defaultPort: number): RedisHost | undefined {
  const parts = HOST.exec(text)?.groups;
  if (parts === undefined) return undefined;
  const port = parts['port'] === undefined ? defaultPort : Number(parts['port']);
  return port >= 1 && port <= 65_535 ? { host: parts['six'] ?? parts['name']!, port } : undefined;
}

export function showHost({ host, port }: RedisHost): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
