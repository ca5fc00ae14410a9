/** The compared servers: how each is started, at an address and port, over a directory. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export interface Contender {
  readonly name: string;
  /** Largest windowsize that the server grants; 1: it grants none. */
  readonly windowsize: number;
  command(root: string, port: number): readonly string[];
  /** Rounds of fetches before the server is measured: a just-in-time compiler needs some hundred thousand blocks. */
  readonly warmUpRounds: number;
  /** The only port it can listen on, when it has no choice. */
  readonly port?: number;
}

const REVEILLE = join(import.meta.dirname, '../../dist/cli/main.js');

/** @returns the command of another build, from that build's package.json. @param dist the build's folder `dist`. */
function programOf(dist: string): string {
  const folder = resolve(dist, '..');
  const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { bin: { reveille: string } };
  return join(folder, bin.reveille);
}

/**
 * The client uses one address for thousands of nodes, which no rack does. Builds older than these limits do not know
 * the flags.
 */
const WITHOUT_LIMITS = [
  '--half-open',
  '--half-open-per-network',
  '--half-open-per-address',
  '--sessions-per-address',
  '--sessions-per-network4',
].flatMap((flag) => [flag, '100000']);

/** Reveille with one worker. @param dist folder of another build. */
export function reveille(engine: 'linux' | 'portable', dist?: string): Contender {
  const main = dist === undefined ? REVEILLE : programOf(dist);
  return {
    name: dist === undefined ? `reveille, ${engine} engine` : `reveille, ${engine} engine, ${dist}`,
    windowsize: 64,
    warmUpRounds: 3,
    command: (root, port) => [
      process.execPath,
      // The same heap settings as in deploy/reveille.service.
      '--max-semi-space-size=4',
      main,
      'serve',
      root,
      '--listen',
      `127.0.0.1:${port}`,
      '--no-admin',
      '--workers',
      '1',
      '--engine',
      engine,
      '--no-hint',
      '--log-level',
      'error',
      ...(dist === undefined ? WITHOUT_LIMITS : []),
    ],
  };
}

/** The yardstick, compiled here. */
function reference(work: string): Contender {
  const binary = join(work, 'reference');
  execFileSync('cc', ['-O2', '-o', binary, join(import.meta.dirname, 'reference.c')], { stdio: 'inherit' });
  return {
    name: 'reference.c',
    windowsize: 64,
    warmUpRounds: 1,
    command: (root, port) => [binary, root, '127.0.0.1', String(port)],
  };
}

/** The servers that Debian packages, unpacked but not installed: two of them can't be installed side by side. */
function packaged(work: string): Contender[] {
  const root = join(work, 'packages');
  if (!existsSync(join(root, 'usr/sbin/atftpd'))) {
    mkdirSync(root, { recursive: true });
    const options = { cwd: work, stdio: 'ignore' } as const;
    execFileSync(
      'apt-get',
      ['install', '-y', '--no-install-recommends', 'dnsmasq-base', 'libwrap0', 'libpcre3'],
      options,
    );
    execFileSync('apt-get', ['download', 'tftpd-hpa', 'atftpd'], options);
    execFileSync('sh', ['-c', 'for package in *.deb; do dpkg -x "$package" packages; done'], options);
  }
  const bin = (name: string): string => join(root, 'usr/sbin', name);
  return [
    {
      name: 'dnsmasq',
      windowsize: 1,
      warmUpRounds: 1,
      port: 69,
      command: (served) => [
        'dnsmasq',
        '--keep-in-foreground',
        '--conf-file=/dev/null',
        '--port=0',
        '--enable-tftp',
        '--user=root',
        `--tftp-root=${served}`,
        '--listen-address=127.0.0.1',
        '--bind-interfaces',
        '--tftp-max=20000',
        '--pid-file=',
        '--log-facility=/dev/null',
        '--quiet-tftp',
      ],
    },
    {
      name: 'tftpd-hpa',
      windowsize: 1,
      warmUpRounds: 1,
      command: (served, port) => [
        bin('in.tftpd'),
        '--foreground',
        '--address',
        `127.0.0.1:${port}`,
        '--user',
        'root',
        '--secure',
        served,
      ],
    },
    {
      name: 'atftpd',
      windowsize: 64,
      warmUpRounds: 1,
      command: (served, port) => [
        bin('atftpd'),
        '--daemon',
        '--no-fork',
        '--port',
        String(port),
        '--bind-address',
        '127.0.0.1',
        '--maxthread',
        '5000',
        '--user',
        'root',
        '--group',
        'root',
        '--logfile',
        '/dev/null',
        served,
      ],
    },
  ];
}

export function contenders(work: string): Contender[] {
  return [reveille('linux'), reveille('portable'), reference(work), ...packaged(work)];
}
