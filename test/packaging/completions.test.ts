/** Completions in the shells themselves: what bash, zsh and fish offer for lines that people type. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandLine } from '../../packaging/deb/command-line.ts';
import { bashCompletion } from '../../packaging/deb/completion-bash.ts';
import { fishCompletion } from '../../packaging/deb/completion-fish.ts';
import { zshCompletion } from '../../packaging/deb/completion-zsh.ts';

const place = mkdtempSync(join(tmpdir(), 'reveille-completion-'));
afterAll(() => rmSync(place, { recursive: true, force: true }));

beforeAll(async () => {
  const program = await commandLine('1.2.3');
  writeFileSync(join(place, 'bash'), bashCompletion(program));
  writeFileSync(join(place, '_reveille'), zshCompletion(program));
  writeFileSync(join(place, 'fish'), fishCompletion(program));
  mkdirSync(join(place, 'work/folder'), { recursive: true });
  writeFileSync(join(place, 'work/file.yaml'), '');
});

/** Lines up to the cursor, and what a shell offers there. */
const LINES: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ['reveille st', ['store', 'storm']],
  ['reveille store ', ['rebuild']],
  ['reveille store rebuild --st', ['--store']],
  ['reveille serve --eng', ['--engine']],
  ['reveille serve --engine ', ['auto', 'linux', 'portable']],
  ['reveille serve --no-a', ['--no-admin']],
  ['reveille storm host --source ', ['address', 'port']],
  ['reveille serve f', ['folder']],
  ['reveille serve --config f', ['file.yaml', 'folder']],
  ['reveille serve --listen ', []],
  ['reveille publish channel f', ['file.yaml', 'folder']],
];

/** Each shell, what it runs, and the completion that it reads. */
const SHELLS: readonly (readonly [shell: string, args: readonly string[], completion: string])[] = [
  ['bash', ['complete.bash'], 'bash'],
  ['zsh', ['-f', 'complete.zsh'], '.'],
  ['fish', ['--no-config', 'complete.fish'], 'fish'],
];

describe.each(SHELLS)('%s', (shell, args, completion) => {
  const isInstalled = spawnSync(shell, ['-c', 'true']).status === 0;

  it.skipIf(!isInstalled)('offers commands, options, words, files and folders where they may stand', () => {
    const scripted = args.map((arg) => (arg.startsWith('complete.') ? join(import.meta.dirname, arg) : arg));
    const said = execFileSync(shell, [...scripted, join(place, completion), ...LINES.map(([line]) => line)], {
      cwd: join(place, 'work'),
      encoding: 'utf8',
      env: { ...process.env, TERM: 'dumb', HOME: place },
    });
    const offered = said
      .split('<next>')
      .slice(0, -1)
      // Some shells mark folders with a slash.
      .map((part) => [...new Set([...part.matchAll(/<([\w.-]+)\/?>/g)].map(([, word]) => word!))].toSorted());
    expect(LINES.map(([line], index) => [line, offered[index]])).toEqual(LINES);
  });
});
