import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCommand } from '../support/command.ts';
import { folder, Reveille } from '../support/reveille.ts';

const BUILT = new URL('../../dist/build.json', import.meta.url);

describe('the reveille command', () => {
  it('prints its version and the commit', async () => {
    const { version, commit } = JSON.parse(readFileSync(BUILT, 'utf8')) as { version: string; commit: string };
    expect(await new Reveille(['--version']).ended).toEqual({
      code: 0,
      signal: null,
      stdout: `${version} (${commit})\n`,
      stderr: '',
    });
  });

  it('prints its help and its exit codes', async () => {
    const [help, serve, get, storm, check] = await Promise.all([
      runCommand(['--help']),
      runCommand(['serve', '--help']),
      runCommand(['get', '--help']),
      runCommand(['storm', '--help']),
      runCommand(['check', '--help']),
    ]);
    expect([help.code, serve.code, get.code, storm.code, check.code]).toEqual([0, 0, 0, 0, 0]);
    for (const flag of ['--nodes', '--plan', '--verify', '--slo']) expect(storm.stdout).toContain(flag);
    for (const flag of ['--file', '--against', '--timeout', '--json']) expect(check.stdout).toContain(flag);
    expect(help.stdout).toMatch(/Exit codes:\n {2}0 .*\n {2}1 .*\n {2}2 .*\n {2}3 /);
    for (const flag of ['--listen', '--no-admin', '--cache-bytes', '--drain', '--config', '--hint']) {
      expect(serve.stdout).toContain(flag);
    }
    for (const flag of ['--blksize', '--windowsize', '--tsize', '--output']) expect(get.stdout).toContain(flag);
  });

  it('prints its help without a command, as a usage error', async () => {
    const ended = await new Reveille([]).ended;
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('Usage: reveille');
  });

  it.each([
    [['serv'], "unknown command 'serv' (Did you mean serve?)"],
    [['serve', '--worker', '3'], "unknown option '--worker' (Did you mean --workers?)"],
    [['serve', '--workers'], "option '--workers <N>' argument missing"],
    [['serve', '--workers', '0', '.'], '--workers: expected a whole number from 1 to 256, got "0"'],
    [['serve', '--drain', '5', '.'], '--drain: expected a duration from 0 to 1h, such as 30s, got "5"'],
    [
      ['serve', '--listen', '127.0.0.1', '.'],
      '--listen: expected ADDR:PORT such as 127.0.0.1:69 or [::1]:69, got "127.0.0.1"',
    ],
    [['serve', '--admin', 'false', '.'], '--admin: expected ADDR:PORT such as 127.0.0.1:69 or [::1]:69, got "false"'],
    [['serve', '--log-level', 'loud', '.'], '--log-level: expected one of debug, info, warn, error, got "loud"'],
    [
      ['serve'],
      'serve: expected a directory to serve, got neither ROOT nor --store nor "root", "store" or "routes" in a config file',
    ],
    [['serve', 'a', 'b'], "too many arguments for 'serve'. Expected 1 argument but got 2."],
    [['serve', '/dev/null'], 'ROOT: expected a directory, got "/dev/null", which is not one'],
    [['serve', '--config', '/nowhere.yaml'], '/nowhere.yaml: expected a config file, got ENOENT'],
    [['get'], "missing required argument 'URL'"],
    [['get', 'http://h/x'], 'get: expected tftp://HOST[:PORT]/NAME, got "http://h/x"'],
    [['get', 'tftp://h/x', '--blksize', '7'], '--blksize: expected a whole number from 8 to 65464, got "7"'],
    [
      ['get', 'tftp://h/x', '--windowsize', '65536'],
      '--windowsize: expected a whole number from 1 to 65535, got "65536"',
    ],
    [['get', 'tftp://h/dir/'], 'get: expected -o FILE, because no file name can be derived from "dir/"'],
    [['get', 'tftp://127.0.0.1/x', '-o', '/'], '-o: expected a file, got the directory "/"'],
    [
      ['get', `tftp://127.0.0.1/${'x'.repeat(520)}`],
      'get: expected a name that fits into a request of 512 bytes, got a name of 520 bytes',
    ],
  ])('rejects %j with one line and exit code 2', async (args, line) => {
    expect(await runCommand(args)).toEqual({
      code: 2,
      stdout: '',
      stderr: `reveille: ${line}\n`,
    });
  });

  it('rejects a bad config with its file and line', async () => {
    const root = folder();
    writeFileSync(join(root, 'c.yaml'), 'root: .\nworkers: many\n');
    const ended = await new Reveille(['serve', '--config', 'c.yaml'], { cwd: root }).ended;
    expect(ended).toMatchObject({
      code: 2,
      stdout: '',
      stderr: 'reveille: c.yaml:2: workers: expected a whole number from 1 to 256, got "many"\n',
    });
  });
});
