/** The clients of the comparison (storm.ts), started on the second core. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Storm {
  readonly nodes: number;
  readonly fetches: number;
  /** Its name on the server, and below the folder that the clients compare with. */
  readonly file: string;
  readonly wish: Readonly<Record<string, number>>;
}

export interface StormResult {
  readonly failed: number;
  readonly resends: number;
  readonly firstReplyMs: { readonly p99: number };
  readonly finishMs: { readonly p50: number; readonly max: number };
  readonly wallMs: number;
  readonly blocks: number;
  readonly clientCpuMs: number;
}

/** @param onWarm called when they have warmed up with the file `config`, before what counts. Default: they do not. */
export async function runStorm(root: string, port: number, storm: Storm, onWarm?: () => void): Promise<StormResult> {
  const { nodes, fetches, file, wish } = storm;
  const script = join(import.meta.dirname, 'storm.ts');
  const args = [script, String(port), String(nodes), String(fetches), file, join(root, file), JSON.stringify(wish)];
  if (onWarm !== undefined) args.push('config');
  const child = spawn('taskset', ['-c', '1', process.execPath, '--import', 'tsx', ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: 300_000,
  });
  let last = '';
  for await (const line of createInterface({ input: child.stdout })) {
    last = line;
    if (line !== 'warm') continue;
    onWarm?.();
    child.stdin.write('go\n');
  }
  return JSON.parse(last) as StormResult;
}
