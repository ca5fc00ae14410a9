/**
 * A node's requests over TFTP: probes and reads one name with the manners of its firmware, and reports the outcome.
 * Knows neither stages nor search lists.
 */
import { encodeReadRequest, MAX_CONTROL } from '../../protocol/encode.ts';
import type { TransferReport } from '../../engine/report.ts';
import type { Settled, Wish } from '../../protocol/negotiate.ts';
import { ERROR_CODE, OPCODE } from '../../protocol/opcode.ts';
import { patienceOf, type Stop } from '../../session/manners.ts';
import { Receiver } from '../../session/receiver.ts';
import type { Stage } from '../plan/plan.ts';
import type { RequestOption, TftpProfile } from '../plan/profile.ts';
import type { ViolationId } from '../violations.ts';
import {
  type Fetch,
  inSeconds,
  type NodeEnd,
  type NodeIdentity,
  type NodeSetting,
  type Silence,
} from './node-setting.ts';
import type { ReceivedFiles } from './received-files.ts';

/** The outcome of one request. */
interface Attempt {
  readonly report: TransferReport;
  readonly receiver: Receiver;
  readonly lastHeard: number;
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

export class TftpReader {
  readonly #setting: NodeSetting;
  readonly #identity: NodeIdentity;
  readonly #files: ReceivedFiles;
  /** Number of the node's current port. Nodes begin at different ones. */
  #turn: number;

  constructor(setting: NodeSetting, identity: NodeIdentity, files: ReceivedFiles) {
    this.#setting = setting;
    this.#identity = identity;
    this.#files = files;
    this.#turn = identity.number;
  }

  /** Probes and reads one name. @returns whether the file exists, or how the boot ended. */
  async read(fetch: Fetch, profile: TftpProfile): Promise<boolean | NodeEnd> {
    if (profile.probe !== undefined) {
      const { options, code, message } = profile.probe;
      const probe = await this.#ask(fetch, profile, options, { afterBlocks: 0, code, message });
      if (probe.report.outcome !== 'probe' && probe.report.outcome !== 'complete') {
        return this.#judge(fetch, profile, probe);
      }
    }
    return this.#judge(
      fetch,
      profile,
      await this.#ask(fetch, profile, profile.options, this.#stopIn(fetch.stage, profile)),
    );
  }

  /** @returns the point at which the node leaves the file on purpose. */
  #stopIn({ closeAfterBlocks }: Stage, profile: TftpProfile): Stop | undefined {
    const { vanishAtBlock } = this.#identity.fate;
    if (vanishAtBlock !== undefined) return { afterBlocks: Math.max(1, vanishAtBlock - this.#files.blocks), code: 0 };
    return closeAfterBlocks === undefined ? undefined : { afterBlocks: closeAfterBlocks, ...profile.close };
  }

  /** Decides what an attempt means for the boot. @returns whether the file exists, or how the boot ended. */
  #judge({ index, where }: Fetch, profile: TftpProfile, attempt: Attempt): boolean | NodeEnd {
    const { report, receiver, lastHeard } = attempt;
    const { vanishAtBlock } = this.#identity.fate;
    const failed = (reason: string, silence?: Silence): NodeEnd => ({
      kind: 'failed',
      stage: index,
      reason,
      ...(silence === undefined ? {} : { silence }),
    });
    switch (report.outcome) {
      case 'complete':
      case 'completeUnconfirmed':
        return true;
      case 'probe':
        return vanishAtBlock !== undefined && this.#files.blocks >= vanishAtBlock ? { kind: 'vanished' } : true;
      case 'refused':
        if (receiver.violation !== undefined) return failed(receiver.violation);
        if (report.errorCode === ERROR_CODE.FILE_NOT_FOUND) return false;
        return failed(`the server refused with ERROR ${report.errorCode} ${report.errorText}`);
      case 'clientError':
        return failed(`the server ended the transfer in the middle with ERROR ${report.errorCode} ${report.errorText}`);
      case 'unreachable':
        return failed(`nobody listens on the server's port`);
      case 'timeout': {
        const { manners } = profile;
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

  async #ask(
    { stage, index, name, where }: Fetch,
    profile: TftpProfile,
    options: readonly RequestOption[],
    stop: Stop | undefined,
  ): Promise<Attempt> {
    const { driver, server, tell, time, doubledAcks } = this.#setting;
    const { local, shared, random, fate } = this.#identity;
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
    const file = this.#files.begin(stage, name, where);
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
      keep: (bytes, start, end, offset) => file.feed(bytes, start, end, offset),
      supervision: heard,
      onStranger: (bytes, size) => {
        if (strangers++ === 0) tell.violation(strangerIn(bytes, size, receiver.settled), where);
      },
    });
    heard.end();
    this.#files.blocks += report.blocks;
    for (const breach of receiver.breaches) tell.violation(breach, where);
    if (receiver.violation !== undefined && report.outcome === 'refused' && !profile.manners.needsOack) {
      tell.violation('bad-answer', `${where}: ${receiver.violation}`);
    }
    const whole = report.outcome === 'complete' && report.bytes === receiver.tally.bytes;
    if (whole) file.whole(report.bytes);
    else file.cut();
    const miss = report.outcome === 'refused' && report.errorCode === ERROR_CODE.FILE_NOT_FOUND;
    tell.transfer(index, report, whole ? 'file' : miss ? 'miss' : 'other', receiver.unheard);
    return { report, receiver, lastHeard: heard.last };
  }
}

/** @returns the rule broken by a packet that comes from the server's host, but from a second port. */
function strangerIn(bytes: Uint8Array, length: number, settled: Settled | undefined): ViolationId {
  const first =
    bytes[1] === OPCODE.OACK || (bytes[1] === OPCODE.DATA && length >= 4 && bytes[2] === 0 && bytes[3] === 1);
  return first && settled !== undefined ? 'duplicate-tid' : 'tid-changed';
}

/** Times of a transfer's first and last packets, and the number of repeated packets. */
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

  /** Records the first reply if it also ended the transfer. */
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
