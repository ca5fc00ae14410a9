/**
 * The recovery records of transfers: what another process needs to go on with them, besides the table. For each slot the request and the identity of
 * the content, and, for contents that can't be opened again, their bytes. Lies behind the table of transfers in the same
 * region. It is written before the transfer's record in the table, so that each record of the table finds its own.
 */
import type { TransferMode } from '../protocol/request.ts';
import { tableBytes } from './table-region.ts';

/** "RVLO" in memory. */
const MAGIC = 0x4f4c5652;
/** Raise it with every change of what follows. */
const LAYOUT = 1;
/** Words of the header. */
const HEADER = { magic: 0, layout: 1, slots: 2, highest: 3 } as const;
const HEADER_BYTES = 64;
/**
 * @limit Bytes of a request and its content's name that another process can go on with. Shows:
 *   `reveille_transfers_lost_total{reason="unrecorded"}`.
 */
const RECORD_BYTES = 1024;
/**
 * @limit Copies of contents that can't be opened again, in all. Shows:
 *   `reveille_transfers_lost_total{reason="unrecorded"}`.
 */
const TEXT_BYTES = 64 * 1024 * 1024;
/** Rooms for copies, of two sizes; each size has half of the memory. */
const TEXT_ROOMS = [4 * 1024, 64 * 1024].map((bytes) => ({ bytes, count: TEXT_BYTES / 2 / bytes }));

export interface RecoveryRecord {
  /** The request as text, which tells repeats from new requests. */
  readonly requestText: string;
  readonly filename: string;
  readonly mode: TransferMode;
  /** Equal identities mean equal bytes; undefined: `text` has the bytes. */
  readonly identity: string | undefined;
  /** Name for logs, and a kind of content, where `text` has the bytes. */
  readonly label: string;
  readonly kind: string | undefined;
}

interface TextPlace {
  /** Index in the region, and the class. */
  readonly at: number;
  readonly room: number;
}

/** Size of a region with a table and its recovery records, bytes. Pages that nothing has written take no memory. */
export function regionBytes(slots: number): number {
  return tableBytes(slots) + HEADER_BYTES + slots * RECORD_BYTES + TEXT_BYTES;
}

/** Prepares a region of regionBytes(slots) bytes, all zero behind its table. */
export function formatRecoveries(region: ArrayBufferLike, slots: number): void {
  const words = new Int32Array(region, tableBytes(slots), HEADER_BYTES >> 2);
  words[HEADER.layout] = LAYOUT;
  words[HEADER.slots] = slots;
  words[HEADER.magic] = MAGIC;
}

/** Returns why the recovery records that another process has left can't be used; undefined: they can. */
export function recoveriesMistake(region: ArrayBufferLike, slots: number): string | undefined {
  if (region.byteLength < regionBytes(slots)) return `expected ${regionBytes(slots)} bytes, got ${region.byteLength}`;
  const words = new Int32Array(region, tableBytes(slots), HEADER_BYTES >> 2);
  if (words[HEADER.magic] !== MAGIC) return 'expected the recovery records of transfers, got other bytes';
  const [layout, own] = [words[HEADER.layout]!, words[HEADER.slots]!];
  if (layout !== LAYOUT) return `expected recovery records of layout ${LAYOUT}, got layout ${layout}`;
  return own === slots ? undefined : `expected recovery records of ${slots} transfers, got ${own}`;
}

export class RecoveryRecords {
  readonly #header: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #from: number;
  readonly #slots: number;
  readonly #encoder = new TextEncoder();
  /** Where each class begins, and the places in it that are free again or have never been used. */
  readonly #free: { readonly at: number; next: number; readonly again: number[] }[] = [];
  readonly #texts = new Map<number, TextPlace>();

  /** @param region with a formatted table and recovery records. */
  constructor(region: ArrayBufferLike, slots: number) {
    this.#slots = slots;
    this.#header = new Int32Array(region, tableBytes(slots), HEADER_BYTES >> 2);
    this.#bytes = new Uint8Array(region);
    this.#words = new Int32Array(region);
    this.#from = tableBytes(slots) + HEADER_BYTES;
    let at = this.#from + slots * RECORD_BYTES;
    for (const { bytes, count } of TEXT_ROOMS) {
      this.#free.push({ at, next: 0, again: [] });
      at += bytes * count;
    }
  }

  /** Slots from here on have never been used. */
  get highest(): number {
    return Math.min(Math.max(0, this.#header[HEADER.highest]!), this.#slots);
  }

  /**
   * Writes the record of a transfer. @param text the bytes, where the content has no identity.
   *
   * @returns false when there is no room for it: another process can't go on with the transfer.
   */
  write(slot: number, recovery: RecoveryRecord, text?: Uint8Array): boolean {
    this.clear(slot);
    // Also without a record: the next process must tell the client that its transfer is lost.
    if (slot >= this.#header[HEADER.highest]!) this.#header[HEADER.highest] = slot + 1;
    const place = text === undefined ? undefined : this.#place(slot, text);
    if (recovery.identity === undefined && place === undefined) return false;
    const { requestText, filename, mode, identity = '', label, kind = '' } = recovery;
    const fields = [requestText, filename, mode, identity, label, kind, place?.at ?? 0, text?.length ?? 0];
    const at = this.#from + slot * RECORD_BYTES;
    const json = JSON.stringify(fields);
    const { read, written } = this.#encoder.encodeInto(json, this.#bytes.subarray(at + 4, at + RECORD_BYTES));
    if (read < json.length) {
      this.clear(slot);
      return false;
    }
    this.#words[at >> 2] = written;
    return true;
  }

  /** Call when the transfer is over. */
  clear(slot: number): void {
    this.#words[(this.#from + slot * RECORD_BYTES) >> 2] = 0;
    const text = this.#texts.get(slot);
    if (text === undefined) return;
    this.#texts.delete(slot);
    this.#free[text.room]!.again.push(text.at);
  }

  /** Returns the record of a slot; undefined: there is none, or it makes no sense. `text` is a copy. */
  read(slot: number): { readonly recovery: RecoveryRecord; readonly text: Uint8Array | undefined } | undefined {
    const at = this.#from + slot * RECORD_BYTES;
    const length = this.#words[at >> 2]!;
    if (length <= 0 || length > RECORD_BYTES - 4) return undefined;
    let fields: unknown;
    try {
      fields = JSON.parse(Buffer.from(this.#bytes.slice(at + 4, at + 4 + length)).toString());
    } catch {
      return undefined;
    }
    if (!isFields(fields)) return undefined;
    const [requestText, filename, mode, identity, label, kind, textAt, textLength] = fields;
    const end = this.#bytes.length;
    if (textAt < 0 || textLength < 0 || textAt + textLength > end) return undefined;
    return {
      recovery: {
        requestText,
        filename,
        mode: mode as TransferMode,
        identity: identity === '' ? undefined : identity,
        label,
        kind: kind === '' ? undefined : kind,
      },
      text: textAt === 0 ? undefined : this.#bytes.slice(textAt, textAt + textLength),
    };
  }

  #place(slot: number, text: Uint8Array): TextPlace | undefined {
    const room = TEXT_ROOMS.findIndex(
      ({ bytes, count }, index) =>
        text.length <= bytes && (this.#free[index]!.again.length > 0 || this.#free[index]!.next < count),
    );
    if (room < 0) return undefined;
    const free = this.#free[room]!;
    const at = free.again.pop() ?? free.at + free.next++ * TEXT_ROOMS[room]!.bytes;
    this.#bytes.set(text, at);
    const place = { at, room };
    this.#texts.set(slot, place);
    return place;
  }
}

type Fields = [string, string, string, string, string, string, number, number];

function isFields(value: unknown): value is Fields {
  if (!Array.isArray(value) || value.length !== 8) return false;
  const texts = value.slice(0, 6).every((field) => typeof field === 'string');
  return texts && (value[2] === 'octet' || value[2] === 'netascii') && value.slice(6).every(Number.isSafeInteger);
}
