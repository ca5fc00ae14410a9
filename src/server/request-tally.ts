/** Counts requests by what was done with them, and notifies the observer of each. Decides nothing. */
import { formatAddress } from '../text/address-text.ts';
import type { Arrival, Transfer } from './transfer.ts';
import { IGNORED, type Ignored, type RequestRecord, type ServerObserver } from './types.ts';

export class RequestTally {
  readonly ignored = Object.fromEntries(IGNORED.map((reason) => [reason, 0])) as Record<Ignored, number>;
  readonly #observer: ServerObserver;

  constructor(observer: ServerObserver) {
    this.#observer = observer;
  }

  /** @param known the transfer whose request this repeats. */
  ignore(reason: Ignored, arrival: Arrival, known?: Transfer): void {
    this.ignored[reason]++;
    this.tell(arrival, reason, known);
  }

  /** Ignores a request because its address or network has reached its limit. */
  ignoreFull(reason: 'addressFull' | 'prefixFull', arrival: Arrival): void {
    const what =
      reason === 'addressFull'
        ? 'an address has as many transfers as it may have'
        : 'a network has as many transfers as it may have';
    this.#observer.onWarning(what, { client: arrival.peer.address });
    this.ignore(reason, arrival);
  }

  tell({ request, peer, port }: Arrival, done: RequestRecord['done'], transfer?: Transfer): void {
    if (this.#observer.onRequest === undefined) return;
    const { operation, filename, mode, options } = request;
    const local = port.local.address;
    this.#observer.onRequest({
      protocol: 'tftp',
      client: peer,
      local,
      operation,
      filename,
      mode,
      options,
      done,
      transfer: transfer?.id,
    });
  }

  /** Warns that the content can't be read or made now. The name is unescaped, as in every call of an observer. */
  warnUnavailable({ peer, filename }: Transfer, reason: string): void {
    this.#observer.onWarning('content unavailable', { client: formatAddress(peer), file: filename, reason });
  }

  /** Counts an admitted request that gets no answer. @param detail for our side only. */
  drop({ id, peer, port, filename }: Transfer, reason: Ignored, detail?: string): void {
    this.ignored[reason]++;
    const local = port.local.address;
    this.#observer.onDrop?.({ protocol: 'tftp', transfer: id, client: peer, local, filename, reason, detail });
  }
}
