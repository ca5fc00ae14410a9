/**
 * The admin address as a server has it: one that the machine does not have yet is waited for, as those for requests are,
 * and holds up no boot. Knows when to try; the rest is src/admin's.
 */
import { type Admin, type AdminOptions, startAdmin } from '../admin/admin-server.ts';
import type { Address } from '../engine/types.ts';
import { isAbsent } from '../server/addresses.ts';

const TRY_AGAIN_MS = 5000;

export interface ServedAdminOptions extends AdminOptions {
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
  /** Told when an address that was waited for is there. */
  readonly onListening: () => void;
  /** For tests. Default: 5 s, in milliseconds. */
  readonly tryAgainMs?: number;
}

export class ServedAdmin {
  readonly #options: ServedAdminOptions;
  #admin: Admin | undefined;
  #timer: NodeJS.Timeout | undefined;
  #trying: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(options: ServedAdminOptions) {
    this.#options = options;
  }

  /** @throws Error with the system's code for an address that is there and can't be had. */
  static async start(options: ServedAdminOptions): Promise<ServedAdmin> {
    const admin = new ServedAdmin(options);
    try {
      admin.#admin = await startAdmin(options);
    } catch (error) {
      if (!isAbsent(options.listen.address, error)) throw error;
      options.onWarning('waiting for an address that this machine does not have yet', {
        ...options.listen,
        for: 'admin',
      });
      admin.#tryLater();
    }
    return admin;
  }

  /** With the real port; undefined: it is waited for. */
  get address(): Address | undefined {
    return this.#admin?.address;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#trying;
    await this.#admin?.close();
  }

  #tryLater(): void {
    this.#timer = setTimeout(() => {
      this.#trying = this.#tryAgain();
    }, this.#options.tryAgainMs ?? TRY_AGAIN_MS).unref();
  }

  async #tryAgain(): Promise<void> {
    try {
      this.#admin = await startAdmin(this.#options);
    } catch (error) {
      if (isAbsent(this.#options.listen.address, error) && !this.#closed) this.#tryLater();
      else if (!this.#closed)
        this.#options.onWarning('cannot start the admin address', { ...this.#options.listen, error });
      return;
    }
    if (!this.#closed) this.#options.onListening();
  }
}
