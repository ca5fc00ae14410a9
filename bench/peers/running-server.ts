/** One of the compared servers, running on the first core, with the CPU time of its whole process tree. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { lastingPort } from '../../test/support/ports.ts';
import { type CpuAccount, openCpuAccount } from './cpu-account.ts';
import type { Contender } from './servers.ts';

const PATIENCE_MS = 15_000;

/** Sends requests until the server answers. */
async function answering(port: number, server: ChildProcess): Promise<void> {
  const socket = createSocket('udp4');
  const request = Buffer.from('\0\x01no-such-file\0octet\0', 'latin1');
  const answer = once(socket, 'message');
  const again = setInterval(() => socket.send(request, port, '127.0.0.1'), 50);
  const gone = once(server, 'exit').then(() => Promise.reject(new Error('The server has ended')));
  const late = AbortSignal.timeout(PATIENCE_MS);
  try {
    await Promise.race([answer, gone, once(late, 'abort').then(() => Promise.reject(new Error('No answer')))]);
  } finally {
    clearInterval(again);
    socket.close();
    gone.catch(() => {});
  }
}

export class RunningServer {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #account: CpuAccount;

  private constructor(port: number, process: ChildProcess, account: CpuAccount) {
    this.port = port;
    this.#process = process;
    this.#account = account;
  }

  /** @param label unique name of this run. @throws Error when the server does not answer. */
  static async start(contender: Contender, root: string, label: string): Promise<RunningServer> {
    const port = contender.port ?? (await lastingPort());
    const account = openCpuAccount(label);
    const [command = '', ...args] = [...account.prefix, 'taskset', '-c', '0', ...contender.command(root, port)];
    const process = spawn(command, args, { stdio: 'ignore', cwd: root });
    const server = new RunningServer(port, process, account);
    try {
      // The reference sends no errors, so it cannot be probed.
      if (contender.name === 'reference.c') await delay(300);
      else await answering(port, process);
      return server;
    } catch (cause) {
      await server.stop();
      throw cause;
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** CPU time so far, in microseconds. */
  get cpuUs(): number {
    return this.#account.used(this.#process.pid!);
  }

  /** Peak resident memory of the process itself, in MiB. */
  get peakMiB(): number {
    const status = execFileSync('cat', [`/proc/${this.#process.pid}/status`]).toString();
    return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await ended;
    }
    await delay(100);
    this.#account.close();
  }
}
