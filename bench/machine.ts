/** The machine, the runtime and the commit, on which results depend. */
import { execFileSync } from 'node:child_process';

export { describeMachine, type Machine } from '../src/storm/machine.ts';

/** @returns the commit measured; a `+` says that src or bench differ from it. `unknown` outside a repository. */
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
