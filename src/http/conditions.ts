/**
 * Selects the part of a content that a GET or HEAD gets: all, one range, or nothing because the client has it. Follows
 * RFC 9110 §13.2.2 and §14. Pure; knows header fields and validators, no bytes.
 */

/** The header fields that decide, as received; a field that was not sent is missing. */
export interface Conditions {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
  readonly ifModifiedSince?: string;
  readonly ifUnmodifiedSince?: string;
  readonly ifRange?: string;
  readonly range?: string;
}

/** The properties of a content that conditions refer to. */
export interface Represented {
  /** Size in bytes. */
  readonly size: number;
  /** Opaque tag without quotes: equal tags mean equal bytes. undefined: the bytes have no tag. */
  readonly etag?: string | undefined;
  /** Time of the last change, ms since the epoch; undefined where unknown, or where a second does not distinguish it. */
  readonly modifiedMs?: number | undefined;
}

/** The selected status and bytes: `from` is the first byte, `to` the one after the last. */
export type Selection =
  | { readonly status: 200 | 206; readonly from: number; readonly to: number }
  | { readonly status: 304 | 412 | 416 };

const ENTITY_TAG = /(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"/g;
/** One range of bytes. Several ranges, other units and syntax errors are ignored, which RFC 9110 §14.2 allows. */
const RANGE = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i;
const IMF_DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
const RFC850_DATE = /^[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/;
const ASCTIME_DATE = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/** Returns an HTTP date (RFC 9110 §5.6.7) in seconds since the epoch; undefined for anything else. */
export function secondsOfDate(text: string): number | undefined {
  const isAscTime = ASCTIME_DATE.test(text);
  if (!isAscTime && !IMF_DATE.test(text) && !RFC850_DATE.test(text)) return undefined;
  const ms = Date.parse(isAscTime ? `${text} GMT` : text);
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000);
}

/** Returns whether a list of entity tags names `etag`. @param isStrong weak tags match only in a weak comparison. */
function names(list: string, etag: string | undefined, isStrong: boolean): boolean {
  if (list.trim() === '*') return true;
  if (etag === undefined) return false;
  for (const [, weak, tag] of list.matchAll(ENTITY_TAG))
    if (tag === etag && !(isStrong && weak !== undefined)) return true;
  return false;
}

/** Returns whether the content has changed after a date; undefined: the field must be ignored. */
function changedSince(date: string | undefined, modifiedMs: number | undefined): boolean | undefined {
  const since = date === undefined ? undefined : secondsOfDate(date);
  if (since === undefined || modifiedMs === undefined) return undefined;
  return Math.floor(modifiedMs / 1000) > since;
}

/** Returns whether a range still belongs to the bytes that the client has (RFC 9110 §13.1.5). */
function isSame(ifRange: string | undefined, { etag, modifiedMs }: Represented): boolean {
  if (ifRange === undefined) return true;
  const value = ifRange.trim();
  if (value.startsWith('"') || value.startsWith('W/')) return etag !== undefined && value === `"${etag}"`;
  return modifiedMs !== undefined && secondsOfDate(value) === Math.floor(modifiedMs / 1000);
}

function part(range: string, size: number): Selection | undefined {
  const [, first = '', last = ''] = RANGE.exec(range) ?? [];
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? { status: 416 } : { status: 206, from: size - length, to: size };
  }
  const from = Number(first);
  if (last !== '' && Number(last) < from) return undefined;
  if (from >= size) return { status: 416 };
  return { status: 206, from, to: last === '' ? size : Math.min(Number(last) + 1, size) };
}

/** Evaluates the conditions of a request. A range applies to GET alone (RFC 9110 §14.2). */
export function select(method: 'GET' | 'HEAD', conditions: Conditions, content: Represented): Selection {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince, ifRange, range } = conditions;
  const { size, etag, modifiedMs } = content;
  if (ifMatch !== undefined) {
    if (!names(ifMatch, etag, true)) return { status: 412 };
  } else if (changedSince(ifUnmodifiedSince, modifiedMs) === true) return { status: 412 };
  if (ifNoneMatch !== undefined) {
    if (names(ifNoneMatch, etag, false)) return { status: 304 };
  } else if (changedSince(ifModifiedSince, modifiedMs) === false) return { status: 304 };
  const wanted = method === 'GET' && range !== undefined && isSame(ifRange, content) ? part(range, size) : undefined;
  return wanted ?? { status: 200, from: 0, to: size };
}
