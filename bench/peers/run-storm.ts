/** Compiles the clients of the comparison (client.c) once, and runs them on the second core. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Storm {
  /** Number of fetches at once. */
  readonly nodes: number;
  readonly fetches: number;
  /** Name of the file on the server, and in the folder that the clients compare with. */
  readonly file: string;
  /** Files that each node fetches after it, one after the other; they count as one fetch. */
  readonly next?: readonly string[];
  /**
   * The common address of all nodes, each of which has ports of its own. Default: each node has an address of its own.
   */
  readonly shared?: string;
  readonly wish: { readonly blksize?: number; readonly windowsize?: number };
}

/**
 * Times in milliseconds: to a first reply from the first request for that file, to the finish from a node's first
 * request.
 */
export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface StormResult {
  readonly failed: number;
  readonly resends: number;
  readonly firstReplyMs: Percentiles;
  readonly finishMs: Percentiles;
  readonly wallMs: number;
  readonly blocks: number;
  readonly clientCpuMs: number;
}

/** The client's own default. */
const RESEND_MS = 1000;

let compiled: string | undefined;

/** Compiles the client on first use. @throws Error without cc. */
function client(): string {
  if (compiled !== undefined) return compiled;
  const folder = mkdtempSync(join(tmpdir(), 'reveille-bench-client-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  compiled = join(folder, 'client');
  execFileSync('cc', ['-O2', '-o', compiled, join(import.meta.dirname, 'client.c')], { stdio: 'inherit' });
  return compiled;
}

/** @throws Error when the clients could not run. */
export async function runStorm(root: string, port: number, storm: Storm): Promise<StormResult> {
  const { nodes, fetches, file, next = [], wish, shared } = storm;
  const { blksize = 512, windowsize = 1 } = wish;
  const args = [port, nodes, fetches, [file, ...next].join(','), root, blksize, windowsize].map(String);
  if (shared !== undefined) args.push(String(RESEND_MS), '0', shared);
  const { stdout } = await promisify(execFile)('taskset', ['-c', '1', client(), ...args], { timeout: 300_000 });
  return JSON.parse(stdout) as StormResult;
}
