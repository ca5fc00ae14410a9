/** The TFTP clients in Debian: the options each can request, its command line, and its installation. */
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Address } from '../../src/index.ts';

/** Options of a request. An undefined option is not in the request. */
export interface Asking {
  readonly blksize?: number;
  readonly windowsize?: number;
  /** True if the request contains `tsize`. */
  readonly tsize?: boolean;
}

export interface RealClient {
  /** Name of the client, also in .ci/apt-packages. */
  readonly name: string;
  /** Command that proves the client is installed, and prints its options. */
  readonly help: readonly [string, ...string[]];
  /** All combinations of BLKSIZES and WINDOWSIZES that the client can request. */
  readonly asks: readonly Asking[];
  /** Pattern for options that no entry of `asks` uses, as the client's help would name them. */
  readonly hasNoWordFor: RegExp;
  /** True if the client can't download a file of `size` bytes with these options. */
  readonly refuses?: (asking: Asking, size: number) => boolean;
  command(asking: Asking, server: Address, remote: string, local: string): readonly [string, ...string[]];
}

const BLKSIZES = [1468, 8192, 65464];
const WINDOWSIZES = [8, 64];
const BLKSIZES_ALONE: readonly Asking[] = BLKSIZES.map((blksize) => ({ blksize }));

function urlHost(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** tftp-hpa 5.2 never requests options. */
const tftpHpa: RealClient = {
  name: 'tftp-hpa',
  help: ['tftp', '--help'],
  asks: [{}],
  hasNoWordFor: /blksize|blocksize|window/i,
  command: (_asking, { address, port }, remote, local) => [
    'tftp',
    '-m',
    'binary',
    address,
    String(port),
    '-c',
    'get',
    remote,
    local,
  ],
};

const atftp: RealClient = {
  name: 'atftp',
  help: ['atftp', '--help'],
  asks: [
    {},
    ...BLKSIZES_ALONE,
    ...WINDOWSIZES.map((windowsize) => ({ windowsize })),
    ...BLKSIZES.flatMap((blksize) => WINDOWSIZES.map((windowsize) => ({ blksize, windowsize }))),
    { tsize: true },
  ],
  hasNoWordFor: /(?!)/,
  command: ({ blksize, windowsize, tsize }, { address, port }, remote, local) => [
    'atftp',
    ...(tsize === undefined ? [] : ['--option', 'tsize 0']),
    ...(blksize === undefined ? [] : ['--option', `blksize ${blksize}`]),
    ...(windowsize === undefined ? [] : ['--option', `windowsize ${windowsize}`]),
    '-g',
    '-r',
    remote,
    '-l',
    local,
    address,
    String(port),
  ],
};

/** curl requests tsize whenever it requests any option, and treats tsize 0 as an error. */
const curl: RealClient = {
  name: 'curl',
  help: ['curl', '--help', 'all'],
  asks: [{}, { blksize: 512, tsize: true }, ...BLKSIZES.map((blksize) => ({ blksize, tsize: true }))],
  hasNoWordFor: /tftp-window/i,
  refuses: ({ tsize }, size) => tsize === true && size === 0,
  command: ({ blksize }, { address, port }, remote, local) => [
    'curl',
    ...(blksize === undefined ? ['--tftp-no-options'] : ['--tftp-blksize', String(blksize)]),
    '--silent',
    '--show-error',
    '--globoff',
    `tftp://${urlHost(address)}:${port}/${remote}`,
    '-o',
    local,
  ],
};

const busybox: RealClient = {
  name: 'busybox',
  help: ['busybox', 'tftp', '--help'],
  asks: [{}, ...BLKSIZES_ALONE],
  hasNoWordFor: /window/i,
  command: ({ blksize }, { address, port }, remote, local) => [
    'busybox',
    'tftp',
    ...(blksize === undefined ? [] : ['-b', String(blksize)]),
    '-g',
    '-l',
    local,
    '-r',
    remote,
    address,
    String(port),
  ],
};

export const REAL_CLIENTS: readonly RealClient[] = [tftpHpa, atftp, curl, busybox];

export function describeAsking({ blksize, windowsize, tsize }: Asking): string {
  const words = [
    ...(blksize === undefined ? [] : [`blksize ${blksize}`]),
    ...(windowsize === undefined ? [] : [`windowsize ${windowsize}`]),
    ...(tsize === undefined ? [] : ['tsize']),
  ];
  return words.length === 0 ? 'no options' : words.join(', ');
}

export interface Run {
  /** Exit code; null if a signal ended the command, which happens when it takes too long. */
  readonly code: number | null;
  /** Output of the command, for a person to read. */
  readonly output: string;
}

/** Runs a command to its end, for at most `timeoutMs`. @throws Error if there is no such command. */
export async function run(command: readonly [string, ...string[]], timeoutMs: number): Promise<Run> {
  const [file, ...args] = command;
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs, killSignal: 'SIGKILL' });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      // atftp writes a line for every block that overflows its socket.
      if (output.length < 100_000) output += chunk.toString();
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, output };
}

/** Help text of the client; undefined if the client is not installed. */
export async function helpOf({ help }: RealClient): Promise<string | undefined> {
  try {
    return (await run(help, 10_000)).output;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}

async function missingClients(): Promise<string[]> {
  const helps = await Promise.all(REAL_CLIENTS.map(helpOf));
  return REAL_CLIENTS.filter((_client, index) => helps[index] === undefined).map(({ name }) => name);
}

function install(): void {
  const packages = readFileSync(new URL('../../.ci/apt-packages', import.meta.url), 'utf8')
    .trim()
    .split('\n');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  execFileSync('apt-get', ['update'], { env, stdio: 'pipe' });
  execFileSync('apt-get', ['install', '-y', '--no-install-recommends', ...packages], { env, stdio: 'pipe' });
}

/**
 * Installs missing clients, if this process has the right to do so.
 *
 * @returns the names of clients that are still missing, after printing a notice.
 * @throws Error in CI, where a missing client is a failure.
 */
export async function provideClients(): Promise<readonly string[]> {
  let missing = await missingClients();
  let why = `not installed. As root: apt-get install ${missing.join(' ')}`;
  if (missing.length > 0 && process.getuid?.() === 0) {
    try {
      install();
    } catch (cause) {
      why = cause instanceof Error ? cause.message : String(cause);
    }
    missing = await missingClients();
  }
  if (missing.length === 0) return [];
  const complaint = `NOT TESTED with ${missing.join(', ')}: ${why}`;
  if (process.env['CI'] === 'true') throw new Error(complaint);
  process.stderr.write(`\n*** ${complaint}\n\n`);
  return missing;
}
