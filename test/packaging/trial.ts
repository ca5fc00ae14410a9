/**
 * Tries an installed server from outside, as clients see it: curl and atftp fetch files, `reveille check` tests the
 * protocol, and the time until it listens and its idle memory are measured. Loopback only.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededBytes } from '../support/content.ts';

/** Time in which a server must listen, also on a busy machine; npx installs the package within it. */
const START_LIMIT_MS = 120_000;
/** Names and sizes of the files: the check wants one of 2 MB, one of whole blocks and an empty one. */
const FILES = { linux: 2_000_001, even: 512 * 40, motd: 300, empty: 0 } as const;

export interface Listening {
  /** `ADDRESS:PORT`. */
  readonly tftp: string;
  /** URL without a path; empty without HTTP. */
  readonly http: string;
  readonly engine: string;
  readonly version: string;
  /** From the start of the command until it said that it listens. */
  readonly startedMs: number;
}

export class Trial {
  readonly #server: ChildProcess;
  #said = '';

  private constructor(command: readonly string[], environment: NodeJS.ProcessEnv) {
    const [program, ...args] = command;
    // A group of its own: npx starts the server as its grandchild.
    this.#server = spawn(program!, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...environment },
    });
    this.#server.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
  }

  /** Starts the command, which must log to its standard output, and waits until it listens. */
  static async start(
    command: readonly string[],
    environment: NodeJS.ProcessEnv = {},
  ): Promise<{ trial: Trial; listening: Listening }> {
    const begin = performance.now();
    const trial = new Trial(command, environment);
    const line = await trial.#line(/^.*"msg":"listening".*$/m);
    if (line !== undefined) return { trial, listening: listeningIn(line, performance.now() - begin) };
    trial.#signal('SIGKILL');
    throw new Error(`${command.join(' ')}: expected the server to listen, got: ${trial.#said}`);
  }

  /** @returns the first line of the output that matches; undefined if the command ended or took too long. */
  #line(pattern: RegExp): Promise<string | undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, START_LIMIT_MS, undefined);
      const end = (line?: string): void => {
        clearTimeout(timer);
        resolve(line);
      };
      this.#server.once('exit', () => end());
      this.#server.once('error', () => end());
      this.#server.stdout!.on('data', () => {
        const line = pattern.exec(this.#said)?.[0];
        if (line !== undefined) end(line);
      });
    });
  }

  /** Memory of all processes of the command in KiB: PSS counts pages that several processes share once. */
  memory(): { rss: number; pss: number } {
    const total = { rss: 0, pss: 0 };
    for (const pid of this.#processes()) {
      const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      total.rss += Number(/^Rss: +(\d+)/m.exec(text)![1]);
      total.pss += Number(/^Pss: +(\d+)/m.exec(text)![1]);
    }
    return total;
  }

  /** CPU time of all processes of the command so far, ms. */
  cpuMs(): number {
    const ticks = this.#processes().map((pid) => {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(fields[11]) + Number(fields[12]);
    });
    // Linux shows ticks of 10 ms to programs, whatever its own clock.
    return ticks.reduce((sum, value) => sum + value * 10, 0);
  }

  /** Ends the command, and waits for its end. */
  async stop(): Promise<void> {
    const ended = once(this.#server, 'exit');
    this.#signal('SIGTERM');
    await ended;
  }

  #signal(name: NodeJS.Signals): void {
    try {
      process.kill(-this.#server.pid!, name);
    } catch {
      // The command did not start, or has ended.
    }
  }

  /** The processes of the command's group. */
  #processes(): string[] {
    return readdirSync('/proc').filter((name) => {
      if (!/^\d+$/.test(name)) return false;
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]) === this.#server.pid;
      } catch {
        return false;
      }
    });
  }
}

function listeningIn(line: string, startedMs: number): Listening {
  const said = JSON.parse(line) as {
    addresses: string[];
    http?: string[];
    engine: string;
    version: string;
  };
  return {
    tftp: said.addresses[0]!,
    http: said.http?.[0] ?? '',
    engine: said.engine,
    version: said.version,
    startedMs,
  };
}

/** Writes the files that the clients fetch into a folder, which is created. */
export function writeFiles(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, size] of Object.entries(FILES)) writeFileSync(join(folder, name), seededBytes(1, size));
}

/**
 * Fetches the files with curl over TFTP and HTTP, and with atftp, and compares the bytes.
 * @param folder the folder that is served, from writeFiles.
 * @param scratch a folder for what is fetched, which is deleted.
 * @throws Error for the first one that differs.
 */
export function fetchFiles({ tftp, http }: Listening, folder: string, scratch: string): void {
  const [host, port] = tftp.split(':') as [string, string];
  mkdirSync(scratch, { recursive: true });
  // curl 7.88 fails for an empty file over TFTP: the transfer ends before it has connected its socket.
  for (const name of Object.keys(FILES).filter((file) => file !== 'empty')) {
    const wanted = readFileSync(join(folder, name));
    const clients: Readonly<Record<string, readonly string[]>> = {
      'curl-tftp': ['curl', '--silent', '--show-error', '--fail', `tftp://${tftp}/${name}`, '--output'],
      'curl-http': ['curl', '--silent', '--show-error', '--fail', `${http}/${name}`, '--output'],
      atftp: ['atftp', '--option', 'blksize 1428', '--get', '--remote-file', name, host, port, '--local-file'],
    };
    for (const [client, [program, ...args]] of Object.entries(clients)) {
      const got = join(scratch, client);
      execFileSync(program!, [...args, got], { stdio: ['ignore', 'inherit', 'inherit'] });
      if (!readFileSync(got).equals(wanted)) throw new Error(`${client}: ${name} is not the file that is served`);
    }
  }
  rmSync(scratch, { recursive: true });
}

/**
 * Runs `reveille check` against the server.
 * @param command the reveille command.
 * @throws Error if a statement failed.
 */
export function check(command: readonly string[], { tftp }: Listening, folder: string): void {
  const [program, ...args] = command;
  const files = Object.keys(FILES).flatMap((name) => ['--file', name]);
  execFileSync(program!, [...args, 'check', tftp, ...files, '--against', folder, '--timeout', '3m'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
