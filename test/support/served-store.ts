/** `reveille serve --store` as a separate process that a test can end and start again at the same port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Address } from '../../src/engine/types.ts';
import { lastingPort } from './ports.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export class ServedStoreProcess {
  address: Address = { address: '127.0.0.1', port: 0 };
  /** Log lines at the level of a warning or above. */
  readonly complaints: string[] = [];
  readonly #args: readonly string[];
  admin = '';
  /** URL of HTTP; empty where it is off. */
  http = '';
  #process: ChildProcess | undefined;

  constructor(args: readonly string[]) {
    this.#args = args;
  }

  /** Starts the server at its former port. Resolves when it listens. */
  async start(): Promise<void> {
    if (this.address.port === 0) this.address = { address: '127.0.0.1', port: await lastingPort() };
    const listen = `127.0.0.1:${this.address.port}`;
    const args = [MAIN, 'serve', '--listen', listen, '--admin', '127.0.0.1:0', '--log-level', 'warn', ...this.#args];
    // The log line with the listening address has level `info`.
    const child = spawn(process.execPath, args.with(args.indexOf('warn'), 'info'), {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#process = child;
    let rest = '';
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code, signal) => reject(new Error(`The server ended with ${code ?? signal}`)));
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop()!;
        for (const line of lines) {
          if (line.includes('"msg":"listening"')) {
            const { addresses, admin, http } = JSON.parse(line) as {
              addresses: string[];
              admin: string;
              http?: string[];
            };
            this.address = { address: '127.0.0.1', port: Number(addresses[0]!.split(':')[1]) };
            this.admin = `http://${admin}`;
            this.http = http?.[0] ?? '';
            resolve();
          } else if (/^\{"level":"(?:warn|error|fatal)"/.test(line) && !line.includes('"msg":"transfer"')) {
            this.complaints.push(line);
          }
        }
      });
    });
  }

  /** The number of the running process. */
  get pid(): number {
    return this.#process!.pid!;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.removeAllListeners('exit');
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  /** Sum of the samples of a metric. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.admin}/metrics`)).text();
    return text
      .split('\n')
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }
}
