/** Credentials as docker, podman and identity providers write them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { credentialsFor, defaultAuthFile } from '../../src/registry/credentials.ts';
import { pull } from '../../src/registry/pull.ts';
import { parseReference } from '../../src/registry/reference.ts';
import { contentOf, folder, messageOf, newStore } from '../boot-set/fixture.ts';
import { FakeRegistry } from './fixture.ts';

function authFile(auths: object): string {
  const file = join(folder(), 'config.json');
  writeFileSync(file, JSON.stringify({ auths }), { mode: 0o600 });
  return file;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('credentials', () => {
  it('may be an identity token, which buys a token that may pull', async () => {
    const fake = await FakeRegistry.start();
    fake.addSet({ linux: Buffer.from('kernel') }, 'stable');
    const asked: string[] = [];
    fake.misbehave = (request, response) => {
      const { method, url = '', headers } = request;
      if (url === '/token') {
        let form = '';
        request.on('data', (piece: Buffer) => (form += piece.toString()));
        request.on('end', () => {
          asked.push(`${method} ${headers['content-type']} ${headers.authorization} ${form}`);
          response.end(JSON.stringify({ access_token: 'bought', expires_in: 300, scope: 'x' }));
        });
        return true;
      }
      if (headers.authorization === 'Bearer bought') return false;
      const challenge = `Bearer realm="http://${headers.host}/token",service="reg"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
      return true;
    };
    const store = await newStore();
    // docker keeps a user without a password beside the identity token.
    const file = authFile({ [fake.host]: { auth: base64(`${'0'.repeat(8)}:`), identitytoken: 'long&lived' } });
    const reference = parseReference(`oci+http://${fake.host}/boot/install:stable`);
    await pull(store, { reference, channel: 'install', standing: 'current', authFile: file });
    expect(contentOf(store, 'install-1', 'linux').toString()).toBe('kernel');
    expect(asked).toEqual([
      'POST application/x-www-form-urlencoded undefined grant_type=refresh_token&client_id=reveille&service=reg&scope=repository%3Aboot%2Finstall%3Apull&refresh_token=long%26lived',
    ]);
  });

  it('of one repository are not sent for another', () => {
    const file = authFile({
      'registry.example/boot': { auth: base64('boot:secret') },
      'registry.example': { auth: base64('all:secret') },
    });
    expect(credentialsFor(file, 'registry.example')?.basic).toBe(`Basic ${base64('all:secret')}`);
  });

  it.each([
    'registry.example',
    'https://registry.example',
    'https://registry.example/v1/',
    'https://registry.example/v2',
  ])('may have the key %s', (key) => {
    expect(credentialsFor(authFile({ [key]: { auth: base64('a:b') } }), 'registry.example')).toBeDefined();
  });

  it('that a helper keeps are none, and the message says so', async () => {
    const fake = await FakeRegistry.start();
    fake.misbehave = ({ headers }, response) => {
      const challenge = `Bearer realm="http://${headers.host}/token"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
      return true;
    };
    const file = authFile({ [fake.host]: {} });
    expect(credentialsFor(file, fake.host)).toBe(undefined);
    const reference = parseReference(`oci+http://${fake.host}/boot/install:stable`);
    const store = await newStore();
    const work = () => pull(store, { reference, channel: 'install', standing: 'current', authFile: file });
    expect(await messageOf(work)).toMatch(
      /the token server \S+ answered 401 without credentials: see --registry-auth-file$/,
    );
  });

  it('are not looked up in the current folder when DOCKER_CONFIG is empty', () => {
    vi.stubEnv('DOCKER_CONFIG', '');
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(defaultAuthFile()).toMatch(/^\/.*\.docker\/config\.json$/);
  });
});
