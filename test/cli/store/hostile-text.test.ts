/** Every command that prints the contents of a store: text from others must not reach the terminal unescaped. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pinKey, type VersionRecord } from '../../../src/boot-set/store/records.ts';
import { openStore } from '../../../src/boot-set/store/store.ts';
import { escapeJson, escapeLine } from '../../../src/text/escape.ts';
import { runCommand } from '../../support/command.ts';
import { folder } from '../../support/reveille.ts';

/**
 * Clears the screen, sets the title, ends the line, reverses text, hides text; 8-bit ESC, DEL, Unicode line separator.
 */
const HOSTILE = '\x1b[2J\x1b]0;x\x07\nFORGED 1\rFORGED 2\u202etxt.exe\u2066\u200b\u009b31m\x7f\u2028';
const EVIL = `evil${HOSTILE}`;

/** A store whose database holds values that no command would have written. */
async function hostileStore(): Promise<string> {
  const path = join(folder(), 'store');
  const set = join(path, '../set');
  mkdirSync(set);
  writeFileSync(join(set, 'linux'), 'x');
  const { publish } = await import('../../../src/boot-set/store/publish.ts');
  const store = await openStore({ path });
  await publish(store, { channel: 'a', paths: [set], labels: { build: '7' } });
  writeFileSync(join(set, 'linux'), 'y');
  await publish(store, { channel: 'a', paths: [set] });
  await store.change((tables) => {
    const version: VersionRecord = {
      ...tables.versions.get('a-1')!,
      labels: { [`build${HOSTILE}`]: HOSTILE },
      kernelArguments: HOSTILE,
    };
    tables.versions.put('a-1', version);
    tables.versions.put(`${EVIL}-1`, { ...version, channel: EVIL, files: [{ ...version.files[0]!, name: HOSTILE }] });
    tables.versions.put(`${EVIL}-2`, { ...version, channel: EVIL, number: 2, manifest: 'f'.repeat(64) });
    const rollout = { candidate: 2, select: { [HOSTILE]: HOSTILE }, paused: false };
    const channel = { ...tables.channels.get('a')!, rollout: { ...rollout, candidate: 1 } };
    tables.channels.put('a', channel);
    tables.channels.put(EVIL, { ...channel, name: EVIL, current: 1, previous: [], rollout });
    tables.overrides.put(pinKey(EVIL, 'a'), { node: EVIL, channel: 'a', version: 2 });
    const pin = { node: EVIL, channel: EVIL, version: 1, createdAt: 1, usedAt: Date.now(), stage: 0, address: HOSTILE };
    tables.pins.put(pinKey(EVIL, EVIL), { ...pin, createdAt: Date.now(), stage: 0 });
    tables.useNotes.put(`${EVIL}-1`, { usedAt: Date.now() });
  });
  await store.close();
  return path;
}

/** Commands to run, each as text and with `--json`; some must fail. */
const COMMANDS: readonly (readonly string[])[] = [
  ['channels'],
  ['versions', 'a'],
  ['versions', EVIL],
  ['versions', `none${HOSTILE}`],
  ['pins'],
  ['verify'],
  ['gc', '--dry-run', '--grace', '0'],
  ['keep', `${EVIL}-1`],
  ['keep', `none${HOSTILE}-1`],
  ['channel', EVIL, '--pin-idle', '5m'],
  ['channel', `none${HOSTILE}`],
  ['rollout', EVIL, '--pause'],
  ['rollout', EVIL, '--resume'],
  ['rollout', `none${HOSTILE}`, '--pause'],
  ['rollback', EVIL, '1'],
  ['rollback', 'a', HOSTILE],
  ['pin', HOSTILE, 'a-1'],
  ['pin', '52:54:00:12:34:56', `${EVIL}-2`],
  ['pin', '52:54:00:12:34:56', EVIL, '--drop'],
  ['pins', '--drop', HOSTILE],
  ['publish', HOSTILE, '.'],
  ['publish', 'a', `./none${HOSTILE}`],
  ['publish', 'a', '.', '--label', HOSTILE],
  ['publish', 'a', '.', '--label', `a=${HOSTILE}`],
  ['publish', 'a', '.', '--os', `${HOSTILE}=1`],
  ['publish', 'a', '.', `--${HOSTILE}`],
  ['store', 'rebuild'],
  ['remove', EVIL],
  ['gc', '--grace', '0'],
];

describe('a store whose labels, names and reasons are hostile', () => {
  it('sends no control character to the terminal with any command, and forges no line', {
    timeout: 180_000,
  }, async () => {
    for (const form of [[], ['--json']]) {
      const store = await hostileStore();
      for (const args of COMMANDS) {
        // If a hostile argument is taken for a flag without a value, the command still keeps the flags that follow.
        const { stdout, stderr } = await runCommand([...args, '--store', store, ...form]);
        const told = args.map(escapeLine);
        expect([told, /[^\x20-\x7e\n]/.exec(stderr)]).toEqual([told, null]);
        const unsafe = form.length === 0 ? /[^\x20-\x7e\n]/u : /[^\P{Cc}\n]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
        expect([told, unsafe.exec(stdout)]).toEqual([told, null]);
        expect([told, /^FORGED/m.exec(stdout + stderr)]).toEqual([told, null]);
        // The command still prints something: the table, the version or the verdict.
        expect([told, stdout + stderr]).not.toEqual([told, '']);
        const document = form.length === 0 || stdout === '' ? '{}' : stdout;
        expect(() => JSON.parse(document) as unknown).not.toThrow();
      }
    }
  });

  it('has them unchanged in JSON', async () => {
    const store = await hostileStore();
    const { stdout } = await runCommand(['versions', 'a', '--store', store, '--json']);
    expect(JSON.parse(stdout)).toMatchObject([{ number: 2 }, { number: 1, kernel_arguments: HOSTILE }]);
  });

  it('is explained and rendered without a control character', async () => {
    const store = await hostileStore();
    const config = join(store, '../reveille.yaml');
    writeFileSync(config, `store: ${store}\n`);
    for (const args of [
      ['explain', `${EVIL}/linux`],
      ['explain', `${EVIL}/linux`, '--json'],
      ['explain', 'a/linux', '--mac', HOSTILE],
      ['render', `${EVIL}/${HOSTILE}`],
      ['validate'],
    ]) {
      const { stdout, stderr } = await runCommand([...args, '--config', config]);
      const told = args.map(escapeLine);
      expect([told, /[^\P{Cc}\n]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.exec(stdout + stderr)]).toEqual([told, null]);
    }
  });
});

describe('text on a terminal', () => {
  it('keeps plain and already escaped text', () => {
    expect(escapeLine('a\\x1b "b" {c} 50 %')).toBe('a\\x1b "b" {c} 50 %');
    expect(escapeLine(escapeLine(HOSTILE))).toBe(escapeLine(HOSTILE));
    expect(escapeLine('\x1bä\u202e\n')).toBe('\\x1b\\xe4\\xe2\\x80\\xae\\x0a');
  });

  it('is the same value in JSON', () => {
    const value = { [HOSTILE]: [HOSTILE, 'ä“', '\u{e0001}', 'half a pair \ud800'] };
    const json = escapeJson(JSON.stringify(value, undefined, 2));
    expect(JSON.parse(json)).toEqual(value);
    expect(/[^\P{Cc}\n]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.exec(json)).toBeNull();
    expect(json).toContain('ä“');
  });
});
