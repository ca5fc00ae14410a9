/**
 * The ports at which requests arrive: one per local address, so that a reply leaves from the address that was asked and
 * requests to broadcast addresses are ignored (RFC 1123 §4.2.3.5) unless set otherwise. A wildcard follows the
 * machine's addresses as they come and go; a named address that the machine does not have yet is waited for. Knows no
 * requests: datagrams are passed on unread.
 */
import { isIPv6 } from 'node:net';
import type { Address, Engine, ListeningPort, RequestReceiver } from '../engine/types.ts';
import { Broadcasts } from './broadcasts.ts';
import { formatAddress } from '../text/address-text.ts';
import { isAbsent, type LocalAddress, localAddresses, WILDCARDS } from './addresses.ts';

const REFRESH_MS = 5000;

export interface ListenerOptions {
  readonly engine: Engine;
  readonly listen: readonly Address[];
  /** Opens a socket for each local address, even where the engine could serve a wildcard with one. */
  readonly listenOnEachAddress: boolean;
  /** Accepts requests sent to broadcast addresses as well. Default false. */
  readonly answerBroadcast?: boolean | undefined;
  readonly receive: RequestReceiver;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
  /** Called with the machine's addresses at the start, and every few seconds while they may change. */
  readonly onAddresses: (present: readonly LocalAddress[]) => void;
  /** Called when an address that was waited for is now listened on. */
  readonly onListening?: ((address: Address) => void) | undefined;
  /** Returns the machine's addresses, for tests. */
  readonly localAddresses?: () => LocalAddress[];
}

export class Listener {
  readonly #options: ListenerOptions;
  readonly #localAddresses: () => LocalAddress[];
  /** True if wildcards are opened as such. */
  readonly #wildcards: boolean;
  /** Open ports by "wanted address|wanted port". */
  readonly #ports = new Map<string, ListeningPort>();
  /** Named addresses that the machine does not have yet, by the same keys; retried at each refresh. */
  readonly #awaited = new Map<string, Address>();
  /** Addresses that could not be opened: one warning each, retried at each refresh. */
  readonly #failing = new Set<string>();
  readonly #broadcasts: Broadcasts | undefined;
  #cancelRefresh: (() => void) | undefined;
  #closed = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#localAddresses = options.localAddresses ?? localAddresses;
    const answers = options.answerBroadcast === true;
    this.#broadcasts = answers ? new Broadcasts(options) : undefined;
    // A wildcard socket would receive what the broadcast sockets are for.
    this.#wildcards = options.engine.wildcards && !options.listenOnEachAddress && !answers;
  }

  get addresses(): Address[] {
    return [...this.#ports.values()].map((port) => port.local);
  }

  /** Returns the addresses that can be asked, as text. */
  localAddresses(): string[] {
    const present = this.#localAddresses();
    const asked = this.addresses.flatMap(({ address }) => {
      const family = WILDCARDS.get(address);
      return family === undefined
        ? [address]
        : present.filter((one) => one.family === family).map((one) => one.address);
    });
    return [...new Set(asked)];
  }

  /**
   * Opens every address, or waits for it.
   *
   * @throws Error with the system's code when a named address exists but can't be opened, or no address of a wildcard
   *   can.
   */
  async start(): Promise<void> {
    try {
      for (const wanted of this.#options.listen) {
        if (!WILDCARDS.has(wanted.address)) await this.#openNamed(wanted);
        else if (this.#wildcards) await this.#openWildcard(wanted);
      }
      const failure = await this.#refresh();
      if (this.#ports.size === 0 && this.#awaited.size === 0)
        throw failure ?? new Error('Expected a local address to listen on, got none');
    } catch (cause) {
      await this.close();
      throw cause;
    }
    this.#scheduleRefresh();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRefresh?.();
    await this.#broadcasts?.close();
    await Promise.all([...this.#ports.values()].map((port) => port.close()));
    this.#ports.clear();
  }

  #scheduleRefresh(): void {
    const hasWildcard = this.#options.listen.some(({ address }) => WILDCARDS.has(address));
    const mayChange = hasWildcard || this.#awaited.size > 0 || this.#broadcasts !== undefined;
    if (this.#closed || !mayChange) return;
    const { clock } = this.#options.engine;
    this.#cancelRefresh = clock.wake(clock.now() + REFRESH_MS, () => {
      void this.#refresh().then(() => this.#scheduleRefresh());
    });
  }

  /**
   * Opens a named address. One that the machine does not have yet (no link, no lease, still checked for duplicates)
   * causes a warning and is waited for.
   */
  async #openNamed(wanted: Address): Promise<void> {
    try {
      await this.#open(wanted);
    } catch (cause) {
      const error = cause as NodeJS.ErrnoException;
      if (!isAbsent(wanted.address, error)) {
        error.message = `${formatAddress(wanted)}: ${error.message}`;
        throw error;
      }
      this.#awaited.set(keyOf(wanted), wanted);
      this.#options.onWarning('waiting for an address that this machine does not have yet', { ...wanted });
    }
  }

  /** Opens a wildcard. A machine without IPv6 gets a warning, and its other addresses are served. */
  async #openWildcard(wanted: Address): Promise<void> {
    try {
      await this.#open(wanted);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code !== 'EAFNOSUPPORT') throw cause;
      this.#options.onWarning('cannot listen', { ...wanted, code });
    }
  }

  async #open(wanted: Address): Promise<void> {
    const port = await this.#options.engine.listen(wanted, this.#options.receive);
    if (this.#closed) await port.close();
    else this.#ports.set(keyOf(wanted), port);
  }

  /** Follows the machine's addresses. @returns the first failure, if any. */
  async #refresh(): Promise<Error | undefined> {
    const present = this.#localAddresses();
    this.#options.onAddresses(present);
    const failure = await this.#followAddresses(present);
    await this.#broadcasts?.follow([...this.#ports.values()], present);
    return failure;
  }

  async #followAddresses(present: readonly LocalAddress[]): Promise<Error | undefined> {
    for (const [key, wanted] of this.#awaited) {
      await this.#tryOpen(wanted);
      const port = this.#ports.get(key);
      if (port === undefined) continue;
      this.#awaited.delete(key);
      this.#options.onListening?.(port.local);
    }
    if (this.#wildcards) return undefined;
    let failure: Error | undefined;
    for (const { address: wildcard, port } of this.#options.listen) {
      const family = WILDCARDS.get(wildcard);
      if (family === undefined) continue;
      for (const { address } of present.filter((local) => local.family === family)) {
        failure ??= await this.#tryOpen({ address, port });
      }
      await this.#dropVanished(present, family, port);
    }
    return failure;
  }

  async #tryOpen(wanted: Address): Promise<Error | undefined> {
    const key = keyOf(wanted);
    if (this.#ports.has(key) || this.#closed) return undefined;
    try {
      await this.#open(wanted);
      this.#failing.delete(key);
      return undefined;
    } catch (cause) {
      const error = cause as NodeJS.ErrnoException;
      const isToldOf = this.#awaited.has(key) && isAbsent(wanted.address, error);
      if (!isToldOf && !this.#failing.has(key)) {
        this.#failing.add(key);
        this.#options.onWarning('cannot listen', { address: wanted.address, port: wanted.port, code: error.code });
      }
      return error;
    }
  }

  async #dropVanished(present: readonly LocalAddress[], family: 4 | 6, port: number): Promise<void> {
    const named = new Set(this.#options.listen.map(keyOf));
    const wanted = new Set(present.map(({ address }) => keyOf({ address, port })));
    for (const [key, open] of this.#ports) {
      const sameWildcard = key.endsWith(`|${port}`) && (isIPv6(open.local.address) ? 6 : 4) === family;
      if (!sameWildcard || wanted.has(key) || named.has(key)) continue;
      this.#ports.delete(key);
      await open.close();
    }
  }
}

function keyOf({ address, port }: Address): string {
  return `${address}|${port}`;
}
