/**
 * One simulated node from power-on to the end of its boot: stage after stage, name after name, as its firmware would.
 * Knows requests and their outcomes; threads, reports and the terminal are handled elsewhere.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Driver } from '../../engine/driver.ts';
import type { TransferReport } from '../../engine/report.ts';
import type { Address } from '../../engine/types.ts';
import { encodeReadRequest, MAX_CONTROL } from '../../protocol/encode.ts';
import type { Settled, Wish } from '../../protocol/negotiate.ts';
import { ERROR_CODE, OPCODE } from '../../protocol/opcode.ts';
import { patienceOf, type Stop } from '../../session/manners.ts';
import { Receiver } from '../../session/receiver.ts';
import type { Expectation, FileCheck } from './expected.ts';
import type { NodeFate } from '../plan/fault-plan.ts';
import type { BootPlan, Stage } from '../plan/plan.ts';
import type { Profile, RequestOption } from '../plan/profile.ts';
import type { Random } from '../plan/random.ts';
import { expand, type Variables } from '../plan/variables.ts';
import type { ViolationId } from '../violations.ts';

/** Settings shared by the nodes of a thread. */
export interface NodeSetting {
  readonly driver: Driver;
  readonly server: Address;
  readonly plan: BootPlan;
  readonly expectation: Expectation | undefined;
  /** True: each longer transfer sends one ACK twice, to test the server's reaction. */
  readonly doubledAcks: boolean;
  /** Milliseconds of a monotonic clock, with fractions. */
  readonly time: () => number;
  /** Resolves after `ms` milliseconds, or at once when the storm is being stopped. */
  readonly pause: (ms: number) => Promise<void>;
  readonly stopping: () => boolean;
  readonly tell: NodeObserver;
}

/** Receives the events of a thread's nodes as they happen. */
export interface NodeObserver {
  stage(node: number, stage: number): void;
  bytes(count: number): void;
  /** A request got its first reply. */
  firstReply(stage: number, ms: number): void;
  /** The server sent `count` packets again. */
  copies(stage: number, count: number): void;
  /** @param unheard sends of the request that got no answer in time. */
  transfer(stage: number, report: TransferReport, end: 'file' | 'miss' | 'other', unheard: number): void;
  /** A stage has ended well. @param ms time since its first request. */
  stageDone(stage: number, ms: number): void;
  violation(id: ViolationId, example: string): void;
  wrongFile(example: string): void;
  /** A file was read that could not be compared with anything. */
  uncompared(): void;
  /** From here on no version matches all the files that the node has received. Called once. */
  mixed(example: string): void;
}

export interface NodeIdentity {
  readonly number: number;
  /** The address from which the node sends, and whether its socket is shared with others. */
  readonly local: string;
  readonly shared: boolean;
  readonly variables: Variables;
  readonly fate: NodeFate;
  /** The node's firmware in all stages, whatever the plan says; undefined: the plan's. */
  readonly profile: Profile | undefined;
  readonly random: Random;
}

export type NodeEnd =
  | { readonly kind: 'completed' | 'vanished' | 'unfinished' }
  | { readonly kind: 'failed'; readonly stage: number; readonly reason: string; readonly silence?: Silence };

/** Silence of the server in mid-transfer, from this moment in milliseconds of `time` until the node gave up. */
export interface Silence {
  readonly from: number;
  readonly example: string;
}

/** The outcome of one request. */
interface Attempt {
  readonly report: TransferReport;
  readonly receiver: Receiver;
  readonly lastHeard: number;
  /** Versions that the file is equal to, as bits; undefined: there was nothing to compare with. */
  readonly versions: number | undefined;
}

/** Transfers with fewer blocks do not send an ACK twice. */
const DOUBLED_ACK = 3;

function wishOf(options: readonly RequestOption[]): Wish {
  const value = (name: string): number | undefined => {
    const found = options.find((option) => option.name.toLowerCase() === name);
    return found === undefined ? undefined : Number(found.value);
  };
  return {
    blksize: value('blksize'),
    windowsize: value('windowsize'),
    timeout: value('timeout'),
    tsize: value('tsize') !== undefined,
  };
}

function inSeconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

export class BootingNode {
  readonly #setting: NodeSetting;
  readonly #identity: NodeIdentity;
  /** Versions that every file so far is equal to. */
  #versions: number;
  #mixed = false;
  #turn = 0;
  #blocks = 0;

  constructor(setting: NodeSetting, identity: NodeIdentity) {
    this.#setting = setting;
    this.#identity = identity;
    this.#versions = setting.expectation?.all ?? 0;
    // Nodes do not all begin at the same port.
    this.#turn = identity.number;
  }

  async boot(): Promise<NodeEnd> {
    const { plan, tell, time, pause, stopping } = this.#setting;
    const { number, random } = this.#identity;
    for (const [index, stage] of plan.stages.entries()) {
      tell.stage(number, index);
      const { fromMs, toMs } = stage.think;
      if (toMs > 0) await pause(fromMs + random.next() * (toMs - fromMs));
      if (stopping()) return { kind: 'unfinished' };
      const begun = time();
      const end = await this.#pass(stage, index);
      if (end !== undefined) return end;
      tell.stageDone(index, time() - begun);
    }
    return { kind: 'completed' };
  }

  /** Runs one stage. @returns how the boot ended here, or undefined when it goes on. */
  async #pass(stage: Stage, index: number): Promise<NodeEnd | undefined> {
    let last = '';
    for (const template of stage.search) {
      const name = expand(template, this.#identity.variables);
      for (let turn = 1; ; turn++) {
        const found = await this.#read(stage, index, name);
        if (this.#setting.stopping()) return { kind: 'unfinished' };
        if (typeof found === 'object') return found;
        if (!found) break;
        if (turn === stage.repeat) return undefined;
      }
      last = name;
    }
    if (stage.optional) return undefined;
    const names = stage.search.length === 1 ? '' : ` nor any of ${stage.search.length - 1} names before it`;
    return { kind: 'failed', stage: index, reason: `the server has no such file${names}: ${last}` };
  }

  /** Probes and reads one name. @returns whether the file exists, or how the boot ended. */
  async #read(stage: Stage, index: number, name: string): Promise<boolean | NodeEnd> {
    const profile = this.#profileOf(stage);
    if (profile.probe !== undefined) {
      const { options, code, message } = profile.probe;
      const probe = await this.#ask(stage, index, name, options, { afterBlocks: 0, code, message });
      if (probe.report.outcome !== 'probe' && probe.report.outcome !== 'complete') {
        return this.#judge(stage, index, name, probe);
      }
    }
    return this.#judge(stage, index, name, await this.#ask(stage, index, name, profile.options, this.#stopIn(stage)));
  }

  /** @returns the point at which the node leaves the file on purpose. */
  #stopIn(stage: Stage): Stop | undefined {
    const { closeAfterBlocks } = stage;
    const { vanishAtBlock } = this.#identity.fate;
    if (vanishAtBlock !== undefined) return { afterBlocks: Math.max(1, vanishAtBlock - this.#blocks), code: 0 };
    return closeAfterBlocks === undefined
      ? undefined
      : { afterBlocks: closeAfterBlocks, ...this.#profileOf(stage).close };
  }

  /** Decides what an attempt means for the boot. @returns whether the file exists, or how the boot ended. */
  #judge(stage: Stage, index: number, name: string, attempt: Attempt): boolean | NodeEnd {
    const { report, receiver, lastHeard, versions } = attempt;
    const { vanishAtBlock } = this.#identity.fate;
    const where = this.#where(stage, name);
    const failed = (reason: string, silence?: Silence): NodeEnd => ({
      kind: 'failed',
      stage: index,
      reason,
      ...(silence === undefined ? {} : { silence }),
    });
    switch (report.outcome) {
      case 'complete':
      case 'completeUnconfirmed':
        this.#compare(versions, where);
        return true;
      case 'probe':
        return vanishAtBlock !== undefined && this.#blocks >= vanishAtBlock ? { kind: 'vanished' } : true;
      case 'refused':
        if (receiver.violation !== undefined) return failed(receiver.violation);
        if (report.errorCode === ERROR_CODE.FILE_NOT_FOUND) return false;
        return failed(`the server refused with ERROR ${report.errorCode} ${report.errorText}`);
      case 'clientError':
        return failed(`the server ended the transfer in the middle with ERROR ${report.errorCode} ${report.errorText}`);
      case 'unreachable':
        return failed(`nobody listens on the server's port`);
      case 'timeout': {
        const { manners } = this.#profileOf(stage);
        if (!receiver.answered) {
          return failed(`no answer to the request within ${inSeconds(patienceOf(manners.request))}`);
        }
        const now = this.#setting.time();
        if (now - lastHeard < patienceOf(manners.data) * 0.9) {
          return failed(`the file took longer than ${inSeconds(manners.fileMs ?? 0)}`);
        }
        const silence = { from: lastHeard, example: where };
        return failed(`the server went silent in the middle for ${inSeconds(patienceOf(manners.data))}`, silence);
      }
      case 'aborted':
        return this.#setting.stopping() ? { kind: 'unfinished' } : failed(report.fault ?? 'aborted');
    }
  }

  #compare(versions: number | undefined, where: string): void {
    // A wrong file says nothing about versions.
    if (versions === undefined || versions === 0 || this.#mixed) return;
    this.#versions &= versions;
    if (this.#versions !== 0) return;
    this.#mixed = true;
    this.#setting.tell.mixed(where);
  }

  #profileOf(stage: Stage): Profile {
    return this.#identity.profile ?? stage.profile;
  }

  #where(stage: Stage, name: string): string {
    return `node ${this.#identity.number}, ${stage.name}: ${name}`;
  }

  async #ask(
    stage: Stage,
    index: number,
    name: string,
    options: readonly RequestOption[],
    stop: Stop | undefined,
  ): Promise<Attempt> {
    const { driver, server, tell, time, doubledAcks, expectation } = this.#setting;
    const { local, shared, random, fate } = this.#identity;
    const profile = this.#profileOf(stage);
    const where = this.#where(stage, name);
    const receiver = new Receiver({
      wish: wishOf(options),
      seed: 1 + Math.floor(random.next() * 0x7ffffffe),
      patienceMs: 0,
      lingerMs: profile.lingerMs,
      manners: profile.manners,
      stop,
      doubledAck: doubledAcks && profile.manners.unexpected !== 'hang' ? DOUBLED_ACK : undefined,
      ackDelayMs: fate.crawlMs,
    });
    if (profile.ports === 'new') this.#turn++;
    const opening = new Uint8Array(MAX_CONTROL);
    const spelled = options.map((option) => ({ spelling: option.name, value: option.value }));
    const length = encodeReadRequest(opening, Buffer.from(name, 'utf8').toString('latin1'), 'octet', spelled);
    const check = expectation?.check(name);
    const hash = stage.sha256 === undefined || check !== undefined ? undefined : createHash('sha256');
    const heard = new Heard(
      receiver,
      time,
      (ms) => tell.firstReply(index, ms),
      (count) => tell.copies(index, count),
    );
    let strangers = 0;
    const report = await driver.run({
      session: receiver,
      link: {
        local,
        peer: server,
        peerPort: 'learn',
        shared: shared ? this.#turn : undefined,
      },
      opening: opening.subarray(0, length),
      keep: (bytes, start, end, offset) => {
        tell.bytes(end - start);
        check?.feed(bytes, start, end, offset);
        hash?.update(bytes.subarray(start, end));
      },
      supervision: heard,
      onStranger: (bytes, size) => {
        if (strangers++ === 0) tell.violation(strangerIn(bytes, size, receiver.settled), where);
      },
    });
    heard.end();
    this.#blocks += report.blocks;
    for (const breach of receiver.breaches) tell.violation(breach, where);
    if (receiver.violation !== undefined && report.outcome === 'refused' && !profile.manners.needsOack) {
      tell.violation('bad-answer', `${where}: ${receiver.violation}`);
    }
    const whole = report.outcome === 'complete' && report.bytes === receiver.tally.bytes;
    const versions = whole ? this.#verify(stage, check, hash, report.bytes, where) : undefined;
    // The part of a file that was read before the transfer ended early can be wrong as well.
    if (!whole && check !== undefined && check.wrongAt >= 0) tell.wrongFile(wrongAt(where, check));
    const miss = report.outcome === 'refused' && report.errorCode === ERROR_CODE.FILE_NOT_FOUND;
    tell.transfer(index, report, whole ? 'file' : miss ? 'miss' : 'other', receiver.unheard);
    return { report, receiver, lastHeard: heard.last, versions };
  }

  /** @returns the versions that the file is equal to; undefined when there was nothing to compare with. */
  #verify(
    stage: Stage,
    check: FileCheck | undefined,
    hash: Hash | undefined,
    length: number,
    where: string,
  ): number | undefined {
    const { tell } = this.#setting;
    const versions = check?.end(length);
    if (versions === 0) tell.wrongFile(wrongAt(where, check!));
    const sized = stage.size === undefined || stage.size === length;
    const digested = hash === undefined || hash.digest('hex') === stage.sha256;
    if (check === undefined && !sized) tell.wrongFile(`${where}: expected ${stage.size} bytes, got ${length}`);
    else if (check === undefined && !digested)
      tell.wrongFile(`${where}: expected the sha256 of the plan, got another one`);
    // A size alone does not count as a comparison.
    if (check === undefined && hash === undefined) tell.uncompared();
    return versions;
  }
}

function wrongAt(where: string, check: FileCheck): string {
  return `${where}: first wrong byte at or after ${check.wrongAt}`;
}

/** @returns the rule broken by a packet that comes from the server's host, but from a second port. */
function strangerIn(bytes: Uint8Array, length: number, settled: Settled | undefined): ViolationId {
  const first =
    bytes[1] === OPCODE.OACK || (bytes[1] === OPCODE.DATA && length >= 4 && bytes[2] === 0 && bytes[3] === 1);
  return first && settled !== undefined ? 'duplicate-tid' : 'tid-changed';
}

/** Times of a transfer's first and last packets, and the number of packets that came again. */
class Heard {
  readonly #receiver: Receiver;
  readonly #time: () => number;
  readonly #onFirst: (ms: number) => void;
  readonly #onCopies: (count: number) => void;
  readonly #begun: number;
  #first = false;
  #last: number;
  #blocks = -1;
  #stale = 0;
  #copies = 0;

  constructor(
    receiver: Receiver,
    time: () => number,
    onFirst: (ms: number) => void,
    onCopies: (count: number) => void,
  ) {
    this.#receiver = receiver;
    this.#time = time;
    this.#onFirst = onFirst;
    this.#onCopies = onCopies;
    this.#begun = this.#last = time();
  }

  get last(): number {
    return this.#last;
  }

  onProgress(): void {
    const { tally, answered } = this.#receiver;
    if (!answered || (tally.blocks === this.#blocks && tally.stale === this.#stale)) return;
    this.#blocks = tally.blocks;
    this.#stale = tally.stale;
    this.#last = this.#time();
    this.#tellCopies();
    if (this.#first) return;
    this.#first = true;
    this.#onFirst(this.#last - this.#begun);
  }

  attend(): void {}

  /** Records the first reply of a transfer that the same reply ended. */
  end(): void {
    if (!this.#first && this.#receiver.answered) this.onProgress();
    this.#tellCopies();
  }

  #tellCopies(): void {
    const { copies } = this.#receiver;
    if (copies > this.#copies) this.#onCopies(copies - this.#copies);
    this.#copies = copies;
  }
}
