/**
 * Divides the requests of a node into boots, and makes a timeline of each boot. Names and times alone decide where a
 * boot begins; diagnosis.ts judges its meaning. Pure.
 */
import { BootStages } from '../boot-set/boot/boot-stage.ts';
import type { Ask } from './ask.ts';
import { nodeErrorWords, kindOfFile, outcomeWords, refusalWords } from '../live/words.ts';
import type { BootStep } from '../live/wire.ts';
import { FAULTS } from '../server/records.ts';
import { unansweredWords } from './unanswered.ts';

/** Silence after which the next request begins another boot. */
export const BOOT_ENDS_MS = 120_000;
/** Shortest pause that a timeline shows. */
const GAP_MS = 1000;

const STAGES = new BootStages();

/** Tells whether the whole file was sent. */
export function isWhole({ end }: Ask): boolean {
  return end?.kind === 'sent' && (end.outcome === 'complete' || end.outcome === 'completeUnconfirmed');
}

/** Tells whether as much was sent as the client wanted. */
export function isWell(ask: Ask): boolean {
  return isWhole(ask) || (ask.end?.kind === 'sent' && ask.end.outcome === 'probe');
}

/** Tells whether the client abandoned it for another request, so that it says nothing of the boot. */
export function isReplaced({ end }: Ask): boolean {
  return (
    end?.kind === 'replaced' || (end?.kind === 'sent' && end.outcome === 'aborted' && end.fault === FAULTS.beganAnew)
  );
}

/** Follows one boot, and tells where the next one begins. */
class BootProgress {
  #first = '';
  #lastAt = 0;
  #othersAsked = false;
  #isLate = false;

  begins({ file, at }: Ask): boolean {
    const silence = at - this.#lastAt;
    if (silence > BOOT_ENDS_MS) return true;
    // The name that the boot began with comes again after others: the node was reset, or its loader starts over.
    if (this.#othersAsked && file === this.#first) return true;
    return this.#isLate && STAGES.of(nameOf(file)) === 'zero';
  }

  follow(ask: Ask, isFirst: boolean): void {
    if (isFirst) {
      this.#first = ask.file;
      this.#othersAsked = false;
      this.#isLate = false;
    } else if (ask.file !== this.#first) this.#othersAsked = true;
    this.#isLate ||= isWhole(ask) && STAGES.of(nameOf(ask.file)) === 'later';
    this.#lastAt = ask.lastAt;
  }
}

/** @returns roughly the name as the server cleaned it: the shown name, with slashes. */
function nameOf(file: string): string {
  return file.replaceAll('\\x5c', '/').replace(/^\/+/, '');
}

/** @param asks oldest first. @returns boots, oldest first, none of them empty. */
export function bootsOf(asks: readonly Ask[]): Ask[][] {
  const boots: Ask[][] = [];
  const progress = new BootProgress();
  for (const ask of asks) {
    const begins = boots.length === 0 || progress.begins(ask);
    if (begins) boots.push([]);
    boots.at(-1)!.push(ask);
    progress.follow(ask, begins);
  }
  return boots;
}

/** @returns the time of the last progress: for a transfer, its end without the silence that preceded it. */
export function movedAt({ at, end, lastAt }: Ask): number {
  return end?.kind === 'sent' && end.firstReplyMs !== undefined ? at + end.firstReplyMs + end.durationMs : lastAt;
}

function answerOf(ask: Ask): Extract<BootStep, { step: 'ask' }>['answer'] {
  const { end } = ask;
  if (end === undefined) return 'sending';
  if (end.kind === 'refused') return 'refused';
  if (end.kind === 'unanswered') return 'nothing';
  if (isReplaced(ask)) return 'failed';
  if (isWhole(ask)) return 'sent';
  return end.kind === 'sent' && end.outcome === 'probe' ? 'size' : 'failed';
}

/** @returns the outcome in words. */
export function endWords(ask: Ask): string {
  const { end } = ask;
  if (end === undefined) return ask.started === undefined ? 'being looked up or waiting' : 'being sent';
  if (end.kind === 'refused') return refusalWords(end.code, end.reason);
  if (end.kind === 'unanswered') return unansweredWords(ask.protocol, end.reason);
  if (end.kind === 'replaced' || isReplaced(ask)) return 'abandoned: the node asked for something else';
  if (end.outcome === 'clientError' && ask.protocol === 'tftp') {
    const said = end.errorText === '' ? '' : `, “${end.errorText}”`;
    return `the node gave up with error ${end.errorCode ?? 0}: ${nodeErrorWords(end.errorCode)}${said}`;
  }
  return end.outcome === 'aborted' && end.fault !== undefined
    ? `ended by the server: ${end.fault}`
    : outcomeWords(end.outcome, ask.protocol);
}

function stepOf(ask: Ask, now: number): BootStep {
  const { protocol, at, file, options, repeats, started, end, port, local } = ask;
  const sent = end?.kind === 'sent' ? end : undefined;
  return {
    step: 'ask',
    protocol,
    at,
    file,
    kind: kindOfFile(file),
    options,
    repeats,
    answer: answerOf(ask),
    what: endWords(ask),
    version: started?.version ?? '',
    origin: started?.origin ?? '',
    bytes: sent?.bytes ?? 0,
    size: started?.size ?? 0,
    retransmits: sent?.retransmits ?? 0,
    firstReplyMs: sent?.firstReplyMs ?? null,
    tookMs: Math.max(0, (end === undefined ? now : movedAt(ask)) - at),
    port,
    local,
  };
}

/** @returns the steps of a boot, and the pauses between them in which the node requested nothing. */
export function stepsOf(boot: readonly Ask[], now: number): BootStep[] {
  const steps: BootStep[] = [];
  let quietSince = boot[0]?.at ?? now;
  for (const ask of boot) {
    const gap = ask.at - quietSince;
    if (gap >= GAP_MS) steps.push({ step: 'gap', at: quietSince, tookMs: gap });
    steps.push(stepOf(ask, now));
    quietSince = Math.max(quietSince, ask.end === undefined ? now : movedAt(ask));
  }
  return steps;
}
