/** Sends refusals to clients, and reports the reason to our side. Decides nothing. */
import type { Denied } from '../content/types.ts';
import type { ListeningPort } from '../engine/types.ts';
import { MAX_CONTROL, encodeError } from '../protocol/encode.ts';
import type { ReadRequest } from './request-reader.ts';
import type { TransferMode } from '../protocol/request.ts';
import type { Arrival } from './transfer.ts';
import { REFUSAL_CODES, type Refusal, type ServerObserver } from './types.ts';

/** Texts of the ERROR packets. */
const MESSAGES: Readonly<Record<Refusal, string>> = {
  not_found: 'File not found',
  access: 'Access violation',
  too_large: 'File too large',
  write: 'Read-only server',
  mode: 'Unknown transfer mode',
  route: 'Access violation',
  render: 'Access violation',
};

export function refusalOf({ tooLarge, by }: Denied): Refusal {
  return tooLarge === true ? 'too_large' : (by ?? 'access');
}

/** Returns the mode to serve the request in, or the reason to refuse it regardless of its file. */
export function servedMode({ operation, mode }: ReadRequest): TransferMode | { refusal: Refusal; reason: string } {
  if (operation === 'write') return { refusal: 'write', reason: 'write request' };
  return mode === 'octet' || mode === 'netascii' ? mode : { refusal: 'mode', reason: 'unknown mode' };
}

export class Refuser {
  readonly #observer: ServerObserver;
  readonly #packet = new Uint8Array(MAX_CONTROL);

  constructor(observer: ServerObserver) {
    this.#observer = observer;
  }

  /** Sends one ERROR from the port that was asked. @param filename as received. @param reason for our side only. */
  refuse(
    filename: string,
    asked: Pick<Arrival, 'peer'> & { port: ListeningPort },
    kind: Refusal,
    reason: string,
  ): void {
    const { peer, port } = asked;
    const code = REFUSAL_CODES[kind];
    port.reply(this.#packet, encodeError(this.#packet, code, MESSAGES[kind]), peer);
    this.#observer.onRefusal({
      protocol: 'tftp',
      client: peer,
      local: port.local.address,
      filename,
      kind,
      code,
      reason,
    });
  }
}
