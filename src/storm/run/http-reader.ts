/**
 * A node's requests over HTTP: asks for one name as its client does, repeats the request when that client would, and
 * reports the outcome. Knows no stages, search lists or sockets.
 */
import { STATUS_CODES } from 'node:http';
import { waitAfter } from '../../session/manners.ts';
import type { HttpProfile, HttpTrouble } from '../plan/profile.ts';
import { HTTP_PORT, requestTarget } from '../plan/request-target.ts';
import { formatHost } from '../../text/address-text.ts';
import type { Exchange, HttpConnection, HttpWire } from './http-connection.ts';
import { type Fetch, inSeconds, type NodeEnd, type NodeIdentity, type NodeSetting } from './node-setting.ts';
import type { ReceivedFile, ReceivedFiles } from './received-files.ts';
import type { ResponseHead } from './response-head.ts';

/** Bytes of a body that count as a block, for nodes that fall silent after so many: a full TCP segment on Ethernet. */
const BLOCK_BYTES = 1460;
/** Status codes for conditions that may be over in a moment (RFC 9110 §15). */
const BUSY: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
/** One day. After a longer Retry-After the client gives up. */
const MAX_RETRY_AFTER_S = 86_400;

/** A file while it is fetched, over all requests for it. */
interface Progress {
  file: ReceivedFile;
  /** Bytes received of the file: a request that resumes begins here. */
  offset: number;
  /** Length of the whole file; undefined until a response contains it. */
  total: number | undefined;
  /** Fields that make a range conditional on the same file; undefined: the server gave no validator. */
  condition: string | undefined;
}

/** The result of an exchange for the file. */
type Verdict =
  | { readonly kind: 'file' | 'miss' | 'vanished' | 'unfinished' }
  | {
      readonly kind: 'trouble';
      readonly reason: string;
      /** Trouble after which a client may ask again; undefined: every client gives up. */
      readonly trouble: HttpTrouble | undefined;
      /** Wait that the server asked for, ms; undefined: the client's own. */
      readonly waitMs?: number | undefined;
    };

function trouble(reason: string, kind?: HttpTrouble): Verdict {
  return { kind: 'trouble', reason, trouble: kind };
}

function statusText(status: number): string {
  return `${status} ${STATUS_CODES[status] ?? ''}`.trim();
}

/** @returns why a client cannot read the file that follows a head; undefined: it can. */
function unreadable(head: ResponseHead, profile: HttpProfile): string | undefined {
  if (head.encoding !== undefined) return 'the server sent the file in a transfer encoding and without its length';
  if (head.length === undefined) return 'the server gave no length for the file';
  return profile.toTheLetter && !head.toTheLetter
    ? 'the head lacks HTTP/1.1 or Content-Length in the spelling that the client reads'
    : undefined;
}

export class HttpReader {
  readonly #setting: NodeSetting;
  readonly #identity: NodeIdentity;
  readonly #files: ReceivedFiles;
  readonly #wire: HttpWire;
  #connection: HttpConnection | undefined;
  /** The client that opened the connection. Firmware, loader and initrd do not reuse each other's connections. */
  #client: HttpProfile | undefined;

  constructor(setting: NodeSetting, identity: NodeIdentity, files: ReceivedFiles) {
    this.#setting = setting;
    this.#identity = identity;
    this.#files = files;
    this.#wire = setting.wire;
  }

  /** Asks for one name. @returns whether the file exists, or how the boot ended. */
  async read(fetch: Fetch, profile: HttpProfile): Promise<boolean | NodeEnd> {
    const announced = profile.head ? await this.#probe(fetch, profile) : undefined;
    const { stage, index, name, where } = fetch;
    const progress: Progress = {
      file: this.#files.begin(stage, name, where),
      offset: 0,
      total: undefined,
      condition: undefined,
    };
    for (let sends = 1; ; sends++) {
      if (this.#setting.stopping()) return { kind: 'unfinished' };
      // oxlint-disable-next-line no-await-in-loop -- a node asks again only after the answer.
      const verdict = await this.#get(fetch, profile, progress, sends > 1);
      if (verdict.kind === 'file') {
        progress.file.whole(progress.offset);
        this.#compareLengths(announced, progress.offset, where);
        return true;
      }
      const wait = this.#waitBefore(profile, verdict, sends);
      if (wait === undefined || !profile.resumes) progress.file.cut();
      if (verdict.kind === 'miss') return false;
      if (verdict.kind !== 'trouble') return { kind: verdict.kind };
      if (wait === undefined) return { kind: 'failed', stage: index, reason: verdict.reason };
      // oxlint-disable-next-line no-await-in-loop -- as above.
      await this.#setting.pause(wait);
      this.#wire.askedAgain++;
      if (profile.resumes) continue;
      progress.file = this.#files.begin(stage, name, where);
      progress.offset = 0;
    }
  }

  /** Ends the node's connection, as its client does at the end of a boot. A node that vanished does not call it. */
  close(): void {
    this.#connection?.close('orderly');
  }

  /** @returns the file's length from HEAD. The client sends GET whatever the answer to HEAD is. */
  async #probe(fetch: Fetch, profile: HttpProfile): Promise<number | undefined> {
    const { end, head } = await this.#exchange(fetch, profile, {
      method: 'HEAD',
      fields: '',
      onHead: () => false,
      onBody: () => true,
    });
    this.#settle(profile, end === 'complete');
    this.#tell(fetch, 0, 0, 'other', end);
    return end === 'complete' && head?.status === 200 ? head.length : undefined;
  }

  async #get(fetch: Fetch, profile: HttpProfile, progress: Progress, again: boolean): Promise<Verdict> {
    const { fate } = this.#identity;
    const leaveAt =
      fate.vanishAtBlock === undefined
        ? Number.POSITIVE_INFINITY
        : Math.max(1, fate.vanishAtBlock - this.#files.blocks) * BLOCK_BYTES;
    let received = 0;
    let accepted = false;
    const exchange = await this.#exchange(fetch, profile, {
      method: 'GET',
      fields: this.#rangeOf(progress),
      onHead: (head) => {
        accepted = this.#accepts(head, profile, progress, fetch);
        return accepted;
      },
      onBody: (bytes, start, end) => {
        progress.file.feed(bytes, start, end, progress.offset);
        progress.offset += end - start;
        received += end - start;
        return received < leaveAt;
      },
    });
    this.#files.blocks += Math.ceil(received / BLOCK_BYTES);
    const verdict = this.#judge(exchange, profile, accepted);
    const whole = verdict.kind === 'file';
    const good = exchange.end === 'complete' && (whole || verdict.kind === 'trouble');
    if (verdict.kind !== 'vanished') this.#settle(profile, good && this.#mayKeep(verdict));
    const outcome = whole ? 'file' : verdict.kind === 'miss' ? 'miss' : 'other';
    this.#tell(fetch, received, Number(again), outcome, exchange.end);
    return verdict;
  }

  /** After an error a client closes the connection, unless it is about to repeat the request. */
  #mayKeep(verdict: Verdict): boolean {
    return verdict.kind === 'file' || (verdict.kind === 'trouble' && verdict.trouble === 'retry-after');
  }

  /** Fields of a request that goes on where the body ended (RFC 9110 §14.2, §13.1.1); empty for a whole file. */
  #rangeOf({ offset, total, condition }: Progress): string {
    return offset === 0 ? '' : `Range: bytes=${offset}-${(total ?? 0) - 1}\r\n${condition ?? ''}`;
  }

  /** @returns whether the body belongs to the file; if so, its bytes are fed at `progress.offset`. */
  #accepts(head: ResponseHead, profile: HttpProfile, progress: Progress, { stage, name, where }: Fetch): boolean {
    if (unreadable(head, profile) !== undefined) return false;
    if (head.status === 206) return progress.offset > 0 && this.#continues(head, progress, where);
    if (head.status !== 200) return false;
    if (progress.offset > 0) {
      // The server ignored the range, so the file starts over.
      progress.file.cut();
      progress.file = this.#files.begin(stage, name, where);
      progress.offset = 0;
    }
    progress.total = head.length;
    const { etag, lastModified } = head;
    if (etag !== undefined) progress.condition = `If-Match: ${etag}\r\n`;
    else progress.condition = lastModified === undefined ? undefined : `If-Unmodified-Since: ${lastModified}\r\n`;
    return true;
  }

  #continues({ range, length }: ResponseHead, { offset, total }: Progress, where: string): boolean {
    const fits = range?.from === offset && range.total === total && range.to === total - 1;
    if (fits && length === total - offset) return true;
    this.#setting.tell.violation('range-wrong', where);
    return false;
  }

  /** @param accepted whether the body belonged to the file. */
  #judge({ end, head, detail }: Exchange, profile: HttpProfile, accepted: boolean): Verdict {
    switch (end) {
      case 'complete':
        return accepted ? { kind: 'file' } : this.#judgeStatus(head!, profile);
      case 'left':
        return { kind: 'vanished' };
      case 'aborted':
        return this.#setting.stopping() ? { kind: 'unfinished' } : trouble('aborted');
      case 'refused':
        return trouble("nobody listens on the server's port", 'refused');
      case 'unconnected':
        if (detail !== '') return trouble(`no connection: ${detail}`, 'silence');
        return trouble(`no connection within ${inSeconds(profile.connectMs)}`, 'silence');
      case 'unanswered':
        return trouble(`no answer to the request within ${inSeconds(profile.headMs)}`, 'silence');
      case 'silent':
        return trouble(`the server went silent in the middle for ${inSeconds(profile.bodyMs)}`, 'silence');
      case 'closed':
        return trouble('the server closed the connection before it answered', 'lost');
      case 'cut':
        return trouble('the server closed the connection in the middle', 'lost');
      case 'malformed':
        return trouble(`the response can't be read: its head has ${detail}`);
      case 'own-error':
        return trouble(`the storm's own machine could not open a connection (${detail})`);
    }
  }

  /** Judges a response whose body is not the file's. */
  #judgeStatus(head: ResponseHead, profile: HttpProfile): Verdict {
    const { status, retryAfter } = head;
    if (status === 404) return { kind: 'miss' };
    if (status === 200 || status === 206) {
      return trouble(unreadable(head, profile) ?? 'the server sent another range than was asked for');
    }
    const waitMs =
      typeof retryAfter === 'number' && retryAfter <= MAX_RETRY_AFTER_S ? Math.max(1, retryAfter * 1000) : undefined;
    const kinds: HttpTrouble[] = [
      ...(retryAfter === undefined ? [] : (['retry-after'] as const)),
      ...(BUSY.has(status) ? (['busy'] as const) : []),
    ];
    return {
      kind: 'trouble',
      reason: `the server answered ${statusText(status)}`,
      trouble: kinds.find((kind) => profile.asksAgainAfter.includes(kind)),
      waitMs,
    };
  }

  /** @returns the wait before the client asks again, ms; undefined: it gives up. */
  #waitBefore({ schedule, asksAgainAfter }: HttpProfile, verdict: Verdict, sends: number): number | undefined {
    if (verdict.kind !== 'trouble' || verdict.trouble === undefined || !asksAgainAfter.includes(verdict.trouble))
      return undefined;
    if (sends >= schedule.sends) return undefined;
    return verdict.waitMs ?? waitAfter(schedule, sends);
  }

  #compareLengths(announced: number | undefined, length: number, where: string): void {
    if (announced === undefined || announced === length) return;
    this.#setting.tell.violation('head-length-wrong', `${where}: ${length} bytes, HEAD said ${announced}`);
  }

  /** Sends one request, on the kept connection where there is one. */
  async #exchange(
    fetch: Fetch,
    profile: HttpProfile,
    request: {
      readonly method: 'GET' | 'HEAD';
      readonly fields: string;
      readonly onHead: (head: ResponseHead) => boolean;
      readonly onBody: (bytes: Uint8Array, start: number, end: number) => boolean;
    },
  ): Promise<Exchange> {
    const { tell, time } = this.#setting;
    const connection = this.#connect(profile);
    const reused = connection.exchanges > 0;
    const begun = time();
    const exchange = await connection.exchange({
      request: this.#requestText(profile, request.method, fetch.name, request.fields),
      bodiless: request.method === 'HEAD',
      connectMs: profile.connectMs,
      headMs: profile.headMs,
      bodyMs: profile.bodyMs,
      crawlMs: this.#identity.fate.crawlMs,
      onFirst: () => tell.firstReply(fetch.index, time() - begun),
      onHead: request.onHead,
      onBody: request.onBody,
      onSurplus: () => tell.violation('surplus-bytes', fetch.where),
    });
    if (exchange.end === 'malformed') tell.violation('malformed-response', `${fetch.where}: ${exchange.detail}`);
    if (exchange.end !== 'closed' || !reused || !profile.reopens) return exchange;
    this.#connection = undefined;
    this.#wire.askedAgain++;
    this.#tell(fetch, 0, 1, 'other', exchange.end);
    return await this.#exchange(fetch, profile, request);
  }

  #connect(profile: HttpProfile): HttpConnection {
    if (this.#client !== profile) this.#connection?.close('orderly');
    this.#client = profile;
    if (this.#connection?.usable !== true) {
      const { shared, local } = this.#identity;
      this.#connection = this.#wire.connection(shared ? local : undefined);
    }
    return this.#connection;
  }

  /** Keeps or closes the connection after an exchange. */
  #settle({ keepAliveMs, resets }: HttpProfile, good: boolean): void {
    if (good && keepAliveMs > 0) this.#connection?.keep(keepAliveMs);
    else this.#connection?.close(resets ? 'reset' : 'orderly');
  }

  #requestText({ fields }: HttpProfile, method: string, name: string, more: string): string {
    const { address, port } = this.#wire.server;
    const host = formatHost(address);
    const lines = fields.map(({ name: field, value }) => {
      const filled = value.replace('{host}', host).replace('{port}', port === HTTP_PORT ? '' : `:${port}`);
      return `${field}: ${filled}\r\n`;
    });
    return `${method} ${requestTarget(name)} HTTP/1.1\r\n${lines.join('')}${more}\r\n`;
  }

  #tell(
    { index }: Fetch,
    bytes: number,
    retransmits: number,
    end: 'file' | 'miss' | 'other',
    exchange: Exchange['end'],
  ): void {
    const unheard = exchange === 'unanswered' || exchange === 'unconnected' ? 1 : 0;
    this.#setting.tell.transfer(index, { bytes, retransmits }, end, unheard);
  }
}
