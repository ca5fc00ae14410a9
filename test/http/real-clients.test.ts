/** curl and wget, which installers and initrds bring along. */
import { execFile } from 'node:child_process';
import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { urlOf } from '../../src/http/http-url.ts';
import { temporaryFolder } from '../content/fixture.ts';
import { provideClients } from '../support/clients.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { type LiveServer, serveFolder } from '../support/server.ts';
import { keyPairFiles } from '../support/tls-files.ts';

await provideClients();

const INITRD = seededBytes(SEED, 5_000_000);
const ANY = { address: '127.0.0.1', port: 0 };

let live: LiveServer;
let folder: string;
let certificate: string;
let plain: string;
let secure: string;

interface Ran {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

function run(command: string, ...args: string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const options = { encoding: 'buffer', maxBuffer: 32 * 1024 * 1024, timeout: 60_000, cwd: folder } as const;
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') reject(error);
      else resolve({ code: Number(error?.code ?? 0), stdout, stderr: stderr.toString() });
    });
  });
}

const curl = (...args: string[]): Promise<Ran> => run('curl', '--silent', '--show-error', ...args);

beforeAll(async () => {
  folder = temporaryFolder(afterAll);
  const root = temporaryFolder(afterAll);
  writeFileSync(join(root, 'initrd.img'), INITRD);
  utimesSync(join(root, 'initrd.img'), 1_000_000_000, 1_000_000_000);
  const tls = await keyPairFiles(folder);
  ({ certificate } = tls);
  live = await serveFolder(root, { http: { listen: [ANY, { ...ANY, address: '::1' }], listenSecure: [ANY], tls } });
  const url = (isSecure: boolean): string =>
    `${urlOf(live.server.httpAddresses.find((one) => one.isSecure === isSecure)!)}/initrd.img`;
  [plain, secure] = [url(false), url(true)];
});

afterAll(() => live.server.stop(0));

describe('curl', () => {
  it.each([
    ['HTTP/1.1', () => [plain]],
    ['HTTP/1.0', () => ['--http1.0', plain]],
    ['HTTP/2 offered in an upgrade', () => ['--http2', plain]],
    ['HTTPS', () => ['--cacert', certificate, secure]],
    ['HTTPS with TLS 1.2', () => ['--cacert', certificate, '--tls-max', '1.2', secure]],
    ['compression offered', () => ['--compressed', plain]],
    ['a proxy in between that sends the absolute form', () => ['--proxy', new URL(plain).origin, plain]],
    ['four files on one connection', () => [plain, plain, plain, plain]],
  ])('takes the whole file: %s', async (_, args) => {
    const { code, stdout, stderr } = await curl(...args());
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const times = args().filter((arg) => arg === plain).length || 1;
    expect(stdout.equals(Buffer.concat(Array.from({ length: times }, () => INITRD)))).toBe(true);
  });

  it('gets a range, and resumes a file that was cut off', async () => {
    expect((await curl('--range', '1000-1999', plain)).stdout.equals(INITRD.subarray(1000, 2000))).toBe(true);
    expect((await curl('--range', '-10', secure, '--insecure')).stdout.equals(INITRD.subarray(-10))).toBe(true);
    writeFileSync(join(folder, 'cut'), INITRD.subarray(0, 1_234_567));
    const { code } = await curl('--continue-at', '-', '--output', 'cut', plain);
    expect(code).toBe(0);
    expect(readFileSync(join(folder, 'cut')).equals(INITRD)).toBe(true);
    const past = await curl('--fail', '--range', '5000000-', plain);
    expect(past.code).toBe(22);
    expect(past.stderr).toContain('416');
  });

  it('gets no content that it already has', async () => {
    const first = await curl('--etag-save', 'tag', '--output', 'whole', plain);
    expect(first.code).toBe(0);
    const status = ['--write-out', '%{http_code} %{size_download}', '--output', 'again'];
    expect((await curl('--etag-compare', 'tag', ...status, plain)).stdout.toString()).toBe('304 0');
    expect((await curl('--time-cond', 'Sun, 09 Sep 2001 01:46:40 GMT', ...status, plain)).stdout.toString()).toBe(
      '304 0',
    );
    expect((await curl('--time-cond', 'Sun, 09 Sep 2001 01:46:39 GMT', ...status, plain)).stdout.toString()).toBe(
      `200 ${INITRD.length}`,
    );
  });

  it('asks for the head only', async () => {
    const { stdout } = await curl('--head', plain);
    expect(stdout.toString()).toContain('\r\nLast-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n');
    expect(stdout.toString()).toContain(`\r\nContent-Length: ${INITRD.length}\r\n`);
  });
});

describe('wget', () => {
  it('gets the whole file, resumes one that was cut off, and checks whether a file exists', async () => {
    const whole = await run('wget', '--quiet', '--output-document', 'w', plain);
    expect({ code: whole.code, is: readFileSync(join(folder, 'w')).equals(INITRD) }).toEqual({ code: 0, is: true });
    writeFileSync(join(folder, 'initrd.img'), INITRD.subarray(0, 4_000_001));
    expect((await run('wget', '--quiet', '--continue', plain)).code).toBe(0);
    expect(readFileSync(join(folder, 'initrd.img')).equals(INITRD)).toBe(true);
    expect((await run('wget', '--quiet', '--spider', plain)).code).toBe(0);
    expect((await run('wget', '--quiet', '--spider', `${plain}.none`)).code).toBe(8);
    const tls = await run('wget', '--quiet', `--ca-certificate=${certificate}`, '--output-document', 's', secure);
    expect({ code: tls.code, is: readFileSync(join(folder, 's')).equals(INITRD) }).toEqual({ code: 0, is: true });
  });
});
