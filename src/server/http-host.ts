/**
 * The server as its HTTP side sees it: who may connect, which source has a name, and how the events of HTTP become the
 * records that TFTP's transfers have. Decides nothing about versions or bytes.
 */
import type { Clock } from '../engine/types.ts';
import type { HttpHost, HttpRefusal, HttpRequest, HttpTransfer, HttpTransferEnd, HttpView } from '../http/types.ts';
import { formatAddress } from '../text/address-text.ts';
import type { Admission } from './admission.ts';
import { refusalOf } from './refuser.ts';
import type { Resolver } from './resolver.ts';
import { type Refusal, type ServerObserver, type StartRecord, STUCK_MS, type TransferView } from './types.ts';

export interface HttpHostParts {
  readonly clock: Clock;
  readonly admission: Pick<Admission, 'crowd' | 'nextId'>;
  readonly resolver: Resolver;
  readonly observer: ServerObserver;
  readonly mayAsk: (address: string) => boolean;
}

/** Methods other than GET and HEAD would change something; a bad target leads to no file. */
const KINDS: Readonly<Record<400 | 404 | 405, Refusal>> = { 400: 'not_found', 404: 'not_found', 405: 'write' };

export function httpHost({ clock, admission, resolver, observer, mayAsk }: HttpHostParts): HttpHost {
  const { crowd, nextId } = admission;
  return {
    clock,
    nextId,
    resolve: (request) => resolver.resolve(request),
    admit: ({ address }) => {
      if (!mayAsk(address)) return undefined;
      const full = crowd.refusal(address, clock.now());
      if (full !== undefined) {
        const what =
          full === 'addressFull' ? 'an address has its share of transfers' : 'a network has its share of transfers';
        observer.onWarning(what, { client: address });
        return undefined;
      }
      const client = crowd.join(address);
      return () => crowd.part(client);
    },
    onRequest: (request) => {
      observer.onRequest?.({
        ...common(request),
        operation: 'read',
        filename: request.name,
        mode: 'octet',
        options: [],
        done: 'admitted',
        transfer: request.id,
      });
    },
    onRefusal: (request, refusal) => {
      const { kind, reason } = refused(refusal);
      observer.onRefusal({ ...common(request), filename: request.name, kind, code: refusal.status, reason });
    },
    onDrop: (request, detail) => {
      if (detail !== undefined) {
        const { client, name } = request;
        observer.onWarning('content unavailable', { client: formatAddress(client), file: name, reason: detail });
      }
      observer.onDrop?.({
        ...common(request),
        transfer: request.id,
        filename: request.name,
        reason: detail === undefined ? 'unanswered' : 'busy',
        detail,
      });
    },
    onStart: (transfer) => observer.onStart?.(startRecord(transfer)),
    onEnd: (transfer, end) => {
      if (end.outcome === 'complete') crowd.served(transfer.client.address, clock.now());
      observer.onTransfer(transferRecord(transfer, end));
    },
    onWarning: observer.onWarning.bind(observer),
  };
}

function common({ client, local }: HttpRequest): Pick<StartRecord, 'protocol' | 'client' | 'local'> {
  return { protocol: 'http', client, local };
}

function refused(refusal: HttpRefusal): { readonly kind: Refusal; readonly reason: string } {
  if (refusal.status === 403) return { kind: refusalOf(refusal.denied), reason: refusal.denied.reason };
  return { kind: KINDS[refusal.status], reason: refusal.reason };
}

function startRecord(transfer: HttpTransfer): StartRecord {
  const { id, content, size, askedAt, startedAt } = transfer;
  const { label, origin = 'file', set } = content;
  return {
    ...common(transfer),
    id,
    file: label,
    origin,
    set,
    size,
    mode: 'octet',
    blksize: 0,
    windowsize: 0,
    waitedMs: startedAt - askedAt,
    queuedMs: 0,
  };
}

function transferRecord(
  transfer: HttpTransfer,
  { outcome, bytes, durationMs, fault }: HttpTransferEnd,
): Parameters<ServerObserver['onTransfer']>[0] {
  const start = startRecord(transfer);
  return {
    ...start,
    outcome,
    startedAt: transfer.startedAt,
    durationMs,
    blocks: 0,
    bytes,
    retransmits: 0,
    stale: 0,
    timeouts: 0,
    errorCode: undefined,
    errorText: outcome === 'clientError' ? 'Connection closed' : '',
    fault,
    firstReplyMs: start.waitedMs,
  };
}

/** Snapshot of a request. @param now same clock as its times, ms. */
export function httpView({ transfer, bytes, progressAt, ...request }: HttpView, now: number): TransferView {
  const { id, name, askedAt } = request;
  const content = transfer?.content;
  return {
    ...common(request),
    id,
    file: content?.label ?? name,
    origin: content === undefined ? undefined : (content.origin ?? 'file'),
    set: content?.set,
    state: transfer === undefined ? 'resolving' : 'running',
    size: transfer?.size ?? 0,
    bytes,
    retransmits: 0,
    blksize: 0,
    windowsize: 0,
    sinceMs: now - askedAt,
    silentMs: now - progressAt,
  };
}

export function isStuck({ progressAt, transfer }: HttpView, now: number): boolean {
  return transfer !== undefined && now - progressAt >= STUCK_MS;
}
