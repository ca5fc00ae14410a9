/** Debian's redis-server and redis-sentinel for tests, each at a port of its own in a folder of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { lastingPort } from './ports.ts';

export const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

const TRIES = 5;

export class RedisServer {
  readonly port: number;
  readonly #start: () => Promise<ChildProcess>;
  #child: ChildProcess;

  private constructor(port: number, child: ChildProcess, start: () => Promise<ChildProcess>) {
    this.port = port;
    this.#child = child;
    this.#start = start;
  }

  /** @param lines of its configuration. @param at port; default: a free one. */
  static async start(
    lines: readonly string[] = [],
    { at, address = '127.0.0.1' }: { readonly at?: number; readonly address?: string } = {},
  ): Promise<RedisServer> {
    for (let left = TRIES; ; left--) {
      // oxlint-disable-next-line no-await-in-loop -- the first port is usually free.
      const port = at ?? (await lastingPort());
      try {
        const common = ['save ""', 'appendonly no', `bind ${address}`, 'protected-mode no'];
        const start = () => run('redis-server', [...common, `port ${port}`, ...lines], 'Ready to accept connections');
        // oxlint-disable-next-line no-await-in-loop -- see above.
        return new RedisServer(port, await start(), start);
      } catch (error) {
        if (left === 0) throw error;
      }
    }
  }

  /** A Sentinel that alone decides that the master is down. @param master its port. */
  static async sentinel(master: number, name: string): Promise<RedisServer> {
    const port = await lastingPort();
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      'protected-mode no',
      `sentinel monitor ${name} 127.0.0.1 ${master} 1`,
      `sentinel down-after-milliseconds ${name} 500`,
      `sentinel failover-timeout ${name} 3000`,
    ];
    const start = () => run('redis-sentinel', lines, '+monitor');
    return new RedisServer(port, await start(), start);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  /** Starts the server again at its port, without its data. */
  async restart(): Promise<void> {
    await this.end();
    this.#child = await this.#start();
  }

  /** Runs a command by redis-cli. @returns its output. */
  cli(...command: string[]): string {
    const done = spawnSync('redis-cli', ['-p', String(this.port), ...command], { encoding: 'utf8', timeout: 10_000 });
    return done.stdout.trim();
  }
}

async function run(program: string, lines: readonly string[], ready: string): Promise<ChildProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'reveille-redis-'));
  const config = join(folder, 'redis.conf');
  writeFileSync(config, [...lines, `dir ${folder}`].join('\n'));
  const child = spawn(program, [config], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`${program} ended: ${log.slice(-500)}`)));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-10_000);
      if (log.includes(ready)) resolve();
    });
  });
  child.removeAllListeners('exit');
  return child;
}
