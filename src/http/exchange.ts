/**
 * One request in the main thread: resolves its name and holds its content until no thread refers to it. Waits for a busy
 * source up to a limit; knows no sockets.
 */
import type { BootRequest, Content, Supply } from '../content/types.ts';
import { type Conditions, type Represented, select } from './conditions.ts';
import { contentHead, type Head, type PlainStatus, plainHead } from './head.ts';
import type { Body, Ending, Place } from './messages.ts';
import { nameOfTarget } from './request-target.ts';
import {
  HTTP_FAULTS,
  type HttpAnswer,
  type HttpHost,
  type HttpOutcome,
  type HttpRequest,
  type HttpTransfer,
  type HttpView,
} from './types.ts';

/**
 * Interval between the first two lookups of a content that can't be had now, ms. It doubles up to the second value: a
 * thousand waiting clients must not keep the main thread from the requests of others.
 */
const LOOK_AGAIN_MS = 50;
const LONGEST_LOOK_AGAIN_MS = 400;

const OUTCOMES: Readonly<Record<Exclude<Ending, 'whole'>, readonly [HttpOutcome, string | undefined]>> = {
  closed: ['clientError', 'The client closed the connection'],
  stalled: ['timeout', undefined],
  unreadable: ['aborted', HTTP_FAULTS.unreadable],
  cut: ['aborted', HTTP_FAULTS.stopped],
};

export interface Asked {
  readonly method: string;
  readonly target: string;
  readonly conditions: Conditions;
  readonly client: HttpRequest['client'];
  readonly local: string;
}

/** The thread that answers. */
export interface Answering {
  answer(head: Head, body: Body | undefined): void;
  arrived(bytes: number): void;
  lost(): void;
}

export interface ExchangeOptions {
  readonly host: HttpHost;
  /** The thread's number of the connection. */
  readonly connection: number;
  readonly asked: Asked;
  readonly thread: Answering;
  readonly waitMs: number;
  readonly placeOf: (content: Content) => Place;
  /** Called for each 503. */
  readonly onOverload: () => void;
  /** Called with the bytes of the body that have been sent since the last call. */
  readonly onSent: (bytes: number) => void;
}

export class Exchange {
  readonly #options: ExchangeOptions;
  readonly #request: HttpRequest;
  #content: Content | undefined;
  #transfer: HttpTransfer | undefined;
  #lookAgainMs = LOOK_AGAIN_MS;
  #isAnswered = false;
  #isOver = false;
  /** The reason of the last busy answer. */
  #reason: string | undefined;
  /** Bytes that the thread knows to have arrived, while it waits for more. */
  #awaited: number | undefined;
  #bytes = 0;
  #progressAt: number;
  #cancelDeadline: () => void = () => {};
  #cancelLook: () => void = () => {};
  #unwatch: () => void = () => {};

  constructor(options: ExchangeOptions) {
    this.#options = options;
    const { asked, host } = options;
    const askedAt = host.clock.now();
    const name = nameOfTarget(asked.target);
    const { client, local, method } = asked;
    this.#request = { id: host.nextId(), client, local, name: name ?? asked.target, askedAt };
    this.#progressAt = askedAt;
    host.onRequest(this.#request);
    if (method !== 'GET' && method !== 'HEAD') this.#refuse(405, 'a method other than GET and HEAD');
    else if (name === undefined) this.#refuse(400, 'no valid path');
    else {
      this.#cancelDeadline = host.clock.wake(askedAt + options.waitMs, () => this.#giveUpWaiting());
      this.#look();
    }
  }

  get connection(): number {
    return this.#options.connection;
  }

  get view(): HttpView {
    return { ...this.#request, transfer: this.#transfer, bytes: this.#bytes, progressAt: this.#progressAt };
  }

  /** True while bytes of the content are sent. */
  get isSending(): boolean {
    return this.#transfer !== undefined;
  }

  /** The thread has nothing left to send. @param passed see ToMain. */
  needs(passed: number, arrived: number): void {
    const supply = this.#content?.supply;
    if (supply === undefined) return;
    this.#awaited = arrived;
    supply.acknowledge(passed);
    this.#tellArrived(supply);
  }

  progress(bytes: number): void {
    this.#options.onSent(bytes - this.#bytes);
    this.#bytes = bytes;
    this.#progressAt = this.#options.host.clock.now();
  }

  /** Call when the thread no longer refers to the content. */
  end(sent: number, ending: Ending, fault?: string): void {
    if (this.#isOver) return;
    const { host } = this.#options;
    this.#isOver = true;
    this.#cancelDeadline();
    this.#cancelLook();
    this.#unwatch();
    const transfer = this.#transfer;
    this.#content?.release(this.#isAnswered);
    if (transfer === undefined) {
      if (!this.#isAnswered) host.onDrop(this.#request, undefined);
      return;
    }
    const [outcome, told] = ending === 'whole' ? [wholeOutcome(transfer), undefined] : OUTCOMES[ending];
    const durationMs = host.clock.now() - transfer.startedAt;
    this.#options.onSent(Math.max(0, sent - this.#bytes));
    host.onEnd(transfer, { outcome, bytes: sent, durationMs, fault: fault ?? told });
  }

  #look(): void {
    const { host, asked } = this.#options;
    const { client, local } = asked;
    const request: BootRequest = { filename: this.#request.name, mode: 'octet', client: client.address, local };
    const answer = host.resolve(request);
    if ('kind' in answer) this.#take(answer);
    else void answer.then((late) => this.#take(late));
  }

  #take(answer: HttpAnswer): void {
    if (this.#isOver || this.#isAnswered) {
      if (answer.kind === 'content') answer.release();
      return;
    }
    switch (answer.kind) {
      case 'content':
        this.#content = answer;
        return this.#whenBegun(answer);
      case 'missing':
        return this.#refuse(404, 'no such file');
      case 'denied':
        this.#plain(403);
        return this.#options.host.onRefusal(this.#request, { status: 403, denied: answer });
      case 'busy':
        return this.#lookLater(answer.reason);
    }
  }

  #lookLater(reason: string): void {
    const { clock } = this.#options.host;
    this.#reason = reason;
    this.#cancelLook = clock.wake(clock.now() + this.#lookAgainMs, () => this.#look());
    this.#lookAgainMs = Math.min(2 * this.#lookAgainMs, LONGEST_LOOK_AGAIN_MS);
  }

  /** Waits for the first byte of a file that is being read: if the reading fails by then, the name is looked up again. */
  #whenBegun(content: Content): void {
    const { supply } = content;
    supply?.cut(1);
    const look = (): void => {
      if (this.#isAnswered || this.#isOver) return;
      if (supply?.failure !== undefined) {
        this.#unwatch();
        this.#content = undefined;
        content.release();
        this.#lookLater('the file could not be read to its end');
      } else if (supply === undefined || supply.arrived > 0 || supply.isWhole) this.#begin(content);
    };
    if (supply !== undefined) {
      this.#unwatch = supply.watch(() => {
        if (this.#isAnswered) this.#tellArrived(supply);
        else look();
      });
    }
    look();
  }

  #begin(content: Content): void {
    const { asked, host, thread, placeOf } = this.#options;
    const { supply, validators } = content;
    const represented: Represented = { size: supply?.size ?? content.handle.length, ...validators?.() };
    const { size } = represented;
    const selection = select(asked.method as 'GET' | 'HEAD', asked.conditions, represented);
    const part = asked.method === 'GET' && 'from' in selection ? selection : undefined;
    const bodyBytes = part === undefined ? 0 : part.to - part.from;
    const startedAt = host.clock.now();
    this.#isAnswered = true;
    this.#progressAt = startedAt;
    this.#cancelDeadline();
    this.#transfer = { ...this.#request, content, size, bodyBytes, status: selection.status, startedAt };
    host.onStart(this.#transfer);
    const body = part === undefined || bodyBytes === 0 ? undefined : bodyOf(content, part, placeOf(content));
    thread.answer(contentHead(this.#request.name, selection, represented), body);
    // The client's address is proven, so the rest may be read.
    if (body !== undefined) supply?.acknowledge(0);
  }

  #giveUpWaiting(): void {
    const content = this.#content;
    // The size is known, so the head can be sent: clients wait longer for a body than for a head.
    if (content !== undefined) return this.#begin(content);
    const { host, onOverload } = this.#options;
    onOverload();
    this.#plain(503);
    host.onDrop(this.#request, this.#reason ?? 'its content was not there in time');
  }

  #refuse(status: 400 | 404 | 405, reason: string): void {
    this.#plain(status);
    this.#options.host.onRefusal(this.#request, { status, reason });
  }

  #plain(status: PlainStatus): void {
    this.#isAnswered = true;
    this.#cancelDeadline();
    this.#cancelLook();
    this.#options.thread.answer(plainHead(status), undefined);
  }

  #tellArrived({ arrived, failure }: Supply): void {
    if (this.#awaited === undefined) return;
    if (arrived > this.#awaited) {
      this.#awaited = undefined;
      this.#options.thread.arrived(arrived);
    } else if (failure !== undefined) {
      this.#awaited = undefined;
      this.#options.thread.lost();
    }
  }
}

function bodyOf({ supply }: Content, { from, to }: { from: number; to: number }, place: Place): Body {
  return { place, from, to, arrived: supply?.arrived ?? to, ringBytes: supply?.ringBytes ?? 0 };
}

/** HEAD, 304, 412 and 416 send no bytes of the content: they count as probes. */
function wholeOutcome({ status, bodyBytes, size }: HttpTransfer): HttpOutcome {
  return bodyBytes > 0 || (status === 200 && size === 0) ? 'complete' : 'probe';
}
