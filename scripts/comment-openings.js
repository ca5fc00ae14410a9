/**
 * Lists comments that open with a fragment without a subject ("Of a transfer that …", "Who waits for it"): a new reader
 * needs a subject and a verb, or a noun that names the thing. Exits with 1 when there are any.
 *
 *   node scripts/comment-openings.js [--sample N --seed S]
 *
 * With `--sample` it prints N comments of `src` drawn at random instead, for a reading test.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const FOLDERS = ['src', 'bench', 'test', 'packaging', 'scripts'];
const OPENING = /^(?:Of|Who|Whoever|What|Whether|That|Which|From whom|For whom)\b/;
/** Matches strings and templates too, so that no `//` inside them counts as a comment. */
const TOKEN = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/.*(?:\n[ \t]*\/\/.*)*/g;

/** @returns the comments of a file: the line on which each begins, and its text in one line. */
function commentsOf(path) {
  const text = readFileSync(path, 'utf8');
  const found = [];
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (!token.startsWith('/')) continue;
    const lines = token
      .split('\n')
      .map((line) => line.replace(/^\s*(?:\/\*\*?|\*\/|\*|\/\/)?/, '').replace(/\*\/\s*$/, ''));
    const line = text.slice(0, index).split('\n').length;
    found.push({ path, line, text: lines.join(' ').replace(/\s+/g, ' ').trim() });
  }
  return found;
}

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const { values } = parseArgs({ options: { sample: { type: 'string' }, seed: { type: 'string', default: '1' } } });
const files = execFileSync('git', ['ls-files', ...FOLDERS], { encoding: 'utf8' })
  .split('\n')
  .filter((path) => /\.(?:ts|mts|js|mjs|c|css)$/.test(path));
const comments = files.flatMap(commentsOf);
if (values.sample === undefined) {
  const hanging = comments.filter(({ text }) => OPENING.test(text));
  for (const { path, line, text } of hanging) process.stdout.write(`${path}:${line}: ${text.slice(0, 100)}\n`);
  process.stdout.write(`${hanging.length} of ${comments.length} comments open with a fragment\n`);
  process.exitCode = hanging.length === 0 ? 0 : 1;
} else {
  const random = randomFrom(Number(values.seed));
  const ours = comments.filter(({ path, text }) => path.startsWith('src/') && /^[A-Z]/.test(text));
  process.stdout.write(`seed ${values.seed}\n`);
  for (let drawn = 0; drawn < Number(values.sample); drawn++) {
    const [{ path, line, text }] = ours.splice(Math.floor(random() * ours.length), 1);
    process.stdout.write(`${path}:${line}: ${text}\n`);
  }
}
