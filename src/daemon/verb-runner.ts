/**
 * Runs a command on the store as a process of its own, so that what reads, hashes or deletes gigabytes does nothing to
 * the server's main thread, and one that fails takes nothing along. Knows processes; not what the commands do.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { VerbEnd } from '../admin/api.ts';

/** What a command may say; one that says more is ended. */
const MAX_OUTPUT_BYTES = 16 * 1024 ** 2;
/** Of what it has to complain about, the beginning is enough. */
const MAX_COMPLAINT_BYTES = 8192;

export interface VerbRunnerOptions {
  readonly store: string;
  /** The program. Default: the one that this is part of. */
  readonly program?: string;
}

export class VerbRunner {
  readonly #options: VerbRunnerOptions;
  readonly #running = new Set<ChildProcess>();
  #closed = false;

  constructor(options: VerbRunnerOptions) {
    this.#options = options;
  }

  /** Never rejects. @param args what follows the verb. */
  run(verb: string, args: readonly string[]): Promise<VerbEnd> {
    const { store, program = fileURLToPath(new URL('../cli/main.js', import.meta.url)) } = this.#options;
    if (this.#closed) return Promise.resolve({ code: undefined, stdout: '', stderr: 'the server is stopping' });
    const child = spawn(process.execPath, [program, verb, `--store=${store}`, '--json', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    return new Promise((resolve) => {
      const stdout: Buffer[] = [];
      let bytes = 0;
      let stderr = '';
      child.stdout.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_OUTPUT_BYTES) child.kill('SIGTERM');
        else stdout.push(chunk);
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr = (stderr + text).slice(0, MAX_COMPLAINT_BYTES);
      });
      const end = (code: number | null, complaint = ''): void => {
        this.#running.delete(child);
        const said = Buffer.concat(stdout).toString();
        resolve({ code: code ?? undefined, stdout: said, stderr: (complaint + stderr).trim() });
      };
      child.once('error', (error) => end(null, `${error.message}\n`));
      child.once('close', (code) => end(code));
    });
  }

  /** Ends what runs: every verb leaves the store whole wherever it is stopped. */
  close(): void {
    this.#closed = true;
    for (const child of this.#running) child.kill('SIGTERM');
  }
}
