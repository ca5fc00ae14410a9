/** Helpers for tests of the commands: temporary folders, a fake server, records of transfers, the built command. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, onTestFinished } from 'vitest';
import { allocateCounters, sumLatencies } from '../../src/engine/counters.ts';
import type { Address } from '../../src/engine/types.ts';
import { noSendErrors } from '../../src/engine/send-errors.ts';
import type { HttpAddress, HttpFigures } from '../../src/http/types.ts';
import type { LogTarget } from '../../src/telemetry/log.ts';
import { noLosses } from '../../src/pool/figures.ts';
import type { RefusalRecord, Server, ServerStats, TransferRecord, TransferView } from '../../src/server/types.ts';

/** Hook that registers cleanup. Tests that run concurrently each have their own in their context. */
export type OnTestFinished = typeof onTestFinished;

/**
 * Call outside tests. @returns a hook whose cleanup runs after all tests of the file or of the `describe`, the last one
 * first; for servers that several tests share.
 */
export function afterThem(): OnTestFinished {
  const ends: (() => unknown)[] = [];
  afterAll(async () => {
    // oxlint-disable-next-line no-await-in-loop -- a server ends before its folder is removed.
    for (const end of ends) await end();
  });
  return ((end: () => unknown) => void ends.unshift(end)) as OnTestFinished;
}

/** An empty folder for one test. */
export function folder(onFinished: OnTestFinished = onTestFinished): string {
  const path = mkdtempSync(join(tmpdir(), 'reveille-control-'));
  onFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export function transferRecord(change: Partial<TransferRecord> = {}): TransferRecord {
  return {
    protocol: 'tftp',
    id: 1,
    client: { address: '192.0.2.7', port: 2070 },
    local: '192.0.2.1',
    file: 'boot/linux',
    origin: 'file',
    size: 5000,
    mode: 'octet',
    blksize: 1468,
    windowsize: 4,
    waitedMs: 3,
    queuedMs: 2,
    firstReplyMs: 4,
    outcome: 'complete',
    startedAt: 1000,
    durationMs: 250,
    blocks: 4,
    bytes: 5000,
    retransmits: 1,
    stale: 0,
    timeouts: 0,
    errorCode: undefined,
    errorText: '',
    fault: undefined,
    ...change,
  };
}

export function refusalRecord(change: Partial<RefusalRecord> = {}): RefusalRecord {
  return {
    protocol: 'tftp',
    client: { address: '2001:db8::7', port: 1024 },
    local: '2001:db8::1',
    filename: 'pxelinux.cfg/01-aa',
    kind: 'not_found',
    code: 1,
    reason: 'no such file',
    ...change,
  };
}

export function httpFigures(change: Partial<HttpFigures> = {}): HttpFigures {
  return {
    connections: 0,
    connectionsLimit: 0,
    waiting: 0,
    sending: 0,
    requestsTotal: 0,
    sentBytesTotal: 0,
    malformedTotal: 0,
    refusedTotal: 0,
    overloadedTotal: 0,
    threadsLostTotal: 0,
    ...change,
  };
}

export function serverStats(change: Partial<ServerStats> = {}): ServerStats {
  return {
    transfersActive: 0,
    transfersQueued: 0,
    requestsTotal: 0,
    ignoredTotal: { repeated: 0, queueFull: 0, expired: 0, draining: 0, busy: 0, source: 0, unreachable: 0 },
    malformedTotal: {},
    packets: {
      dataSent: 0,
      dataBytesSent: 0,
      received: 0,
      malformed: 0,
      retransmits: 0,
      stale: 0,
      receiveDrops: 0,
      sendDrops: 0,
      segmentFallbacks: 0,
      dataRetransmitted: 0,
      duplicateAcks: 0,
      dataReceived: 0,
    },
    transfersStuck: 0,
    nodesBooting: 0,
    latencies: sumLatencies(allocateCounters(1)),
    sendErrorsTotal: noSendErrors(),
    workers: [{ worker: 0, transfers: 0, cpuSeconds: 0, eventLoopDelayMs: 0 }],
    requestDropsTotal: 0,
    workersLostTotal: 0,
    transfersResumedTotal: 0,
    transfersLostTotal: noLosses(),
    ...change,
  };
}

/** A Server whose stop() resolves when the test says so. */
export class FakeServer implements Server {
  addresses: readonly Address[] = [{ address: '127.0.0.1', port: 6969 }];
  httpAddresses: readonly HttpAddress[] = [];
  readonly engine = 'portable';
  ready = true;
  /** Drain times that stop() was called with. */
  readonly stops: number[] = [];
  current = serverStats();
  running: TransferView[] = [];
  /** Resolves every stop() so far. */
  settle: (aborted: number) => void = () => {};
  fail: (error: Error) => void = () => {};
  readonly #stopped = new Promise<number>((resolve, reject) => {
    this.settle = resolve;
    this.fail = reject;
  });

  stats(): ServerStats {
    return this.current;
  }

  transfers(): TransferView[] {
    return this.running;
  }

  stop(drainMs: number): Promise<number> {
    this.ready = false;
    this.stops.push(drainMs);
    return this.#stopped;
  }
}

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A log target that keeps the lines. */
export class KeptLog implements LogTarget {
  readonly lines: LogLine[] = [];
  closed = false;
  #wanted: { msg: string; found: (line: LogLine) => void }[] = [];

  write(text: string): void {
    const line = JSON.parse(text) as LogLine;
    this.lines.push(line);
    for (const { msg, found } of this.#wanted) if (msg === line.msg) found(line);
  }

  /** First line with the message `msg`, past or future. */
  line(msg: string): Promise<LogLine> {
    const already = this.lines.find((line) => line.msg === msg);
    if (already !== undefined) return Promise.resolve(already);
    return new Promise((found) => {
      this.#wanted.push({ msg, found });
    });
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The built `reveille` as a separate process. */
export class Reveille {
  readonly process: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  #stdout = '';
  #stderr = '';

  /**
   * @param options.stdout file that receives stdout. @param options.main another copy of the command.
   * @param options.program another command line than that of the build; the arguments follow it.
   * @param options.descriptors limit on open descriptors. @param options.env additional environment variables.
   * @param options.prefix command that runs it. @param options.onFinished hook of a test that runs concurrently with
   * others.
   */
  constructor(
    args: readonly string[],
    options: {
      cwd?: string;
      nodeArgs?: readonly string[];
      stdout?: string;
      main?: string;
      program?: readonly string[];
      descriptors?: number;
      prefix?: readonly string[];
      env?: Readonly<Record<string, string>>;
      onFinished?: OnTestFinished;
    } = {},
  ) {
    const built = [process.execPath, ...(options.nodeArgs ?? []), options.main ?? MAIN];
    if (options.program === undefined && !existsSync(MAIN)) {
      throw new Error('dist/cli/main.js is missing: run `npm run build` first');
    }
    const command = [...(options.prefix ?? []), ...(options.program ?? built), ...args];
    const redirect = options.stdout === undefined ? '' : ` > ${options.stdout}`;
    const limit = options.descriptors === undefined ? '' : `ulimit -n ${options.descriptors}; `;
    this.process = spawn('/bin/sh', ['-c', `${limit}exec "$@"${redirect}`, 'sh', ...command], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
    });
    this.process.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.ended = once(this.process, 'close').then(() => ({
      code: this.process.exitCode,
      signal: this.process.signalCode,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
    (options.onFinished ?? onTestFinished)(async () => {
      this.process.kill('SIGKILL');
      await this.ended;
    });
  }

  /** Waits until stdout or stderr matches. @throws Error if the process ends first. */
  async saying(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#stdout) ?? pattern.exec(this.#stderr);
      if (match !== null) return match;
      const more = Promise.race([once(this.process.stdout, 'data'), once(this.process.stderr, 'data')]);
      const ended = await Promise.race([more.then(() => undefined), this.ended]);
      if (ended !== undefined) throw new Error(`ended before saying ${pattern}: ${JSON.stringify(ended)}`);
    }
  }
}
