/** Man pages: that man reads them without a complaint, and that nothing of the command line is missing. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { allCommands, type CommandNode, commandLine } from '../../packaging/deb/command-line.ts';
import { commandPages, type ManPage, pageName, readAfterHelp } from '../../packaging/deb/man-pages.ts';
import { settingsPage } from '../../packaging/deb/man-settings.ts';
import { bold, plain, prose } from '../../packaging/deb/roff.ts';
import { SETTING_LIST } from '../../src/config/settings.ts';

const EDITION = { version: '1.2.3', day: '2026-11-30' };
const place = mkdtempSync(join(tmpdir(), 'reveille-man-'));
afterAll(() => rmSync(place, { recursive: true, force: true }));

let program: CommandNode;
let pages: ManPage[];
beforeAll(async () => {
  program = await commandLine('1.2.3');
  pages = [...commandPages(program, EDITION), settingsPage(EDITION, '/etc/reveille/reveille.yaml')];
  for (const { name, text } of pages) writeFileSync(join(place, name), text);
});

const text = (name: string): string => pages.find((page) => page.name === name)!.text;

it('every command has a page with all its options and arguments', () => {
  for (const node of allCommands(program)) {
    const page = text(`${pageName(node.path)}.1`);
    for (const { names } of node.options) expect(page).toContain(names.map(bold).join(', '));
    for (const { placeholder } of node.arguments) expect(page).toContain(`\\fI${plain(placeholder)}\\fR`);
  }
});

it('every key of the config file is described', () => {
  for (const { key } of SETTING_LIST) expect(text('reveille.yaml.5')).toContain(`.TP\n${bold(key)}\n`);
});

it('defaults of the machine that builds are on no page', () => {
  for (const page of pages) expect(page.text).not.toMatch(/; here /);
});

it.skipIf(spawnSync('mandoc', ['-Tlint', '/dev/null']).error !== undefined)(
  'mandoc and groff have no complaints',
  () => {
    const files = pages.map(({ name }) => join(place, name));
    expect(spawnSync('mandoc', ['-Tlint', '-Wwarning', ...files], { encoding: 'utf8' }).stdout).toBe('');
    expect(spawnSync('groff', ['-man', '-Kutf8', '-Tutf8', '-ww', '-z', ...files], { encoding: 'utf8' })).toMatchObject(
      {
        status: 0,
        stderr: '',
      },
    );
  },
);

it('what roff would take as its own is escaped', () => {
  expect(plain(".so /etc\n'x \\fB -o ~ …")).toBe('\\&.so /etc\n\\(aqx \\efB \\-o \\(ti \\[u2026]');
  expect(prose('a well-known `--flag` -1')).toBe('a well-known \\fB\\-\\-flag\\fR \\-1');
});

it('exit codes in a sentence and in a list are read; anything else is a mistake', () => {
  const list = '\nExit codes:\n  0  success\n  2  wrong input: a, b\n';
  expect(readAfterHelp(list).codes).toEqual([
    ['0', 'success'],
    ['2', 'wrong input: a, b'],
  ]);
  expect(readAfterHelp('Note.\nExit codes: 0 fine; 1 failed, or stopped.')).toEqual({
    notes: ['Note.'],
    examples: [],
    codes: [
      ['0', 'fine'],
      ['1', 'failed, or stopped'],
    ],
  });
  expect(() => readAfterHelp('Exit codes: success is 0.')).toThrow('expected a digit and its meaning');
});
