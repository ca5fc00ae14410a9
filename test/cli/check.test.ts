import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { describe, expect, it, onTestFinished } from 'vitest';
import { addCheckCommand } from '../../src/cli/check.ts';
import { Interrupts } from '../../src/daemon/interrupts.ts';
import { EXIT, type ExitCode, UsageError } from '../../src/config/usage-error.ts';
import { CHECKS } from '../../src/check/checks.ts';
import { CHECK_SCHEMA, type CheckReport } from '../../src/check/report.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { FaultyServer, type Fault } from '../check/faulty-server.ts';
import { QUICK_WAITS } from '../check/waits.ts';
import { folder } from '../support/reveille.ts';

const LINUX = seededBytes(SEED, 6001);
/** Checks that finish at once. */
const SOME = CHECKS.filter(({ number }) => [3, 7, 9, 18, 29, 40].includes(number));

interface Said {
  readonly code: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command as main.ts does: a usage error becomes one line and exit code 2. */
async function run(args: readonly string[], interrupts = new Interrupts()): Promise<Said> {
  let code: ExitCode = EXIT.fine;
  let stdout = '';
  let stderr = '';
  const complain = (text: string): void => {
    stderr += text;
  };
  const program = new Command('reveille').exitOverride().configureOutput({
    writeOut: (text) => {
      stdout += text;
    },
    outputError: complain,
  });
  const context = {
    interrupts,
    version: '0',
    stderr: { write: complain },
    stdout: {
      write: (text: string): void => {
        stdout += text;
      },
    },
  };
  const done = (result: ExitCode): void => {
    code = result;
  };
  addCheckCommand(program, context, done, { waits: QUICK_WAITS, checks: SOME });
  try {
    await program.parseAsync(['check', ...args], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) code = error.exitCode === 0 ? EXIT.fine : EXIT.usage;
    else if (error instanceof UsageError) {
      code = EXIT.usage;
      complain(`${error.message}\n`);
    } else throw error;
  }
  return { code, stdout, stderr };
}

async function serve(...faults: Fault[]): Promise<string> {
  const server = await FaultyServer.open({ linux: LINUX, 'boot/grub': LINUX.subarray(0, 700) }, faults);
  onTestFinished(() => server.close());
  return `127.0.0.1:${server.address.port}`;
}

/** A port with no listener. */
async function closedPort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

describe('reveille check', () => {
  it('prints a line for each statement and a summary, and ends with 0 when none failed', async () => {
    const address = await serve();
    const { code, stdout, stderr } = await run([address, '--file', 'linux']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(SOME.length + 1);
    expect(lines[0]).toBe('  3  pass         DATA, ACK, ERROR and OACK at the port for requests get no answer');
    expect(lines.at(-1)).toMatch(/^127\.0\.0\.1:[0-9]+: 6 passed, 0 failed, 0 not offered, 0 not tried; [0-9]+ s$/);
  });

  it('says why a statement failed, and ends with 1', async () => {
    const { code, stdout } = await run([await serve('grantsUnasked'), '--file', 'linux']);
    expect(code).toBe(1);
    expect(stdout).toContain(
      ' 18  fail         The OACK names no option that was not asked for\n                  expected only tsize, got OACK (tsize=6001 retries=5)\n',
    );
    expect(stdout).toContain(': 5 passed, 1 failed (18), ');
  });

  it('writes the report as JSON, beside the table or in its place', async () => {
    const address = await serve('grantsUnasked');
    const path = join(folder(), 'report.json');
    const [beside, instead] = await Promise.all([
      run([address, '--file', 'linux', '--json', path]),
      run([address, '--file', 'linux', '--json', '-']),
    ]);
    expect(beside.stdout).toContain(' 18  fail ');
    expect(instead.stderr).toContain(': 5 passed, 1 failed (18), ');
    expect([beside.code, instead.code]).toEqual([1, 1]);
    for (const text of [readFileSync(path, 'utf8'), instead.stdout]) {
      const report = JSON.parse(text) as CheckReport;
      expect(report).toMatchObject({
        schema: CHECK_SCHEMA,
        server: address,
        files: [{ name: 'linux', size_bytes: 6001 }],
        fault: null,
        fell_silent_after: null,
        cut_short: null,
        pass: 5,
        fail: 1,
        not_offered: 0,
        not_tried: 0,
      });
      expect(report.checks.map(({ number }) => number)).toEqual(SOME.map(({ number }) => number));
      expect(report.checks.find(({ number }) => number === 18)).toMatchObject({
        verdict: 'fail',
        clause: 'RFC 2347',
        detail: 'expected only tsize, got OACK (tsize=6001 retries=5)',
      });
    }
  });

  it('compares with a copy of a file, or with a folder of copies', async () => {
    const address = await serve();
    const root = folder();
    mkdirSync(join(root, 'boot'));
    writeFileSync(join(root, 'linux'), LINUX);
    writeFileSync(join(root, 'boot/grub'), LINUX.subarray(0, 700));
    writeFileSync(join(root, 'other'), Buffer.alloc(LINUX.length, 7));
    const copy = await run([address, '--file', 'linux', '--against', join(root, 'linux')]);
    expect(copy).toMatchObject({ code: 0, stderr: '' });
    const both = ['--file', 'linux', '--file', 'boot/grub'];
    const copies = await run([address, ...both, '--against', root]);
    expect(copies).toMatchObject({ code: 0, stderr: '' });
    const wrong = await run([address, '--file', 'linux', '--against', join(root, 'other')]);
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toContain('block 1 holds other bytes than the file\n');
  });

  it('reports in one line that the port is closed, and ends with 1', async () => {
    const port = await closedPort();
    expect(await run([`127.0.0.1:${port}`, '--file', 'linux'])).toEqual({
      code: 1,
      stdout: '',
      stderr: `reveille: 127.0.0.1:${port}: nobody listens on that port\n`,
    });
  });

  it('says in one line that a server does not answer, and ends with 1', async () => {
    const mute = createSocket('udp4').bind(0, '127.0.0.1');
    onTestFinished(() => void mute.close());
    await once(mute, 'listening');
    const { port } = mute.address();
    expect(await run([`127.0.0.1:${port}`, '--file', 'linux'])).toEqual({
      code: 1,
      stdout: '',
      stderr: `reveille: 127.0.0.1:${port}: no answer\n`,
    });
  });

  it('says in one line that the file is not there, and ends with 1', async () => {
    const address = await serve();
    expect(await run([address, '--file', 'nothing\x1b[31m'])).toEqual({
      code: 1,
      stdout: '',
      stderr: `reveille: ${address}: the server does not give the file "nothing?[31m": ERROR 1 "There is no such file"\n`,
    });
  });

  it('reports a server that went silent, and ends with 1', async () => {
    const { code, stdout } = await run([await serve('diesOfMode'), '--file', 'linux']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/; the server fell silent after check 9\n$/);
  });

  it('reports the results so far when it is stopped by a signal, and ends with 1', async () => {
    const mute = createSocket('udp4').bind(0, '127.0.0.1');
    onTestFinished(() => void mute.close());
    await once(mute, 'listening');
    const interrupts = new Interrupts();
    mute.once('message', () => interrupts.emit('signal', 'SIGINT'));
    const { port } = mute.address();
    expect(await run([`127.0.0.1:${port}`, '--file', 'linux'], interrupts)).toEqual({
      code: 1,
      stdout: '',
      stderr: `reveille: 127.0.0.1:${port}: stopped by SIGINT\n`,
    });
  });

  it.each([
    [[], "error: missing required argument 'SERVER'"],
    [['::1:x', '--file', 'x'], 'server: expected HOST, HOST:PORT or [IPv6]:PORT, got "::1:x"'],
    [['127.0.0.1:0', '--file', 'x'], 'server: expected HOST, HOST:PORT or [IPv6]:PORT, got "127.0.0.1:0"'],
    [['127.0.0.1:69'], 'check: expected --file NAME, the name of a file on the server'],
    [['127.0.0.1:69', '--file', ''], '--file: expected a name of 1 to 255 bytes, got ""'],
    [['127.0.0.1:69', '--flie', 'x'], "error: unknown option '--flie'\n(Did you mean --file?)"],
    [
      ['127.0.0.1:69', '--file', 'x', '--timeout', '5'],
      '--timeout: expected a duration from 1s to 1h, such as 90s or 10m, got "5"',
    ],
    [
      ['127.0.0.1:69', '--file', 'x', '--against', '/nowhere/x'],
      '--against: expected a file or a folder, got "/nowhere/x", which does not exist',
    ],
    [
      ['127.0.0.1:69', '--file', 'nowhere/x', '--against', '/'],
      '--against: expected a copy of "nowhere/x" at "/nowhere/x", got ENOENT',
    ],
    [
      ['127.0.0.1:69', '--file', 'x', '--json', '/nowhere/x'],
      '--json: expected a file that can be written or -, got "/nowhere/x" (ENOENT)',
    ],
  ])('rejects %j with exit code 2, before the first packet', async (args, line) => {
    expect(await run(args)).toEqual({ code: 2, stdout: '', stderr: `${line}\n` });
    expect(existsSync('/nowhere')).toBe(false);
  });
});
