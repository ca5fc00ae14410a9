/**
 * Tables that others keep of which machine has which address (leases, neighbours), asked one after the other. They are
 * read aside and at most once a second; a reply waits for a reading only where nothing is known yet, and not for long.
 */
import type { NodeId } from './node-identity.ts';

/** How long what was read holds. */
const READ_AGAIN_MS = 1000;
/** Longest wait of a reply for a table. */
const PATIENCE_MS = 5;

export interface AddressTable {
  /** Addresses to machines. @throws Error when it can't be read. */
  read(): Promise<ReadonlyMap<string, NodeId>>;
}

export interface TablesClock {
  /** Milliseconds since some moment; never steps back. */
  now(): number;
  wake(at: number, fn: () => void): () => void;
}

export interface AddressTablesOptions {
  /** The more trustworthy first. */
  readonly tables: readonly AddressTable[];
  readonly clock: TablesClock;
  /** Told once when a table can't be read, and again only after it could be. */
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

  /** Whom the address belongs to, as far as is known without waiting. Begins a reading where that is due. */
  peek(address: string): NodeId | undefined {
    if (this.#options.tables.length > 0) this.#refresh();
    for (const table of this.#known) {
      const node = table?.get(address);
      if (node !== undefined) return node;
    }
    return undefined;
  }

  /** As peek; waits for the reading under way where nothing is known, as long as PATIENCE_MS. */
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
