/**
 * The admin address of a running server. Like listening addresses, it may not exist yet on the machine: it is then
 * waited for, and delays no boot. Knows when to try again; src/admin does the rest.
 */
import { type Admin, type AdminOptions, startAdmin } from '../admin/admin-server.ts';
import type { Address } from '../engine/types.ts';
import { isAbsent } from '../server/addresses.ts';

const TRY_AGAIN_MS = 5000;

export interface ServedAdminOptions extends AdminOptions {
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
  /** Called when an address that was waited for has appeared. */
  readonly onListening: () => void;
  /** Interval between attempts in milliseconds, for tests. Default 5000. */
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

  /** @throws Error with the system's code when the address exists but can't be used. */
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

  /** Address with its actual port; undefined while it is waited for. */
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
