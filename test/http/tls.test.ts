/** HTTPS: its versions, its files and what is said of wrong ones. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { KeyFiles, readKeyPair } from '../../src/http/key-files.ts';
import { temporaryFolder } from '../content/fixture.ts';
import { RawHttp } from '../support/raw-http.ts';
import { Reveille } from '../support/reveille.ts';
import { serveFolder } from '../support/server.ts';
import { keyPairFiles } from '../support/tls-files.ts';

const ANY = [{ address: '127.0.0.1', port: 0 }];
const GET = 'GET /grub.cfg HTTP/1.1\r\n\r\n';

describe.each(['auto', 'portable'] as const)('HTTPS with the %s engine', (engine) => {
  it('answers TLS 1.2 and 1.3, and nothing older', async () => {
    const root = temporaryFolder();
    writeFileSync(join(root, 'grub.cfg'), 'set timeout=1\n');
    const tls = await keyPairFiles(temporaryFolder());
    const live = await serveFolder(root, { engine, http: { listen: ANY, listenSecure: ANY, tls } });
    onTestFinished(async () => void (await live.server.stop(0)));
    const at = live.server.httpAddresses.find(({ isSecure }) => isSecure)!;
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const versions = { minVersion: version, maxVersion: version };
      const client = new RawHttp(at, { tls: { rejectUnauthorized: false, ...versions } }).send(GET);
      // oxlint-disable-next-line no-await-in-loop -- one version after the other.
      expect((await client.answer()).body.toString()).toBe('set timeout=1\n');
      expect((client.socket as TLSSocket).getProtocol()).toBe(version);
      client.close();
    }
    const old = {
      rejectUnauthorized: false,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL@SECLEVEL=0',
    } as const;
    expect((await new RawHttp(at, { tls: old }).send(GET).all()).length).toBe(0);
    // Plain HTTP at the port of HTTPS.
    const plain = await new RawHttp(at).send(GET).all();
    expect(plain.toString('latin1')).not.toContain('timeout=1');
    await expect.poll(() => live.server.stats().http).toMatchObject({ malformedTotal: 2, connections: 0 });
  });
});

describe('the files of HTTPS', () => {
  it('are used by every thread once they have changed, and by a thread that replaces another', async () => {
    const root = temporaryFolder();
    writeFileSync(join(root, 'grub.cfg'), 'set timeout=1\n');
    const folder = temporaryFolder();
    const [first, second] = await Promise.all([keyPairFiles(folder, 'first'), keyPairFiles(folder, 'second')]);
    const used = { certificate: join(folder, 'used.pem'), key: join(folder, 'used.key') };
    copyFileSync(first.certificate, used.certificate);
    copyFileSync(first.key, used.key);
    const live = await serveFolder(root, {
      http: {
        listen: [],
        listenSecure: ANY,
        tls: used,
        threads: 2,
        timeouts: { keyFilesMs: 20 },
        thread: new URL('../support/faulty-http-thread.mjs', import.meta.url),
      },
    });
    onTestFinished(async () => void (await live.server.stop(0)));
    const [at] = live.server.httpAddresses;
    const open = async (target: string): Promise<string> => {
      const client = new RawHttp(at!, { tls: { rejectUnauthorized: false } });
      await once(client.socket, 'secureConnect');
      const { subject = 'none' } = (client.socket as TLSSocket).getPeerX509Certificate() ?? {};
      const all = await client.send(`GET ${target} HTTP/1.0\r\n\r\n`).all();
      return `${all.toString('latin1', 9, 12)} ${subject}`;
    };
    const before = new RawHttp(at!, { tls: { rejectUnauthorized: false } });
    expect((await before.send(GET).answer()).status).toBe(200);
    copyFileSync(second.key, used.key);
    copyFileSync(second.certificate, used.certificate);
    const ten = (): Promise<string[]> => Promise.all(Array.from({ length: 10 }, () => open('/grub.cfg')));
    const renewed = Array.from({ length: 10 }, () => '200 CN=second');
    await expect.poll(ten, { timeout: 20_000 }).toEqual(renewed);
    // A connection that is there goes on.
    expect((await before.send(GET).answer()).status).toBe(200);
    await open('/throw');
    expect(await ten()).toEqual(renewed);
    before.close();
  });

  it('are read again when they change; connections from then on get the new certificate', async () => {
    const folder = temporaryFolder();
    const [first, second] = await Promise.all([keyPairFiles(folder, 'first'), keyPairFiles(folder, 'second')]);
    const used = { certificate: join(folder, 'used.pem'), key: join(folder, 'used.key') };
    const use = (pair: typeof first): void => {
      copyFileSync(pair.certificate, used.certificate);
      copyFileSync(pair.key, used.key);
    };
    use(first);
    const changes: string[] = [];
    const warnings: unknown[] = [];
    const files = await KeyFiles.open(used, {
      onChanged: ({ cert }) => void changes.push(cert),
      onWarning: (_, detail) => void warnings.push(detail['error']),
      lookMs: 3_600_000,
    });
    onTestFinished(() => files.close());
    await files.look();
    copyFileSync(second.certificate, used.certificate);
    await files.look();
    expect(changes).toEqual([]);
    expect(warnings).toEqual([`tlsKey: ${used.key} is not the key of the certificate in ${used.certificate}`]);
    use(second);
    await files.look();
    expect(changes).toEqual([(await readKeyPair(second)).cert]);
  });

  it('are said to be wrong in one line', async () => {
    const folder = temporaryFolder();
    const [first, second] = await Promise.all([keyPairFiles(folder, 'first'), keyPairFiles(folder, 'second')]);
    const mistake = async (certificate: string, key: string): Promise<string> =>
      await readKeyPair({ certificate, key }).then(
        () => 'none',
        (error: Error) => error.message,
      );
    expect(await mistake(first.certificate, first.key)).toBe('none');
    expect(await mistake(first.certificate, second.key)).toBe(
      `tlsKey: ${second.key} is not the key of the certificate in ${first.certificate}`,
    );
    expect(await mistake(first.key, first.key)).toBe(`tlsCertificate: expected a certificate in PEM, got ${first.key}`);
    expect(await mistake(first.certificate, first.certificate)).toBe(
      `tlsKey: expected a private key in PEM without a passphrase, got ${first.certificate}`,
    );
    expect(await mistake(join(folder, 'none'), first.key)).toMatch(/^tlsCertificate: ENOENT: no such file[^\n]*none'$/);
  });

  it.each([
    ['a pipe', 'expected a file', (path: string) => execFileSync('mkfifo', [path])],
    ['a folder', 'expected a file', (path: string) => mkdirSync(path)],
    ['a device', 'expected a file', (path: string) => symlinkSync('/dev/zero', path)],
    ['a file of another kind', 'expected at most', (path: string) => writeFileSync(path, Buffer.alloc(2_000_000))],
  ])('do not block the server, and the former ones go on, when %s takes their place', async (_, expected, replace) => {
    const folder = temporaryFolder();
    const used = await keyPairFiles(folder);
    const good = readFileSync(used.key);
    const told: unknown[] = [];
    const files = await KeyFiles.open(used, {
      onChanged: () => void told.push('changed'),
      onWarning: (_message, detail) => void told.push(detail['error']),
      lookMs: 3_600_000,
    });
    onTestFinished(() => files.close());
    rmSync(used.key);
    replace(used.key);
    await files.look();
    expect(told).toEqual([expect.stringContaining(`tlsKey: ${expected}`)]);
    rmSync(used.key, { recursive: true });
    writeFileSync(used.key, good);
    await files.look();
    expect(told.slice(1)).toEqual(['changed']);
  });

  it('stop the start of a server where they are wrong, as does a port that is taken', async () => {
    const folder = temporaryFolder();
    const [first, second] = await Promise.all([keyPairFiles(folder, 'first'), keyPairFiles(folder, 'second')]);
    const serve = async (...args: string[]): Promise<{ code: number | null; stderr: string }> => {
      const any = '127.0.0.1:0';
      const { code, stderr } = await new Reveille(['serve', folder, '--listen', any, '--no-admin', ...args]).ended;
      return { code, stderr };
    };
    const files = (certificate: string, key: string): string[] => ['--tls-certificate', certificate, '--tls-key', key];
    expect(await serve('--https', '127.0.0.1:0', ...files(first.certificate, second.key))).toEqual({
      code: 1,
      stderr: `reveille: cannot start the server: tlsKey: ${second.key} is not the key of the certificate in ${first.certificate}\n`,
    });
    expect(await serve('--https', '127.0.0.1:0')).toEqual({
      code: 2,
      stderr: expect.stringMatching(/^reveille: --https: expected tlsCertificate with it, got none\n/) as string,
    });
    const live = await serveFolder(folder, { http: { listen: ANY } });
    onTestFinished(async () => void (await live.server.stop(0)));
    const { port } = live.server.httpAddresses[0]!;
    expect(await serve('--http', `127.0.0.1:${port}`)).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        new RegExp(
          `^reveille: cannot start the server: 127\\.0\\.0\\.1:${port}: bind: EADDRINUSE \\(is another HTTP server running\\? [^\\n]*\\n$`,
        ),
      ) as string,
    });
  });
});
