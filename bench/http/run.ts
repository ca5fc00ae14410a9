/**
 * Files over HTTP from Reveille and from nginx, in turns: server on one core, clients (curl and wrk, both in C) on the
 * other. Prints what a CPU second of the server's whole process tree sends, as medians with their range, and ratios to
 * nginx from pairs of neighboring runs.
 *
 *   npm run bench:http -- [--rounds 9] [--case TEXT] [--json FILE]
 *
 * Needs Linux with two cores, root, curl, nginx and wrk (Debian: nginx-light, wrk). Traffic stays on loopback.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { lastingPort } from '../../test/support/ports.ts';
import { describeCommit, describeMachine } from '../machine.ts';
import { type CpuAccount, openCpuAccount } from '../peers/cpu-account.ts';
import { median, range } from '../statistics.ts';

const MIB = 2 ** 20;
const IMAGE_MIB = 1024;
const PATIENCE_MS = 15_000;
/** Bytes that each of many clients takes of the large file. */
const SHARE_MIB = 16;

interface Contender {
  readonly name: string;
  /** Writes the config that it needs, and returns its command. */
  command(folder: string, root: string, port: number): readonly string[];
}

interface Case {
  readonly name: string;
  readonly unit: 'MiB' | 'requests';
  /** How much one run has sent, in units. @param output of the command. */
  amount(output: string): number;
  /** @param url of the server, with a slash at its end. */
  command(url: string): readonly string[];
}

const REVEILLE = join(import.meta.dirname, '../../dist/cli/main.js');

function reveille(name: string, ...flags: readonly string[]): Contender {
  return {
    name,
    command: (_, root, port) => [
      process.execPath,
      '--max-semi-space-size=4',
      REVEILLE,
      'serve',
      root,
      '--listen=127.0.0.1:0',
      `--http=127.0.0.1:${port}`,
      '--no-admin',
      '--no-hint',
      '--workers=1',
      '--log-level=error',
      ...flags,
    ],
  };
}

/** One worker, without an access log, as on a server for nothing else. */
function nginx(sendfile: 'on' | 'off'): Contender {
  return {
    name: `nginx, sendfile ${sendfile}`,
    command: (folder, root, port) => {
      const config = join(folder, `nginx-${sendfile}.conf`);
      const lines = [
        'daemon off;',
        'user root;',
        'worker_processes 1;',
        `pid ${folder}/nginx-${sendfile}.pid;`,
        'error_log /dev/null crit;',
        'events { worker_connections 4096; }',
        'http {',
        '  access_log off;',
        `  sendfile ${sendfile};`,
        '  keepalive_requests 1000000;',
        `  client_body_temp_path ${folder}/body;`,
        `  proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fcgi;`,
        `  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;`,
        `  server { listen 127.0.0.1:${port}; root ${root}; }`,
        '}',
      ];
      writeFileSync(config, `${lines.join('\n')}\n`);
      return ['nginx', '-c', config];
    },
  };
}

const BASE = 'nginx, sendfile off';
const CONTENDERS: readonly Contender[] = [
  reveille('reveille'),
  reveille('reveille, --immutable', '--immutable'),
  nginx('off'),
  nginx('on'),
];

const CURL = ['curl', '--silent', '--show-error', '--fail', '--output', '/dev/null'];
const CASES: readonly Case[] = [
  {
    name: '1 GiB, 1 client',
    unit: 'MiB',
    amount: () => 2 * IMAGE_MIB,
    command: (url) => [...CURL, `${url}image?[1-2]`],
  },
  {
    name: `${SHARE_MIB} MiB of 1 GiB, 200 clients`,
    unit: 'MiB',
    amount: () => 200 * SHARE_MIB,
    command: (url) => {
      const part = ['--range', `${100 * MIB}-${(100 + SHARE_MIB) * MIB - 1}`];
      return [
        ...CURL,
        '--parallel',
        '--no-progress-meter',
        '--parallel-immediate',
        '--parallel-max',
        '200',
        ...part,
        `${url}image?[1-200]`,
      ];
    },
  },
  {
    name: '4 KiB, 50 clients, keep-alive',
    unit: 'requests',
    amount: (output) => Number(/(\d+) requests in/.exec(output)![1]),
    command: (url) => ['wrk', '--threads', '1', '--connections', '50', '--duration', '4s', `${url}small`],
  },
];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    case: { type: 'string', default: '' },
    json: { type: 'string' },
  },
});

async function connects(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

class RunningServer {
  readonly name: string;
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #account: CpuAccount;

  private constructor(name: string, port: number, process: ChildProcess, account: CpuAccount) {
    this.name = name;
    this.url = `http://127.0.0.1:${port}/`;
    this.#process = process;
    this.#account = account;
  }

  /** @throws Error when it does not listen in time. */
  static async start(contender: Contender, folder: string, root: string): Promise<RunningServer> {
    const port = await lastingPort();
    const account = openCpuAccount(`reveille-bench-http-${process.pid}-${port}`);
    const words = [...account.prefix, 'taskset', '-c', '0', ...contender.command(folder, root, port)];
    const server = spawn(words[0]!, words.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] });
    const running = new RunningServer(contender.name, port, server, account);
    const until = performance.now() + PATIENCE_MS;
    // oxlint-disable-next-line no-await-in-loop -- one attempt after the other.
    while (!(await connects(port))) {
      if (server.exitCode !== null || performance.now() > until) {
        // oxlint-disable-next-line no-await-in-loop -- the last thing that happens here.
        await running.stop();
        throw new Error(`${contender.name}: expected a server on port ${port}, nothing listens`);
      }
      // oxlint-disable-next-line no-await-in-loop -- the pause between two attempts.
      await delay(50);
    }
    return running;
  }

  /** Runs the clients. @returns units for each CPU second of the server. */
  measure(test: Case): number {
    const before = this.#cpuUs;
    const [program, ...args] = test.command(this.url);
    const output = execFileSync('taskset', ['-c', '1', program!, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    return (test.amount(output.toString()) * 1e6) / (this.#cpuUs - before);
  }

  get #cpuUs(): number {
    return this.#account.used(this.#process.pid!);
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await ended;
    }
    this.#account.close();
  }
}

function makeFiles(folder: string): string {
  const root = join(folder, 'root');
  mkdirSync(root, { mode: 0o755 });
  writeFileSync(join(root, 'small'), randomFillSync(Buffer.alloc(4096)), { mode: 0o644 });
  const fd = openSync(join(root, 'image'), 'w', 0o644);
  const block = randomFillSync(Buffer.alloc(MIB));
  for (let part = 0; part < IMAGE_MIB; part++) writeSync(fd, block);
  closeSync(fd);
  return root;
}

/** All servers run, and take turns, so that changes of the machine affect all alike. */
async function run(test: Case, folder: string, root: string): Promise<Record<string, number[]>> {
  const samples: Record<string, number[]> = Object.fromEntries(CONTENDERS.map(({ name }) => [name, []]));
  const servers: RunningServer[] = [];
  try {
    for (const contender of CONTENDERS) {
      // oxlint-disable-next-line no-await-in-loop -- servers that start at once would slow each other.
      const server = await RunningServer.start(contender, folder, root);
      servers.push(server);
      // Loads the file, and warms up the compiler.
      server.measure(test);
    }
    for (let round = 0; round < Number(values.rounds); round++) {
      for (let place = 0; place < servers.length; place++) {
        const server = servers[(round + place) % servers.length]!;
        samples[server.name]!.push(server.measure(test));
      }
    }
    return samples;
  } finally {
    for (const server of servers) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      await server.stop();
    }
  }
}

function show({ name, unit }: Case, samples: Readonly<Record<string, readonly number[]>>): void {
  const base = samples[BASE]!;
  process.stdout.write(`\n${name}: ${unit} for each CPU second\n`);
  for (const [server, amounts] of Object.entries(samples)) {
    const ratios = amounts.map((amount, round) => amount / base[round]!);
    const figure = Math.round(median(amounts)).toLocaleString('en').padStart(8);
    process.stdout.write(
      `  ${server.padEnd(24)}${figure}   ${median(ratios).toFixed(2)} × ${BASE} (${range(ratios)})\n`,
    );
  }
}

const folder = mkdtempSync(join(tmpdir(), 'reveille-bench-http-'));
try {
  const root = makeFiles(folder);
  const results: Record<string, Record<string, number[]>> = {};
  for (const test of CASES.filter(({ name }) => name.includes(values.case))) {
    // oxlint-disable-next-line no-await-in-loop -- one case after the other.
    const samples = await run(test, folder, root);
    show(test, samples);
    results[test.name] = samples;
  }
  if (values.json !== undefined) {
    const json = { commit: describeCommit(), machine: describeMachine(), rounds: Number(values.rounds), results };
    writeFileSync(values.json, `${JSON.stringify(json, undefined, 2)}\n`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
