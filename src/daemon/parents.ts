/**
 * The processes that have started the server: a service manager, which is told of its state, and the keeper, which
 * holds its sockets. Neither is needed. Knows what both are told, and the words about what they lack.
 */
import type { SocketKeep } from '../engine/socket-keep.ts';
import { StreamSystem } from '../engine/stream-system.ts';
import type { Address } from '../engine/types.ts';
import type { KeptSockets } from '../keeper/kept-sockets.ts';
import { FIRST_SERVER, type History } from '../keeper/protocol.ts';
import type { ServiceManager } from './service-manager.ts';

export interface ParentsOptions {
  /** Opens the connection to the service manager. Throws when it can't be reached. Default: there is none. */
  readonly manager?: (() => ServiceManager | undefined) | undefined;
  /** Takes what the parent gave, and greets the keeper. Throws when that is impossible here. Default: nothing is given. */
  readonly keep?: (() => KeptSockets | undefined) | undefined;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
}

export class Parents {
  readonly #options: ParentsOptions;
  #manager: ServiceManager | undefined;
  #keep: KeptSockets | undefined;

  constructor(options: ParentsOptions) {
    this.#options = options;
  }

  /**
   * Call before anything listens. Failures are warnings.
   *
   * @param onGone called when the keeper has ended. @param onHandOver called when a successor wants the sockets.
   */
  meet(onGone: () => void, onHandOver: () => void): void {
    const { manager, keep, onWarning } = this.#options;
    try {
      this.#manager = manager?.();
    } catch (error) {
      onWarning('cannot notify the service manager: use Type=exec without WatchdogSec in the systemd unit', { error });
    }
    try {
      this.#keep = keep?.();
    } catch (error) {
      onWarning('cannot use the sockets that this process was given', { error });
    }
    const { history, fault } = this.#keep ?? {};
    if (fault !== undefined) onWarning('starts without the sockets of the server before it', { reason: fault });
    else if (history?.cause !== undefined) {
      onWarning('takes over from a server that has died', { cause: history.cause, deaths: history.deaths });
    }
    // For the service manager the service runs already: its watchdog does not wait for a large store.
    if (history !== undefined && history.deaths + history.upgrades > 0) this.#manager?.startsAgain();
    this.#keep?.watch(onGone, onHandOver);
  }

  /** Waits until no other server uses the sockets, and takes them. */
  takeOver(): void {
    this.#keep?.takeOver();
    this.#manager?.startsAgain();
  }

  get hasKeeper(): boolean {
    return this.#keep?.hasKeeper === true;
  }

  /** True while another server answers requests, which this one will replace. */
  get isStandby(): boolean {
    return this.#keep?.isStandby === true;
  }

  /** Tells the keeper that the successor may use the sockets. */
  handedOver(): void {
    this.#keep?.handedOver();
  }

  get history(): History {
    return this.#keep?.history ?? FIRST_SERVER;
  }

  get keep(): SocketKeep | undefined {
    return this.#keep;
  }

  /** Returns the option `socket` of the admin server. */
  get adminSocket(): ((address: Address) => number) | undefined {
    const keep = this.#keep;
    if (keep === undefined) return undefined;
    return (address) => {
      const system = new StreamSystem(keep);
      const { fd, isAhead } = system.listen(address, 'admin');
      if (!isAhead) return fd;
      system.close(fd);
      throw Object.assign(new Error('listen: EADDRNOTAVAIL'), { code: 'EADDRNOTAVAIL' });
    };
  }

  /** Call when everything listens. */
  settle(): void {
    for (const socket of this.#keep?.closeRest() ?? []) {
      this.#options.onWarning('no address of the config is that of a socket given by the service manager', { socket });
    }
  }

  /** Reports that requests are answered from now on. @param status one line for people. */
  ready(status: string): void {
    this.#manager?.ready(status);
    this.#keep?.ready();
  }

  /** @param isFault true if the server stops by itself: a keeper then starts another one, and the service goes on. */
  stopping(isFault: boolean): void {
    if (isFault && this.hasKeeper) return;
    this.#manager?.stopping();
  }

  close(): void {
    this.#manager?.close();
    this.#keep?.close();
  }
}
