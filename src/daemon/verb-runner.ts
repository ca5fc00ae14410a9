/**
 * Runs a command on the store in a separate process, so that reading, hashing or deleting gigabytes does not slow down
 * the server's main thread, and a failure stays contained. Knows processes; not what the commands do.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { VerbEnd } from '../admin/api.ts';

/**
 * Cap on a command's output; a command that exceeds it is ended.
 * @limit Output of a command over the API. Shows: the command is ended.
 */
const MAX_OUTPUT_BYTES = 16 * 1024 ** 2;
/** Cap on a command's error output: the beginning is enough. */
const MAX_COMPLAINT_BYTES = 8192;

export interface VerbRunnerOptions {
  readonly store: string;
  /** Path of the program. Default: the one that this module belongs to. */
  readonly program?: string;
}

export class VerbRunner {
  readonly #options: VerbRunnerOptions;
  readonly #running = new Set<ChildProcess>();
  #closed = false;

  constructor(options: VerbRunnerOptions) {
    this.#options = options;
  }

  /** Runs a command. Never rejects. @param args arguments after the verb. @param signal ends the command. */
  run(verb: string, args: readonly string[], signal?: AbortSignal): Promise<VerbEnd> {
    const { store, program = fileURLToPath(new URL('../cli/main.js', import.meta.url)) } = this.#options;
    if (this.#closed) return Promise.resolve({ code: undefined, stdout: '', stderr: 'the server is stopping' });
    const child = spawn(process.execPath, [program, verb, `--store=${store}`, '--json', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    const stop = (): void => void child.kill('SIGTERM');
    signal?.addEventListener('abort', stop);
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
      const end = (code: number | null, ended: NodeJS.Signals | null, complaint = ''): void => {
        this.#running.delete(child);
        signal?.removeEventListener('abort', stop);
        const said = Buffer.concat(stdout).toString();
        const reason = (complaint + stderr).trim();
        const isSilent = code !== 0 && reason === '';
        resolve({ code: code ?? undefined, stdout: said, stderr: isSilent ? `ended with ${ended ?? code}` : reason });
      };
      child.once('error', (error) => end(null, null, `${error.message}\n`));
      child.once('close', (code, by) => end(code, by));
    });
  }

  /** Ends running commands: each of them leaves the store consistent wherever it is stopped. */
  close(): void {
    this.#closed = true;
    for (const child of this.#running) child.kill('SIGTERM');
  }
}
