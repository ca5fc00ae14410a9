/**
 * Looks addresses up in tables that others maintain (DHCP leases, neighbors), in order of trust. Tables are read in the
 * background, at most once a second; a reply waits for a read only when nothing is known yet, and only briefly.
 */
import type { NodeId } from './node-identity.ts';

/** A table is read again once its contents are this old. */
const READ_AGAIN_MS = 1000;
/**
 * Longest time that a reply waits for a table.
 * @limit Time for which a reply waits for leases or the neighbor table. Shows: nothing: the address stands for the
 * node.
 */
const PATIENCE_MS = 5;

export interface AddressTable {
  /** @returns the machine at each address. @throws Error when the table can't be read. */
  read(): Promise<ReadonlyMap<string, NodeId>>;
}

export interface TablesClock {
  /** Monotonic time in milliseconds, from an arbitrary origin. */
  now(): number;
  wake(at: number, fn: () => void): () => void;
}

export interface AddressTablesOptions {
  /** Most trustworthy first. */
  readonly tables: readonly AddressTable[];
  readonly clock: TablesClock;
  /** Called once when a table becomes unreadable, and again only after it has been readable in between. */
  readonly onUnreadable: (error: unknown) => void;
}

export class AddressTables {
  readonly #options: AddressTablesOptions;
  readonly #known: (ReadonlyMap<string, NodeId> | undefined)[];
  readonly #unreadable: boolean[];
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(options: AddressTablesOptions) {
    this.#options = options;
    this.#known = options.tables.map(() => undefined);
    this.#unreadable = options.tables.map(() => false);
  }

  /** Returns the machine at the address if it is known without waiting. Starts a read when one is due. */
  peek(address: string): NodeId | undefined {
    if (this.#options.tables.length > 0) this.#refresh();
    for (const table of this.#known) {
      const node = table?.get(address);
      if (node !== undefined) return node;
    }
    return undefined;
  }

  /** Like peek(), but when nothing is known waits up to PATIENCE_MS for a read in progress. */
  find(address: string): NodeId | undefined | Promise<NodeId | undefined> {
    const node = this.peek(address);
    const reading = this.#reading;
    if (node !== undefined || reading === undefined) return node;
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        resolve(this.peek(address));
      };
      const cancel = clock.wake(clock.now() + PATIENCE_MS, done);
      void reading.then(done);
    });
  }

  #refresh(): void {
    const now = this.#options.clock.now();
    if (this.#reading !== undefined || now - this.#readAt < READ_AGAIN_MS) return;
    this.#readAt = now;
    this.#reading = this.#read().finally(() => {
      this.#reading = undefined;
    });
  }

  async #read(): Promise<void> {
    const { tables, onUnreadable } = this.#options;
    await Promise.all(
      tables.map(async (table, index) => {
        try {
          this.#known[index] = await table.read();
          this.#unreadable[index] = false;
        } catch (error) {
          if (!this.#unreadable[index]) onUnreadable(error);
          this.#unreadable[index] = true;
        }
      }),
    );
  }
}
