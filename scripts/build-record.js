/**
 * Prints the origin of a build as JSON: version, commit, and a date in seconds. `reveille --version` shows it, and
 * packages are dated by it. The commit comes from git, or from commit.txt, which `git archive` fills in.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A header of tar has 11 octal digits for a time. */
const MAX_SECONDS = 0o77777777777;

const root = fileURLToPath(new URL('..', import.meta.url));

function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}

function commitOf() {
  const archived = /^([0-9a-f]{40}) (\d+)$/m.exec(readFileSync(new URL('commit.txt', import.meta.url), 'utf8'));
  if (archived !== null) return { commit: archived[1].slice(0, 7), date: Number(archived[2]) };
  try {
    // A repository around an unpacked archive has other commits.
    if (realpathSync(git('rev-parse', '--show-toplevel')) !== realpathSync(root)) throw new Error('not this folder');
    const [hash, date] = git('log', '--max-count=1', '--format=%H %ct').split(' ');
    const dirty = git('status', '--porcelain') === '' ? '' : '-dirty';
    return { commit: `${hash.slice(0, 7)}${dirty}`, date: Number(date) };
  } catch {
    return { commit: 'unknown', date: 0 };
  }
}

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const { commit, date } = commitOf();
const wished = process.env['SOURCE_DATE_EPOCH'];
if (wished === undefined || (/^\d{1,10}$/.test(wished) && Number(wished) <= MAX_SECONDS)) {
  process.stdout.write(`${JSON.stringify({ version, commit, date: Number(wished ?? date) })}\n`);
} else {
  process.stderr.write(`SOURCE_DATE_EPOCH: expected seconds since 1970, at most ${MAX_SECONDS}, got ${wished}\n`);
  process.exitCode = 2;
}
