/** Totals of one thread's nodes in one stage of a plan. Knows no nodes, no threads and no clock. */
import type { TransferCounts } from './node-setting.ts';
import { ValueRecorder } from './histogram.ts';
import type { StageResult } from './share-result.ts';

export class StageRecording {
  readonly #firstReply = new ValueRecorder();
  readonly #duration = new ValueRecorder();
  #completed = 0;
  #failed = 0;
  #files = 0;
  #misses = 0;
  #bytes = 0;
  #clientResends = 0;
  #serverResends = 0;

  firstReply(ms: number): void {
    this.#firstReply.record(ms);
  }

  copies(count: number): void {
    this.#serverResends += count;
  }

  transfer({ bytes, retransmits }: TransferCounts, end: 'file' | 'miss' | 'other'): void {
    this.#bytes += bytes;
    this.#clientResends += retransmits;
    if (end === 'file') this.#files++;
    else if (end === 'miss') this.#misses++;
  }

  complete(ms: number): void {
    this.#completed++;
    this.#duration.record(ms);
  }

  fail(): void {
    this.#failed++;
  }

  result(): StageResult {
    return {
      completed: this.#completed,
      failed: this.#failed,
      files: this.#files,
      misses: this.#misses,
      bytes: this.#bytes,
      client: this.#clientResends,
      server: this.#serverResends,
      firstReply: this.#firstReply.toTransferable(),
      duration: this.#duration.toTransferable(),
    };
  }
}
