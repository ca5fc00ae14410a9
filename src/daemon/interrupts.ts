/**
 * Events that may interrupt a running command: a signal, a request to reload, an uncaught error. Only main.ts emits
 * them.
 */
import { EventEmitter } from 'node:events';

export class Interrupts extends EventEmitter<{ signal: [NodeJS.Signals]; reload: []; upgrade: []; fault: [unknown] }> {}

export interface CommandContext {
  readonly interrupts: Interrupts;
  /** Writes text for the person at the terminal; never content or log lines. */
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };
  readonly version: string;
}
