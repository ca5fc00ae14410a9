/**
 * A server's own account of the requests that it left unanswered in a storm, from two readings of its metrics. A server
 * that can't be asked does not end the storm: the account then says why. Knows the admin address; not how the account
 * is used.
 */
import type { Address } from '../engine/types.ts';
import { type LeftUnanswered, readCounts, type ServerCounts, unansweredBetween } from '../storm/unanswered.ts';
import { AdminClient, AdminError } from './admin-client.ts';

type Reading = ServerCounts | { readonly problem: string };

export class StormAccount {
  readonly #client: AdminClient;
  readonly #before: Reading;

  private constructor(client: AdminClient, before: Reading) {
    this.#client = client;
    this.#before = before;
  }

  /** Takes the reading before the storm. @param admin the server's admin address. */
  static async open(admin: Address): Promise<StormAccount> {
    // Metrics need no token.
    const client = new AdminClient(admin, undefined);
    return new StormAccount(client, await read(client));
  }

  /** The reason why the first reading failed, in one line. */
  get problem(): string | undefined {
    return 'problem' in this.#before ? this.#before.problem : undefined;
  }

  /** Takes the reading after the storm, unless the first failed. */
  async close(): Promise<LeftUnanswered> {
    const admin = this.#client.address;
    const before = this.#before;
    if ('problem' in before) return { admin, problem: before.problem, reasons: [] };
    const after = await read(this.#client);
    if ('problem' in after) return { admin, problem: after.problem, reasons: [] };
    const reasons = unansweredBetween(before, after);
    const problem = reasons === undefined ? `${admin}: the server was restarted during the storm` : null;
    return { admin, problem, reasons: reasons ?? [] };
  }
}

async function read(client: AdminClient): Promise<Reading> {
  try {
    return (
      readCounts(await client.metrics()) ?? { problem: `${client.address}: expected metrics of a Reveille server` }
    );
  } catch (error) {
    if (error instanceof AdminError) return { problem: error.message };
    throw error;
  }
}
