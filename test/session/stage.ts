/**
 * One session on a stage: every step it takes is recorded, packets are handed to it, and time passes only when a test
 * says so. Packets come from the byte builder, so their numbers are wire numbers.
 */
import type { ErrorCode } from '../../src/protocol/opcode.ts';
import { type Packet, createPacket, decode } from '../../src/protocol/packet.ts';
import { Receiver, type ReceiverPlan } from '../../src/session/receiver.ts';
import { Sender } from '../../src/session/sender.ts';
import type { SenderPlan } from '../../src/session/sender-plan.ts';
import type { Session, Steps } from '../../src/session/session.ts';

/** A datagram as the driver would pass it on. */
export function packetOf(datagram: Uint8Array): Packet {
  const packet = createPacket();
  const reason = decode(datagram, datagram.length, packet);
  if (reason !== undefined) throw new Error(`Expected a packet, got ${reason}`);
  return packet;
}

/** Steps as lines: `opening`, `data 3`, `ack 3`, `error 0 Timed out`, `keep 1024`. */
export class Script implements Steps {
  lines: string[] = [];
  /** `data` steps with their part of the file, as `3: 1024+512`. */
  parts: string[] = [];

  opening(): void {
    this.lines.push('opening');
  }

  data(block: number, offset: number, length: number): void {
    this.lines.push(`data ${block}`);
    this.parts.push(`${block}: ${offset}+${length}`);
  }

  ack(block: number): void {
    this.lines.push(`ack ${block}`);
  }

  /** Not a packet: the packets that follow show it. */
  acknowledged(): void {}

  error(code: ErrorCode, message: string): void {
    this.lines.push(`error ${code} ${message}`);
  }

  keep(offset: number): void {
    this.lines.push(`keep ${offset}`);
  }
}

export class Stage<S extends Session> {
  readonly session: S;
  readonly script = new Script();
  now = 0;

  constructor(session: S, now = 0) {
    this.session = session;
    this.now = now;
  }

  /** Returns the lines recorded since the last call. */
  take(): string[] {
    const { lines } = this.script;
    this.script.lines = [];
    return lines;
  }

  start(): string[] {
    this.session.start(this.now, this.script);
    return this.take();
  }

  /** Hands over datagrams that arrive now. @returns the lines they cause. */
  receive(...datagrams: Uint8Array[]): string[] {
    for (const datagram of datagrams) this.session.onPacket(packetOf(datagram), this.now, this.script);
    return this.take();
  }

  /** Lets time pass; timers run when they are due. Stops at the end of the session. */
  wait(ms: number): string[] {
    const until = this.now + ms;
    for (let turns = 0; this.session.outcome === undefined && this.session.deadline <= until; turns++) {
      if (turns > 10_000) throw new Error('The timers do not come to rest');
      this.now = Math.max(this.now, this.session.deadline);
      this.session.onDeadline(this.now, this.script);
    }
    this.now = until;
    return this.take();
  }

  /** Lets time pass until a line is recorded. @returns the time that passed, ms, and the lines. */
  next(): { waited: number; said: string[] } {
    const from = this.now;
    for (let turns = 0; this.session.outcome === undefined; turns++) {
      if (turns > 10_000) throw new Error('Nothing is ever said');
      this.now = Math.max(this.now, this.session.deadline);
      this.session.onDeadline(this.now, this.script);
      if (this.script.lines.length > 0) break;
    }
    return { waited: this.now - from, said: this.take() };
  }

  /** Lets time pass to the end of the session. @returns the time that passed, ms. */
  toEnd(): number {
    const from = this.now;
    while (this.session.outcome === undefined) this.wait(Math.max(0, this.session.deadline - this.now));
    return this.now - from;
  }
}

export const SEED = 7;

/** A sender of 512-byte blocks; by default it opens with an OACK and sends in lockstep. */
export function sender(plan: Partial<SenderPlan> & { size: number }, now = 0): Stage<Sender> {
  const defaults = {
    blksize: 512,
    windowsize: 1,
    rollover: 0,
    timeoutMs: 0,
    oack: true,
    seed: SEED,
    patienceMs: 60_000,
  };
  return new Stage(new Sender({ ...defaults, ...plan } as SenderPlan), now);
}

export function receiver(plan: Partial<ReceiverPlan> = {}): Stage<Receiver> {
  return new Stage(new Receiver({ wish: {}, seed: SEED, patienceMs: 60_000, lingerMs: 1000, ...plan }));
}

/** Lines for DATA `from` to `to`. */
export function dataLines(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, at) => `data ${from + at}`);
}
