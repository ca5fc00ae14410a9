/** What may come in between while a command runs: a signal, a wish to reload, an error nobody caught. main.ts alone emits them. */
import { EventEmitter } from 'node:events';

export class Interrupts extends EventEmitter<{ signal: [NodeJS.Signals]; reload: []; fault: [unknown] }> {}

export interface CommandContext {
  readonly interrupts: Interrupts;
  /** Writes text for the person at the terminal, never content or log lines. */
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };
  readonly version: string;
}
