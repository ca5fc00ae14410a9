/**
 * Requests sent to broadcast addresses, where the server is set to answer them: RFC 1123 §4.2.3.5 wants them ignored,
 * but some old loaders and network gear send no others. One socket for each broadcast address of the machine's
 * networks, and one for 255.255.255.255; the reply leaves from our address in the client's network. Knows no requests.
 */
import type { Address, Engine, ListeningPort, RequestReceiver } from '../engine/types.ts';
import { isInNetwork, type LocalAddress } from './addresses.ts';

/** The broadcast address of the local link. */
const LIMITED = '255.255.255.255';

export interface BroadcastsOptions {
  readonly engine: Pick<Engine, 'listen'>;
  readonly receive: RequestReceiver;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
}

/** A listening port of ours, and the network it is in. */
interface Home {
  readonly port: ListeningPort;
  readonly local: LocalAddress;
}

export class Broadcasts {
  readonly #options: BroadcastsOptions;
  /** Open ports by "address|port". */
  readonly #open = new Map<string, ListeningPort>();
  readonly #failing = new Set<string>();
  #homes: readonly Home[] = [];
  #closed = false;

  constructor(options: BroadcastsOptions) {
    this.#options = options;
  }

  /** Opens and closes broadcast sockets to match the ports open now. @param present the machine's addresses. */
  async follow(ports: readonly ListeningPort[], present: readonly LocalAddress[]): Promise<void> {
    this.#homes = ports.flatMap((port) => {
      const local = present.find(({ address, network }) => address === port.local.address && network !== undefined);
      return local === undefined ? [] : [{ port, local }];
    });
    const wanted = this.#homes.flatMap(({ port, local }) =>
      [local.network!.broadcast, LIMITED].map((address): Address => ({ address, port: port.local.port })),
    );
    const keys = new Set(wanted.map(keyOf));
    for (const [key, port] of this.#open) {
      if (keys.has(key)) continue;
      this.#open.delete(key);
      // oxlint-disable-next-line no-await-in-loop -- there are few ports, and they seldom close.
      await port.close();
    }
    // oxlint-disable-next-line no-await-in-loop -- there are few addresses, and they seldom change.
    for (const address of wanted) await this.#listen(address);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#open.values()].map((port) => port.close()));
    this.#open.clear();
  }

  async #listen(asked: Address): Promise<void> {
    const key = keyOf(asked);
    if (this.#closed || this.#open.has(key)) return;
    const { engine, receive, onWarning } = this.#options;
    try {
      const port = await engine.listen(asked, (bytes, length, peer, _port, arrivedAt) => {
        const home = this.#homeOf(asked, peer);
        if (home !== undefined) receive(bytes, length, peer, home, arrivedAt);
      });
      if (this.#closed) await port.close();
      else this.#open.set(key, port);
      this.#failing.delete(key);
    } catch (error) {
      if (this.#failing.has(key)) return;
      this.#failing.add(key);
      onWarning('cannot listen', { ...asked, code: (error as NodeJS.ErrnoException).code });
    }
  }

  /**
   * Returns the port to reply from; undefined for a client in none of our networks, where no reply address is right.
   */
  #homeOf({ address, port: number }: Address, peer: Address): ListeningPort | undefined {
    return this.#homes.find(
      ({ port, local }) =>
        port.local.port === number &&
        (address === LIMITED || address === local.network!.broadcast) &&
        isInNetwork(peer.address, local),
    )?.port;
  }
}

function keyOf({ address, port }: Address): string {
  return `${address}|${port}`;
}
