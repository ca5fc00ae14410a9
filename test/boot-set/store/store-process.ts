/** Changes to a store by other processes, which a test may kill midway. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../support/store-process.mjs', import.meta.url));
const BUILT = fileURLToPath(new URL('../../../dist/boot-set/store/store.js', import.meta.url));

export interface Work {
  readonly store: string;
  readonly verb: 'open' | 'publish' | 'pull' | 'rollback' | 'gc';
  readonly channel?: string;
  readonly paths?: readonly string[];
  /** Name in a registry. */
  readonly from?: string;
  readonly times?: number;
  readonly killAt?: number;
  readonly holdAt?: string;
}

export interface WorkEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class StoreProcess {
  readonly process: ChildProcess;
  readonly ended: Promise<WorkEnd>;
  #stdout = '';

  constructor(work: Work) {
    if (!existsSync(BUILT)) throw new Error('dist is missing: run `npm run build` first');
    this.process = spawn(process.execPath, [SCRIPT, JSON.stringify(work)], { stdio: ['pipe', 'pipe', 'pipe'] });
    let stderr = '';
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    this.ended = once(this.process, 'close').then(() => ({
      code: this.process.exitCode,
      signal: this.process.signalCode,
      stdout: this.#stdout,
      stderr,
    }));
    onTestFinished(async () => {
      this.process.kill('SIGKILL');
      await this.ended;
    });
  }

  /** Resolves when the process halts at the step of `holdAt`. */
  async held(): Promise<void> {
    while (!this.#stdout.includes('at ')) {
      const ended = await Promise.race([once(this.process.stdout!, 'data').then(() => undefined), this.ended]);
      if (ended !== undefined) throw new Error(`ended before it stood still: ${JSON.stringify(ended)}`);
    }
  }

  goOn(): void {
    this.process.stdin!.write('\n');
  }
}

/** @returns the number of steps, or undefined if the process was killed. @throws Error if it failed otherwise. */
export async function workOf(work: Work): Promise<number | undefined> {
  const { code, signal, stdout, stderr } = await new StoreProcess(work).ended;
  if (signal === 'SIGKILL') return undefined;
  if (code !== 0) throw new Error(`${JSON.stringify(work)}: ended with ${code}: ${stderr}`);
  return Number(/steps (\d+)/.exec(stdout)![1]);
}
