/** What results depend on: the machine, the runtime, the commit. */
import { execFileSync } from 'node:child_process';
import { cpus, release, type } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly kernel: string;
}

export function describeMachine(): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? 'unknown CPU',
    cores: cores.length,
    node: process.version,
    kernel: `${type()} ${release()}`,
  };
}

/** The commit measured; a `+` says that src or bench differ from it. `unknown` outside a repository. */
export function describeCommit(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  try {
    const commit = git('rev-parse', 'HEAD');
    return git('status', '--porcelain', '--', '../src', '.') === '' ? commit : `${commit}+`;
  } catch {
    return 'unknown';
  }
}
