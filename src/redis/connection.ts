/**
 * One connection to a Valkey or Redis server, made within a deadline, and a second one for notices. It is never repaired:
 * the link opens another one. Knows no keys and no breaker.
 */
import type { createClient, RedisClientType } from '@redis/client';
import { RedisError } from './redis-error.ts';
import type { RedisAddress, RedisHost } from './redis-url.ts';

type Client = RedisClientType<Record<string, never>, Record<string, never>, Record<string, never>, 2>;

export interface ConnectOptions extends Pick<RedisAddress, 'isTls' | 'user' | 'password' | 'database'> {
  /** Certificate authorities in PEM, in place of the system's. */
  readonly ca: string | undefined;
  /** Time until which the connection must be usable, by performance.now(). */
  readonly until: number;
  /** Aborted when nobody needs the connection any more. */
  readonly signal: AbortSignal;
}

/**
 * @param until by performance.now(). @param silence what is said when the work takes longer.
 * @throws RedisError 'deadline' then, and 'down' when the signal is aborted.
 */
export async function within<T>(
  work: Promise<T>,
  { until, signal }: Pick<ConnectOptions, 'until' | 'signal'>,
  silence = 'the server does not answer',
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let onAbort = (): void => {};
  const late = new Promise<never>((_resolve, reject) => {
    const waitMs = Math.max(0, until - performance.now());
    timer = setTimeout(() => reject(new RedisError('deadline', silence)), waitMs);
    onAbort = () => reject(new RedisError('down', 'the link is closed'));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

export class Connection {
  readonly host: RedisHost;
  readonly #create: () => Client;
  readonly #client: Client;
  readonly #onLost: (error: unknown) => void;
  #notices: Client | undefined;

  private constructor(host: RedisHost, create: () => Client, onLost: (error: unknown) => void) {
    this.host = host;
    this.#create = create;
    this.#onLost = onLost;
    this.#client = this.#watched();
  }

  /**
   * Connects and logs in.
   *
   * @param onLost called when the connection breaks, also while it is being made; may be called more than once.
   * @throws what the socket or the server said.
   */
  static async open(host: RedisHost, options: ConnectOptions, onLost: (error: unknown) => void): Promise<Connection> {
    const redis = (await import('@redis/client')) as { readonly createClient: typeof createClient };
    const { isTls, ca, user, password, database, until, signal } = options;
    const { isIP } = await import('node:net');
    const tls = { tls: true as const, ...(ca === undefined ? {} : { ca }) };
    const servername = isIP(host.host) === 0 ? { servername: host.host } : {};
    const create = (): Client =>
      redis.createClient({
        RESP: 2,
        socket: {
          host: host.host,
          port: host.port,
          reconnectStrategy: false,
          connectTimeout: Math.max(1, Math.ceil(until - performance.now())),
          ...(isTls ? { ...tls, ...servername } : {}),
        },
        ...(user === undefined ? {} : { username: user }),
        ...(password === undefined ? {} : { password }),
        database,
        disableOfflineQueue: true,
        disableClientInfo: true,
        maintNotifications: 'disabled',
        // No timer for each command: the link's deadline covers commands that have been sent as well.
        commandOptions: { timeout: 0 },
      }) as unknown as Client;
    const connection = new Connection(host, create, onLost);
    const connecting = connection.#client.connect();
    try {
      // A server without TLS waits for the end of a line, and TLS begins with none.
      await within(connecting, { until, signal }, isTls ? 'expected TLS (rediss), got no answer' : undefined);
      return connection;
    } catch (error) {
      connection.close();
      // A socket that was connecting may be connected in spite of that.
      connecting.then(() => connection.close()).catch(() => {});
      throw error;
    }
  }

  /** Rejects with an ErrorReply of the client when the server answers with an error. */
  send(command: readonly (string | number)[]): Promise<unknown> {
    return this.#client.sendCommand(command.map(String));
  }

  /** Subscribes over the connection for notices, which is opened first if need be. */
  async subscribe(
    channel: string,
    onNotice: (text: string) => void,
    limits: Pick<ConnectOptions, 'until' | 'signal'>,
  ): Promise<void> {
    if (this.#notices === undefined) {
      this.#notices = this.#watched();
      await within(this.#notices.connect(), limits);
    }
    await within(this.#notices.subscribe(channel, onNotice), limits);
  }

  /** Ends both connections at once; commands under way are rejected. */
  close(): void {
    this.#client.destroy();
    this.#notices?.destroy();
  }

  #watched(): Client {
    const client = this.#create();
    client.on('error', (error: unknown) => this.#onLost(error));
    // A socket that is still connecting can't be destroyed: it must not keep a process that is done. Deadlines do that.
    client.unref();
    return client;
  }
}
