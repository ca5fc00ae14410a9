/**
 * Links at the port that was asked, told apart by their peers, for engines that receive everything in one thread. Knows
 * no sockets: the owner receives and sends.
 */
import type { SharedView } from '../bytes/shared-bytes.ts';
import type { Address, Link, LinkReceiver } from './types.ts';

export class SharedLinks {
  readonly #links = new Map<string, SharedLink>();

  /** Returns the receiver of a peer's datagrams, requests excepted. */
  find({ address, port }: Address): LinkReceiver | undefined {
    return this.#links.get(`${address}|${port}`)?.receiver;
  }

  /**
   * Opens a link. One to the same peer must be closed: the peer would take its packets for this one's.
   *
   * @param peer address in the spelling of find().
   */
  open(local: Address, peer: Address, receiver: LinkReceiver, way: Pick<Link, 'data' | 'control'>): Link {
    const key = `${peer.address}|${peer.port}`;
    const link = new SharedLink(local, receiver, way, () => {
      if (this.#links.get(key) === link) this.#links.delete(key);
    });
    this.#links.set(key, link);
    return link;
  }
}

class SharedLink implements Link {
  readonly local: Address;
  readonly receiver: LinkReceiver;
  isOpen = true;
  readonly #way: Pick<Link, 'data' | 'control'>;
  readonly #onClosed: () => void;

  constructor(local: Address, receiver: LinkReceiver, way: Pick<Link, 'data' | 'control'>, onClosed: () => void) {
    this.local = local;
    this.receiver = receiver;
    this.#way = way;
    this.#onClosed = onClosed;
  }

  data(wireBlock: number, view: SharedView, offset: number, length: number): void {
    if (this.isOpen) this.#way.data(wireBlock, view, offset, length);
  }

  control(bytes: Uint8Array, length: number): void {
    if (this.isOpen) this.#way.control(bytes, length);
  }

  close(): void {
    this.isOpen = false;
    this.#onClosed();
  }
}
