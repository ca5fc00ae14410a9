/** A registry that lies, cuts, stalls or redirects gives one clear line or a later success, and never a wrong byte. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { chmodSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { buildManifest, sha256 } from '../../src/boot-set/store/manifest.ts';
import type { Store } from '../../src/boot-set/store/store.ts';
import { parseChallenges } from '../../src/registry/authorization.ts';
import { credentialsFor } from '../../src/registry/credentials.ts';
import { pull } from '../../src/registry/pull.ts';
import { parseReference } from '../../src/registry/reference.ts';
import { contentOf, folder, messageOf, newStore, photograph, publishFiles } from '../boot-set/fixture.ts';
import { FakeRegistry, type Misbehave } from './fixture.ts';

const LINUX = randomBytes(2 * 2 ** 20 + 11);
const INITRD = randomBytes(50_000);

/** A registry with one boot set, tagged `stable`. */
async function registryWith(misbehave: Misbehave = () => false): Promise<FakeRegistry> {
  const fake = await FakeRegistry.start();
  fake.addSet({ linux: LINUX, initrd: INITRD }, 'stable');
  fake.misbehave = misbehave;
  return fake;
}

function pullFrom(store: Store, { host }: { host: string }, more: object = {}) {
  const reference = parseReference(`oci+http://${host}/boot/install:stable`);
  return pull(store, { reference, channel: 'install', standing: 'current', ...more });
}

/** A store with a former version, which a failed pull must leave as it is. */
async function storeWithFormer(): Promise<Store> {
  const store = await newStore();
  await publishFiles(store, 'install', { linux: 'former' });
  return store;
}

const isBlob = (url = ''): boolean => url.includes('/blobs/');
const isManifest = (url = ''): boolean => url.includes('/manifests/');

describe('a registry that is cut off', () => {
  it('is asked for the rest of each blob, which arrives byte for byte', async () => {
    const cut = new Set<string>();
    const fake = await registryWith(({ url = '', headers }, response) => {
      if (!isBlob(url) || cut.has(url)) return false;
      cut.add(url);
      const bytes = fake.blobs.get(url.slice(-64))!;
      expect(headers.range).toBe(undefined);
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 10_000), () => response.destroy());
      return true;
    });
    const store = await newStore();
    expect(await pullFrom(store, fake)).toMatchObject({ blobs: 2, version: { name: 'install-1' } });
    expect(contentOf(store, 'install-1', 'linux').equals(LINUX)).toBe(true);
    expect(contentOf(store, 'install-1', 'initrd').equals(INITRD)).toBe(true);
    const ranges = fake.headers.map(({ range }) => range).filter((range) => range !== undefined);
    expect(ranges).toEqual([expect.stringMatching(/^bytes=[1-9]/), expect.stringMatching(/^bytes=[1-9]/)]);
  });

  it('may have no ranges: the blob then begins again', async () => {
    let turns = 0;
    const fake = await registryWith(({ url = '' }, response) => {
      if (!url.endsWith(sha256(LINUX))) return false;
      response.writeHead(200, { 'content-length': LINUX.length });
      if (turns++ === 0) response.write(LINUX.subarray(0, 1_500_000), () => response.destroy());
      else response.end(LINUX);
      return true;
    });
    const store = await newStore();
    await pullFrom(store, fake);
    expect(contentOf(store, 'install-1', 'linux').equals(LINUX)).toBe(true);
  });

  it('answers 503 at first, and the pull succeeds later', async () => {
    const failed = new Set<string>();
    const fake = await registryWith(({ url = '' }, response) => {
      if (failed.has(url)) return false;
      failed.add(url);
      response.writeHead(503).end();
      return true;
    });
    const store = await newStore();
    expect(await pullFrom(store, fake)).toMatchObject({ version: { name: 'install-1' } });
  });
});

describe('a registry that lies', () => {
  it.each<[string, RegExp, Misbehave]>([
    [
      'about the bytes of a blob',
      /expected bytes with this digest, got sha256:[0-9a-f]{64}$/,
      ({ url }, response) => {
        if (!isBlob(url) || !url!.endsWith(sha256(INITRD))) return false;
        return Boolean(response.end(Buffer.alloc(INITRD.length, 1)));
      },
    ],
    [
      'about the size of a blob',
      /expected 50000 bytes, the registry announces 49999$/,
      ({ url }, response) => url!.endsWith(sha256(INITRD)) && Boolean(response.end(INITRD.subarray(1))),
    ],
    [
      'with a blob that never ends',
      /expected at most 50000 bytes, got more$/,
      ({ url }, response) => {
        if (!url!.endsWith(sha256(INITRD))) return false;
        const more = (): void => void (response.destroyed || response.write(Buffer.alloc(65_536), () => more()));
        more();
        return true;
      },
    ],
    [
      'with the range of another blob',
      /expected bytes from 0 of 50000, got "bytes 0-1\/2"$/,
      ({ url }, response) => {
        if (!url!.endsWith(sha256(INITRD))) return false;
        return Boolean(response.writeHead(206, { 'content-range': 'bytes 0-1/2' }).end('xx'));
      },
    ],
    [
      'with a manifest that never ends',
      /expected at most 4194304 bytes, got more$/,
      ({ url }, response) => {
        if (!isManifest(url)) return false;
        const more = (): void => void (response.destroyed || response.write(Buffer.alloc(65_536), () => more()));
        more();
        return true;
      },
    ],
    [
      'about the digest of a manifest',
      /expected a manifest with the digest sha256:0{64}, got sha256:[0-9a-f]{64}$/,
      ({ url }, response) => {
        if (!isManifest(url)) return false;
        return Boolean(response.writeHead(200, { 'docker-content-digest': `sha256:${'0'.repeat(64)}` }).end('{}'));
      },
    ],
    [
      'with a manifest of something else',
      /^StoreError: "oci\+http:.*": expected a boot set: layers/,
      ({ url }, response) => isManifest(url) && Boolean(response.end('{"schemaVersion":2,"config":{}}')),
    ],
    [
      'with a name that leads out of the set',
      /^StoreError: "oci\+http:.*": expected a boot set: file "\.\.\/linux": expected a relative name/,
      ({ url }, response) => {
        if (!isManifest(url)) return false;
        const files = [{ name: '../linux', digest: sha256('x'), size: 1 }];
        return Boolean(response.end(buildManifest({ files })));
      },
    ],
    [
      'with a size that no disk has',
      /not enough space: expected \d+ bytes free/,
      ({ url }, response) => {
        if (!isManifest(url)) return false;
        const files = [{ name: 'linux', digest: sha256('x'), size: 2 ** 50 }];
        return Boolean(response.end(buildManifest({ files })));
      },
    ],
    [
      'about a token, which never ends',
      /the token server .*: expected at most 65536 bytes, got more$/,
      ({ url, headers }, response) => {
        if (url!.startsWith('/token')) {
          const more = (): void => void (response.destroyed || response.write('x'.repeat(65_536), () => more()));
          more();
          return true;
        }
        const challenge = `Bearer realm="http://${headers.host}/token",service="x"`;
        return Boolean(response.writeHead(401, { 'www-authenticate': challenge }).end());
      },
    ],
    [
      'with redirects that never end',
      /answered 307$/,
      ({ url }, response) => Boolean(response.writeHead(307, { location: url }).end()),
    ],
    [
      'with a redirect to a file',
      /expected a location with http:\/\/ or https:\/\/ and without a user, got "file:\/\/\/etc\/shadow"$/,
      (_, response) => Boolean(response.writeHead(307, { location: 'file:///etc/shadow' }).end()),
    ],
  ])('%s', async (_, message, misbehave) => {
    const fake = await registryWith(misbehave);
    const store = await storeWithFormer();
    const before = photograph(store.path);
    const said = await messageOf(() => pullFrom(store, fake));
    expect(said).toMatch(message);
    expect(said).not.toContain('\n');
    expect(photograph(store.path)).toEqual(before);
    expect(readdirSync(store.layout.staging)).toEqual([]);
  });
});

describe('credentials', () => {
  const SECRET = 'Basic YWxpY2U6b3BlbiBzZXNhbWU=';

  function authFileFor(hosts: readonly string[]): string {
    const file = join(folder(), 'auth.json');
    const auths = Object.fromEntries(hosts.map((host) => [host, { auth: SECRET.slice(6) }]));
    writeFileSync(file, JSON.stringify({ auths }), { mode: 0o600 });
    return file;
  }

  it.each(['token', 'access_token'])('buy a token named %s, again when it has expired', async (field) => {
    let issued = 0;
    // The token that the manifest was read with is not good for blobs any more.
    const isGood = (token: string, url: string) => token === `Bearer t${issued}` && (issued > 1 || isManifest(url));
    const tokens: unknown[] = [];
    const fake = await registryWith(({ url = '', headers }, response) => {
      if (url.startsWith('/token')) {
        tokens.push([url, headers.authorization]);
        issued = Math.min(2, issued + 1);
        response.end(JSON.stringify({ [field]: `t${issued}`, expires_in: 300 }));
        return true;
      }
      if (isGood(headers.authorization ?? '', url)) return false;
      const challenge = `Bearer realm="http://${headers.host}/token",service="reg",scope="repository:boot/install:pull"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
      return true;
    });
    const store = await newStore();
    await pullFrom(store, fake, { authFile: authFileFor([fake.host]) });
    expect(contentOf(store, 'install-1', 'linux').equals(LINUX)).toBe(true);
    expect(issued).toBe(2);
    expect(tokens[0]).toEqual(['/token?service=reg&scope=repository%3Aboot%2Finstall%3Apull', SECRET]);
  });

  it('do not follow a redirect to another host', async () => {
    const other = await registryWith();
    const fake = await registryWith(({ url = '', headers }, response) => {
      if (headers.authorization !== SECRET) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        return true;
      }
      if (!isBlob(url)) return false;
      response.writeHead(307, { location: `http://${other.host}${url}` }).end();
      return true;
    });
    const store = await newStore();
    await pullFrom(store, fake, { authFile: authFileFor([fake.host, other.host]) });
    expect(other.asked).toHaveLength(2);
    expect(other.headers.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
  });

  it('are never sent from https to a token server with http', async () => {
    const { Authorization } = await import('../../src/registry/authorization.ts');
    const asked: unknown[] = [];
    const authorization = new Authorization({
      origin: 'https://registry.example',
      host: 'registry.example',
      credentials: () => ({ basic: SECRET, identityToken: undefined }),
      ask: async (url) => {
        asked.push(url);
        throw new Error('asked');
      },
    });
    const challenge = 'Bearer realm="http://registry.example/token"';
    const said = await messageOf(() => authorization.answer(challenge, 'repository:x:pull', undefined));
    expect([said, asked]).toEqual([
      'StoreError: registry.example: expected a token server with https:// and without a user, got "http://registry.example/token"',
      [],
    ]);
  });

  it('are read from a file that only its owner can read, and are shown in no message', async () => {
    const file = authFileFor(['https://registry.example/v1/']);
    expect(credentialsFor(file, 'registry.example')).toEqual({ basic: SECRET, identityToken: undefined });
    expect(credentialsFor(file, 'other.example')).toBe(undefined);
    chmodSync(file, 0o644);
    expect(await messageOf(() => credentialsFor(file, 'registry.example'))).toMatch(/got mode 644: chmod 600$/);
    writeFileSync(file, '{"auths": {"registry.example": {"auth": "open sesame"}}}');
    chmodSync(file, 0o600);
    const said = await messageOf(() => credentialsFor(file, 'registry.example'));
    expect(said).toMatch(/expected user:password in base64 as the "auth" of "registry\.example"$/);
    writeFileSync(file, 'open sesame');
    expect(await messageOf(() => credentialsFor(file, 'registry.example'))).not.toContain('sesame');
    expect(await messageOf(() => credentialsFor('/dev/zero', 'registry.example'))).toMatch(
      /expected a file with credentials, of at most/,
    );
    expect(await messageOf(() => credentialsFor(join(folder(), 'none'), 'x'))).toMatch(/got ENOENT$/);
  });

  it('follow a challenge of any form', () => {
    expect(
      parseChallenges('Basic realm="a b", Bearer realm="https://t/x?y=1",service=reg , error="a \\"b\\""'),
    ).toEqual([
      { scheme: 'basic', parameters: { realm: 'a b' } },
      { scheme: 'bearer', parameters: { realm: 'https://t/x?y=1', service: 'reg', error: 'a "b"' } },
    ]);
  });
});

describe('a name in a registry', () => {
  it.each([
    ['registry.example/boot', /expected a name such as oci:/],
    ['oci://registry.example', /expected a host and a repository/],
    ['oci://registry.example/Boot/install', /expected a repository in lower case/],
    ['oci://registry.example/boot/../x', /expected a repository in lower case/],
    ['oci://registry.example/boot:a/b', /expected a tag of at most 128/],
    ['oci://registry.example/boot@sha256:12', /expected sha256: and 64 hex digits behind @/],
    ['oci://evil.example#/boot', /expected a host and a repository/],
    ['oci://registry.example:99999/boot', /expected a host and a repository/],
  ])('%s is refused in one line', async (text, message) => {
    expect(await messageOf(() => parseReference(text))).toMatch(message);
  });

  it('with a password is refused without repeating it', async () => {
    const said = await messageOf(() => parseReference('oci://alice:sesame@registry.example/boot'));
    expect(said).toMatch(/without a user: credentials belong to a file of their own$/);
    expect(said).not.toContain('sesame');
  });

  it('has the tag latest by default', () => {
    expect(parseReference('oci://registry.example:5000/boot/install')).toMatchObject({
      origin: 'https://registry.example:5000',
      host: 'registry.example:5000',
      repository: 'boot/install',
      target: 'latest',
    });
  });
});

it('a server that accepts and says nothing is given up when the pull is stopped', async () => {
  const silent = createServer(() => {});
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  onTestFinished(() => void silent.close());
  const store = await storeWithFormer();
  const abort = new AbortController();
  silent.once('connection', () => abort.abort(new Error('stopped by SIGTERM')));
  const host = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  expect(await messageOf(() => pullFrom(store, { host }, { signal: abort.signal }))).toBe('Error: stopped by SIGTERM');
});
