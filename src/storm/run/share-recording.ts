/**
 * Records the outcomes of one thread's nodes and makes the share's result from them. Knows neither when a node is due
 * nor how it boots; a function tells the time.
 */
import type { BootPlan } from '../plan/plan.ts';
import type { ViolationId } from '../violations.ts';
import { ValueRecorder } from './histogram.ts';
import type { NodeEnd, NodeObserver, Silence, TransferCounts } from './node-setting.ts';
import type { ShareProgress } from './share-progress.ts';
import { type Counted, type ShareResult, STEP_MS } from './share-result.ts';
import { StageRecording } from './stage-recording.ts';

/** Maximum number of nodes whose silence is remembered: further ones would add nothing. */
const MAX_SILENCES = 1000;
const NONE: Counted = { count: 0, example: '' };

function oneMore({ count, example: first }: Counted, example: string): Counted {
  return { count: count + 1, example: first || example };
}

function countIn<Key>(map: Map<Key, Counted>, key: Key, example: string): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, { count: 1, example });
  else known.count++;
}

function addAt(ms: number, series: number[], amount: number): void {
  const step = Math.max(0, Math.floor(ms / STEP_MS));
  while (series.length <= step) series.push(0);
  series[step]! += amount;
}

export class ShareRecording implements NodeObserver {
  readonly #plan: BootPlan;
  readonly #progress: ShareProgress;
  readonly #sinceStart: () => number;
  readonly #stages: readonly StageRecording[];
  readonly #finish = new ValueRecorder();
  readonly #firstReplies = new ValueRecorder();
  readonly #violations = new Map<ViolationId, Counted>();
  readonly #failures = new Map<string, Counted>();
  readonly #silences: Silence[] = [];
  readonly #curve: ShareResult['curve'] = { completed: [], failed: [], bytes: [] };
  #wrongFiles = NONE;
  #mixedNodes = NONE;
  #uncomparedFiles = 0;
  #unheard = 0;
  #lastBytesAt = 0;
  #completed = 0;
  #failed = 0;
  #vanished = 0;

  /**
   * @param progress updated with each event.
   * @param sinceStart returns milliseconds since the storm's start.
   */
  constructor(plan: BootPlan, progress: ShareProgress, sinceStart: () => number) {
    this.#plan = plan;
    this.#progress = progress;
    this.#sinceStart = sinceStart;
    this.#stages = plan.stages.map(() => new StageRecording());
  }

  begin(node: number): void {
    this.#progress.begin(node);
  }

  stage(node: number, stage: number): void {
    this.#progress.stage(node, stage);
  }

  bytes(length: number): void {
    const now = this.#sinceStart();
    this.#progress.bytes(length);
    this.#lastBytesAt = now;
    addAt(now, this.#curve.bytes, length);
  }

  firstReply(stage: number, ms: number): void {
    this.#stages[stage]!.firstReply(ms);
    this.#firstReplies.record(ms);
  }

  copies(stage: number, copies: number): void {
    this.#stages[stage]!.copies(copies);
    this.#progress.serverResends(copies);
  }

  transfer(stage: number, counts: TransferCounts, end: 'file' | 'miss' | 'other', unheard: number): void {
    this.#unheard += unheard;
    this.#stages[stage]!.transfer(counts, end);
  }

  stageDone(stage: number, ms: number): void {
    this.#stages[stage]!.complete(ms);
  }

  violation(id: ViolationId, example: string): void {
    countIn(this.#violations, id, example);
  }

  wrongFile(example: string): void {
    this.#wrongFiles = oneMore(this.#wrongFiles, example);
  }

  uncompared(): void {
    this.#uncomparedFiles++;
  }

  mixed(example: string): void {
    this.#mixedNodes = oneMore(this.#mixedNodes, example);
  }

  end(node: number, dueAt: number, end: NodeEnd): void {
    const now = this.#sinceStart();
    this.#progress.end(node, end.kind);
    switch (end.kind) {
      case 'completed':
        this.#completed++;
        this.#finish.record(Math.max(0, now - dueAt));
        addAt(now, this.#curve.completed, 1);
        break;
      case 'failed':
        this.#failed++;
        addAt(now, this.#curve.failed, 1);
        this.#stages[end.stage]!.fail();
        countIn(this.#failures, `${this.#plan.stages[end.stage]!.name}\0${end.reason}`, `node ${node}`);
        if (end.silence !== undefined && this.#silences.length < MAX_SILENCES) this.#silences.push(end.silence);
        break;
      case 'vanished':
        this.#vanished++;
        break;
      case 'unfinished':
        break;
    }
  }

  /** @param dataPackets DATA packets that reached a transfer. */
  result(dataPackets: number): ShareResult {
    return {
      completed: this.#completed,
      failed: this.#failed,
      vanished: this.#vanished,
      mixed: this.#mixedNodes,
      stages: this.#stages.map((stage) => stage.result()),
      finish: this.#finish.toTransferable(),
      firstReply: this.#firstReplies.toTransferable(),
      violations: this.#violations,
      failures: this.#failures,
      wrongFiles: this.#wrongFiles,
      uncompared: this.#uncomparedFiles,
      unheard: this.#unheard,
      silences: this.#silences,
      dataPackets,
      lastBytesAt: this.#lastBytesAt,
      curve: this.#curve,
    };
  }
}
