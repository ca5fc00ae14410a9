/** Boot sets go through Debian's docker-registry and skopeo, and come back byte for byte. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openStore, type Store } from '../../src/boot-set/store/store.ts';
import { verify } from '../../src/boot-set/store/verify.ts';
import { pull } from '../../src/registry/pull.ts';
import { push } from '../../src/registry/push.ts';
import { parseReference } from '../../src/registry/reference.ts';
import { contentOf, folder, messageOf, newStore, publishFiles } from '../boot-set/fixture.ts';
import { keyPairFiles } from '../support/tls-files.ts';
import { DebianRegistry, hasRegistry, hasSkopeo, USER } from './fixture.ts';

/** The campaign has the sizes of a real boot set: 1 GiB in 100 files. */
const isLong = process.env['REVEILLE_CAMPAIGN'] === '1';
const [FILES, FILE_BYTES] = isLong ? [100, 10.24 * 2 ** 20] : [4, 200_000];

/** A way to a server that cuts each connection after so many bytes of answers. */
async function cutEach(host: string, afterBytes: number): Promise<{ readonly host: string; readonly cuts: number }> {
  let cuts = 0;
  const [address, port] = host.split(':');
  const proxy = createServer((client) => {
    const server = connect(Number(port), address);
    let left = afterBytes;
    server.on('data', (piece) => {
      client.write(piece.subarray(0, left));
      left -= piece.length;
      if (left > 0) return;
      cuts++;
      server.destroy();
      client.end();
    });
    client.pipe(server);
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => {});
      one.on('close', () => other.destroySoon());
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onTestFinished(() => void proxy.close());
  return {
    host: `127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    get cuts() {
      return cuts;
    },
  };
}

function versionIn(store: Store, name: string) {
  return store.tables.versions.get(name)!;
}

/** Ten files, one of which needs several chunks. */
function manyFiles(): Record<string, Buffer> {
  const small = Array.from({ length: 8 }, (_, at) => [`modules/${at}.mod`, randomBytes(at * 100)] as const);
  return { ...Object.fromEntries(small), linux: randomBytes(16 * 2 ** 20 + 7), initrd: Buffer.alloc(1024, 7) };
}

describe.runIf(hasRegistry)('a registry from Debian', { timeout: 60_000 }, () => {
  it('gives back what was pushed, byte for byte, and keeps what it has', async () => {
    const { host } = await DebianRegistry.start();
    const reference = parseReference(`oci+http://${host}/boot/install:stable`);
    const files = manyFiles();
    const from = await newStore();
    await publishFiles(from, 'hall/install', files, { kernelArguments: 'console=ttyS0' });
    const version = versionIn(from, 'hall/install-1');
    const steps: number[] = [];
    const pushed = await push(from, { version, reference, onProgress: (done) => steps.push(done) });
    expect(pushed).toMatchObject({ manifest: version.manifest, blobs: 11, mounted: 0 });
    expect(steps.at(-1)).toBe(pushed.uploaded);
    expect(await push(from, { version, reference })).toMatchObject({ blobs: 0, uploaded: 0 });

    const to = await newStore();
    const request = { reference, channel: 'install', standing: 'current' } as const;
    expect(await pull(to, { ...request, dryRun: true })).toMatchObject({ version: undefined, blobs: 10 });
    const pulled = await pull(to, request);
    expect(pulled).toMatchObject({ manifest: version.manifest, version: { name: 'install-1', isNew: true } });
    const wrong = Object.entries(files).filter(([name, bytes]) => !contentOf(to, 'install-1', name).equals(bytes));
    expect(wrong.map(([name]) => name)).toEqual([]);
    expect(versionIn(to, 'install-1').kernelArguments).toBe('console=ttyS0');
    expect(await verify(to)).toMatchObject({ damage: [] });
    expect(await pull(to, request)).toMatchObject({ blobs: 0, version: { name: 'install-1', isNew: false } });

    // Another repository of the same registry needs no upload.
    const elsewhere = parseReference(`oci+http://${host}/boot/copy:1`);
    expect(await push(from, { version, reference: elsewhere, mountFrom: 'boot/install' })).toMatchObject({
      blobs: 0,
      uploaded: 0,
      mounted: 11,
    });
    expect(await pull(to, { ...request, reference: elsewhere })).toMatchObject({ blobs: 0 });
  });

  it.runIf(hasSkopeo)('is written and read by skopeo with the same digests', async () => {
    const { host } = await DebianRegistry.start();
    const store = await newStore();
    await publishFiles(store, 'install', { linux: 'kernel', initrd: randomBytes(300_000) });
    const { manifest } = versionIn(store, 'install-1');
    await store.flushed();
    const skopeo = (...args: string[]) =>
      execFileSync('skopeo', ['copy', '--insecure-policy', ...args], { stdio: 'pipe' });
    skopeo('--dest-tls-verify=false', `oci:${store.path}:install-1`, `docker://${host}/boot/install:by-skopeo`);
    const to = await newStore();
    const theirs = parseReference(`oci+http://${host}/boot/install:by-skopeo`);
    expect(await pull(to, { reference: theirs, channel: 'install', standing: 'current' })).toMatchObject({ manifest });

    const ours = parseReference(`oci+http://${host}/boot/ours:1`);
    await push(store, { version: versionIn(store, 'install-1'), reference: ours });
    const layout = join(folder(), 'layout');
    skopeo('--src-tls-verify=false', `docker://${host}/boot/ours:1`, `oci:${layout}:install-1`);
    const adopted = await openStore({ path: layout });
    expect(versionIn(adopted, 'install-1').manifest).toBe(manifest);
    await adopted.close();
  });

  it('wants a password, which no message shows', async () => {
    const { host } = await DebianRegistry.start({ isProtected: true });
    const reference = parseReference(`oci+http://${host}/boot/install:1`);
    const store = await newStore();
    await publishFiles(store, 'install', { linux: 'kernel' });
    const version = versionIn(store, 'install-1');
    const authFile = join(folder(), 'auth.json');
    const write = (password: string, mode = 0o600) => {
      const auth = Buffer.from(`${USER.name}:${password}`).toString('base64');
      writeFileSync(authFile, JSON.stringify({ auths: { [host]: { auth } } }));
      chmodSync(authFile, mode);
    };
    write('wrong');
    const refused = await messageOf(() => push(store, { version, reference, authFile }));
    expect(refused).toMatch(/^StoreError: 127\.0\.0\.1:\d+: HEAD \/v2\/\S+: answered 401.*--registry-auth-file$/);
    write(USER.password, 0o644);
    expect(await messageOf(() => push(store, { version, reference, authFile }))).toMatch(
      /only their owner.*chmod 600$/,
    );
    write(USER.password);
    expect(await push(store, { version, reference, authFile })).toMatchObject({ blobs: 2 });
    expect(refused).not.toContain('wrong');
  });

  it('has a certificate of an authority that only the site knows', async () => {
    const place = folder();
    const authority = await keyPairFiles(place, 'authority');
    const { host } = await DebianRegistry.start({ tls: await keyPairFiles(place, 'registry', authority) });
    const reference = parseReference(`oci://${host}/boot/install:1`);
    const from = await newStore();
    await publishFiles(from, 'install', { linux: 'kernel', initrd: randomBytes(300_000) });
    const version = versionIn(from, 'install-1');
    const caFile = authority.certificate;
    await push(from, { version, reference, caFile });
    const to = await newStore();
    const request = { reference, channel: 'install', standing: 'current' } as const;
    expect(await pull(to, { ...request, caFile })).toMatchObject({ manifest: version.manifest, blobs: 2 });
    const said = (more: object) => messageOf(() => pull(to, { ...request, ...more }));
    expect(await said({})).toBe(
      `StoreError: ${host}: expected a certificate of a known authority (UNABLE_TO_VERIFY_LEAF_SIGNATURE): see --registry-ca-file`,
    );
    expect(await said({ reference: parseReference(`oci+http://${host}/boot/install:1`) })).toMatch(
      /answered 400: a registry with TLS is named oci:\/\/$/,
    );
    const elsewhere = parseReference(`oci://${host.replace('127.0.0.1', 'localhost')}/boot/install:1`);
    expect(await said({ reference: elsewhere, caFile })).toMatch(
      /^StoreError: localhost:\d+: expected a valid certificate for this host: ERR_TLS_CERT_ALTNAME_INVALID: [^\n]*$/,
    );
    for (const [text, message] of [
      ['sesame', /expected certificates in PEM: no certificate$/],
      ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /expected certificates in PEM: [^\n]+$/],
    ] as const) {
      writeFileSync(join(place, 'garbage.pem'), text);
      // oxlint-disable-next-line no-await-in-loop -- one message after the other.
      expect(await said({ caFile: join(place, 'garbage.pem') })).toMatch(message);
    }
    expect(await said({ caFile: '/dev/zero' })).toMatch(
      /expected a file with certificates in PEM, of at most \d+ bytes$/,
    );
  });

  it('has no TLS, and its name says so', async () => {
    const { host } = await DebianRegistry.start();
    const store = await newStore();
    const reference = parseReference(`oci://${host}/boot/install:1`);
    expect(await messageOf(() => pull(store, { reference, channel: 'install', standing: 'current' }))).toBe(
      `StoreError: ${host}: expected TLS, got something else: a registry with plain HTTP is named oci+http://`,
    );
  });

  it('sends each blob in several pieces, because every connection is cut, and the set arrives byte for byte', {
    timeout: 1_200_000,
  }, async () => {
    const { host } = await DebianRegistry.start();
    const from = await newStore();
    const files = Object.fromEntries(
      Array.from({ length: FILES }, (_, at) => [`part-${at}`, randomBytes(FILE_BYTES + at)] as const),
    );
    await publishFiles(from, 'install', files);
    const version = versionIn(from, 'install-1');
    await push(from, { version, reference: parseReference(`oci+http://${host}/boot/install:1`) });
    const cutting = await cutEach(host, FILE_BYTES / 2);
    const to = await newStore();
    const reference = parseReference(`oci+http://${cutting.host}/boot/install:1`);
    const pulled = await pull(to, { reference, channel: 'install', standing: 'current' });
    expect(pulled).toMatchObject({ manifest: version.manifest, blobs: FILES });
    expect(cutting.cuts).toBeGreaterThanOrEqual(FILES);
    expect(await verify(to)).toMatchObject({ damage: [] });
  });

  it.runIf(isLong).each(['staging made', 'blob file made', 'blob downloaded', 'config staged'])(
    'is killed when a pull is at the step "%s": one line and the store as it was, or the version; later success',
    { timeout: 300_000 },
    async (step) => {
      const data = folder();
      const registry = await DebianRegistry.start({ data });
      const reference = parseReference(`oci+http://${registry.host}/boot/install:1`);
      const from = await newStore();
      await publishFiles(from, 'install', { linux: randomBytes(4 * 2 ** 20), initrd: randomBytes(5 * 2 ** 20) });
      await push(from, { version: versionIn(from, 'install-1'), reference });
      let killed: Promise<void> | undefined;
      const to = await newStore({
        onStep: (seen) => {
          if (seen === step) killed ??= registry.kill();
        },
      });
      const request = { reference, channel: 'install', standing: 'current' } as const;
      const said = await pull(to, request).then(
        () => 'pulled',
        (error: unknown) => String(error),
      );
      await killed;
      expect(said).toMatch(step === 'config staged' ? /^pulled$/ : /^(?:pulled|StoreError: 127\.0\.0\.1:\d+: [^\n]*)$/);
      const found = said === 'pulled' ? 1 : 0;
      expect([to.channels().length, to.versions().length]).toEqual([found, found]);
      await DebianRegistry.start({ data, address: registry.host });
      expect(await pull(to, request)).toMatchObject({ manifest: versionIn(from, 'install-1').manifest });
      expect(await verify(to)).toMatchObject({ damage: [] });
    },
  );

  it.runIf(isLong)(
    'is killed in the middle of a push: one line, no tag; later success',
    { timeout: 300_000 },
    async () => {
      const data = folder();
      const registry = await DebianRegistry.start({ data });
      const reference = parseReference(`oci+http://${registry.host}/boot/install:1`);
      const from = await newStore();
      await publishFiles(from, 'install', { linux: randomBytes(40 * 2 ** 20) });
      const version = versionIn(from, 'install-1');
      let killed: Promise<void> | undefined;
      const onProgress = (done: number): void => {
        if (done > 20 * 2 ** 20) killed ??= registry.kill();
      };
      expect(await messageOf(() => push(from, { version, reference, onProgress }))).toMatch(
        /^StoreError: 127\.0\.0\.1:\d+: [^\n]*$/,
      );
      await killed;
      await DebianRegistry.start({ data, address: registry.host });
      const to = await newStore();
      const request = { reference, channel: 'install', standing: 'current' } as const;
      expect(await messageOf(() => pull(to, request))).toMatch(/the registry has none of that name$/);
      await push(from, { version, reference });
      expect(await pull(to, request)).toMatchObject({ manifest: version.manifest });
    },
  );
});
