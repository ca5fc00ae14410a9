import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { OutputFile } from '../../src/cli/output-file.ts';
import { UsageError } from '../../src/config/usage-error.ts';
import { folder } from '../support/reveille.ts';

describe('an output file', () => {
  it('appears when it is complete, whatever the pieces, and replaces what was there', () => {
    const file = join(folder(), 'f');
    writeFileSync(file, 'before');
    const pieces = [0, 1, 512, 262_143, 262_144, 3, 300_000, 0, 65_464, 262_144].map((length, n) =>
      new Uint8Array(length).fill(n + 1),
    );
    const output = OutputFile.open(file);
    const reused = new Uint8Array(300_000);
    for (const piece of pieces) {
      reused.set(piece);
      output.write(reused.subarray(0, piece.length));
      reused.fill(0xee);
    }
    expect(readFileSync(file, 'utf8')).toBe('before');
    expect(existsSync(`${file}.part`)).toBe(true);
    output.finish();
    output.discard();
    expect(readFileSync(file).equals(Buffer.concat(pieces))).toBe(true);
    expect(existsSync(`${file}.part`)).toBe(false);
  });

  it('of no bytes is an empty file', () => {
    const file = join(folder(), 'f');
    OutputFile.open(file).finish();
    expect(statSync(file).size).toBe(0);
  });

  it('that is discarded leaves nothing, and keeps the previous file', () => {
    const root = folder();
    writeFileSync(join(root, 'old'), 'before');
    for (const name of ['old', 'new']) {
      const output = OutputFile.open(join(root, name));
      output.write(Uint8Array.of(1));
      output.discard();
    }
    expect(readdirSync(root)).toEqual(['old']);
    expect(readFileSync(join(root, 'old'), 'utf8')).toBe('before');
  });

  it('that is a device is written, never replaced', () => {
    const before = statSync('/dev/null');
    const output = OutputFile.open('/dev/null');
    output.write(Uint8Array.of(1));
    output.finish();
    expect(statSync('/dev/null').ino).toBe(before.ino);
    expect(existsSync('/dev/null.part')).toBe(false);
  });

  it('reached by a symbolic link replaces what the link leads to', () => {
    const root = folder();
    mkdirSync(join(root, 'there'));
    writeFileSync(join(root, 'there', 'f'), 'before');
    symlinkSync('there/f', join(root, 'link'));
    const output = OutputFile.open(join(root, 'link'));
    output.write(Buffer.from('after'));
    output.finish();
    expect(lstatSync(join(root, 'link')).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(root, 'there', 'f'), 'utf8')).toBe('after');
  });

  it('does not write through a link that someone put in the place of FILE.part', () => {
    const root = folder();
    writeFileSync(join(root, 'victim'), 'before');
    symlinkSync('victim', join(root, 'f.part'));
    expect(() => OutputFile.open(join(root, 'f'))).toThrow(/ELOOP/);
    expect(readFileSync(join(root, 'victim'), 'utf8')).toBe('before');
  });

  it('that is a directory is a usage error; in a missing directory, a failure', () => {
    const root = folder();
    expect(() => OutputFile.open(root)).toThrow(UsageError);
    expect(() => OutputFile.open(join(root, 'none', 'f'))).toThrow(/ENOENT/);
  });
});
