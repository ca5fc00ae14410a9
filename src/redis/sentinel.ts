/** Asks Sentinels for the address of a master. Knows nothing of what is done with it. */
import { Connection, type ConnectOptions, within } from './connection.ts';
import { connectFailure, RedisError } from './redis-error.ts';
import { type RedisAddress, type RedisHost, showHost } from './redis-url.ts';

/** Time for the answer of one Sentinel, connecting included. */
const ASK_MS = 1000;

/**
 * Returns the address of the master that the first answering Sentinel names.
 *
 * @throws RedisError when none of them does.
 */
export async function masterOf(
  { hosts }: Pick<RedisAddress, 'hosts'>,
  master: string,
  options: ConnectOptions,
): Promise<RedisHost> {
  let reason = '';
  for (const sentinel of hosts) {
    if (options.signal.aborted) break;
    try {
      // oxlint-disable-next-line no-await-in-loop -- the next one is asked only when this one does not know.
      const found = await ask(sentinel, master, options);
      if (found !== undefined) return found;
      reason = `Sentinel ${showHost(sentinel)} knows no master ${master}`;
    } catch (error) {
      const text = error instanceof RedisError ? error.message : connectFailure(error, options.isTls);
      reason = `Sentinel ${showHost(sentinel)}: ${text}`;
    }
  }
  throw new RedisError('down', reason);
}

/** Logs in only if the Sentinel asks for it: many have no password where the servers have one. */
async function ask(sentinel: RedisHost, master: string, options: ConnectOptions): Promise<RedisHost | undefined> {
  const open = { ...options, user: undefined, password: undefined, database: 0 };
  try {
    return await askOnce(sentinel, master, open);
  } catch (error) {
    const isLocked = error instanceof Error && error.message.startsWith('NOAUTH');
    if (!isLocked || options.password === undefined) throw error;
    return await askOnce(sentinel, master, { ...options, database: 0 });
  }
}

async function askOnce(sentinel: RedisHost, master: string, options: ConnectOptions): Promise<RedisHost | undefined> {
  const until = performance.now() + ASK_MS;
  const limits = { ...options, until };
  const connection = await Connection.open(sentinel, limits, () => {});
  try {
    const answer = await within(connection.send(['SENTINEL', 'get-master-addr-by-name', master]), limits);
    if (!Array.isArray(answer) || answer.length !== 2) return undefined;
    return { host: String(answer[0]), port: Number(answer[1]) };
  } finally {
    connection.close();
  }
}
