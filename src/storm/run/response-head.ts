/**
 * Parses heads of HTTP responses as strictly as RFC 9112 allows, and keeps the parts that a simulated node acts on.
 * Pure: no sockets, no waiting.
 */

/**
 * Limit on a head, in bytes. A longer head counts as a fault of the server, because firmware has far less room.
 * @limit Head of an HTTP response, in bytes. Shows: `malformed-response` in the report.
 */
export const MAX_HEAD_BYTES = 16_384;

export interface ResponseHead {
  readonly status: number;
  /** True: the connection stays open for another request (RFC 9112 §9.3). */
  readonly keepAlive: boolean;
  /** Content-Length in bytes; undefined: the head has none. */
  readonly length: number | undefined;
  /** True where `HTTP/1.1` and `Content-Length: ` are spelled as GRUB reads them. */
  readonly toTheLetter: boolean;
  /** Value of Transfer-Encoding; undefined: none. */
  readonly encoding: string | undefined;
  /** A strong validator for If-Match; undefined: none. */
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  /** Value of Retry-After in seconds, or `date` if it is not a number; undefined if the field is missing. */
  readonly retryAfter: number | 'date' | undefined;
  /** Value of Content-Range, bytes `from` to `to` of `total`; undefined if the field is missing or incomplete. */
  readonly range: { readonly from: number; readonly to: number; readonly total: number } | undefined;
}

/** A head that breaks the grammar. */
export interface MalformedHead {
  /** The fault, as the end of "the head has": `a line without a colon`. */
  readonly wrong: string;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9]{2}) [\t -~\x80-\xff]*$/;
/** A token (RFC 9110 §5.6.2) and a value without control characters. */
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*$/;
const DIGITS = /^[0-9]{1,15}$/;
const RANGE = /^bytes ([0-9]{1,15})-([0-9]{1,15})\/([0-9]{1,15})$/;

/** Collects the fields of one head; later values of a name follow earlier ones. */
class Fields {
  readonly #values = new Map<string, string[]>();

  add(name: string, value: string): void {
    const key = name.toLowerCase();
    const values = this.#values.get(key);
    if (values === undefined) this.#values.set(key, [value]);
    else values.push(value);
  }

  get(name: string): string | undefined {
    return this.#values.get(name)?.join(', ');
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }
}

function readRange(value: string | undefined): ResponseHead['range'] {
  const match = RANGE.exec(value ?? '');
  if (match === null) return undefined;
  const [from, to, total] = match.slice(1).map(Number) as [number, number, number];
  return from <= to && to < total ? { from, to, total } : undefined;
}

function readRetryAfter(value: string | undefined): ResponseHead['retryAfter'] {
  if (value === undefined) return undefined;
  return DIGITS.test(value) ? Number(value) : 'date';
}

/** @param text the head without its empty line, one character for each byte. */
export function parseHead(text: string): ResponseHead | MalformedHead {
  const [first = '', ...lines] = text.split('\r\n');
  const status = STATUS_LINE.exec(first);
  if (status === null) return { wrong: 'no status line of HTTP/1.0 or HTTP/1.1' };
  const fields = new Fields();
  for (const line of lines) {
    const field = FIELD.exec(line);
    if (field === null) return { wrong: 'a line that is no field' };
    fields.add(field[1]!, field[2]!);
  }
  const lengths = [...new Set(fields.all('content-length'))];
  if (lengths.length > 1) return { wrong: 'two lengths' };
  const [length] = lengths;
  if (length !== undefined && !DIGITS.test(length)) return { wrong: 'a Content-Length that is no number' };
  const encoding = fields.get('transfer-encoding');
  if (length !== undefined && encoding !== undefined) return { wrong: 'a Content-Length beside a Transfer-Encoding' };
  const options = (fields.get('connection') ?? '').toLowerCase().split(/[ \t]*,[ \t]*/);
  const etag = fields.get('etag');
  return {
    status: Number(status[2]),
    keepAlive: !options.includes('close') && (status[1] === '1' || options.includes('keep-alive')),
    length: length === undefined ? undefined : Number(length),
    toTheLetter: status[1] === '1' && lines.some((line) => line.startsWith('Content-Length: ')),
    encoding,
    etag: etag?.startsWith('"') === true ? etag : undefined,
    lastModified: fields.get('last-modified'),
    retryAfter: readRetryAfter(fields.get('retry-after')),
    range: readRange(fields.get('content-range')),
  };
}
