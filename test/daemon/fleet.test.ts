/** Servers that follow a tag in a registry: they serve the same versions by digest, whatever happens to the registry. */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { fetchFile } from '../../src/client/fetch.ts';
import { encodeReadRequest } from '../../src/protocol/encode.ts';
import { folder } from '../boot-set/fixture.ts';
import { FakeRegistry } from '../registry/fixture.ts';
import { ServedStoreProcess } from '../support/served-store.ts';

const SOON = { timeout: 60_000, interval: 50 };

/** A set whose files say which version they belong to. */
function setOf(version: string): Record<string, Buffer> {
  return {
    linux: Buffer.from(`kernel ${version}`),
    initrd: Buffer.concat([Buffer.from(version), randomBytes(40_000)]),
  };
}

async function startServer(host: string): Promise<ServedStoreProcess> {
  const base = folder();
  mkdirSync(join(base, 'store'));
  writeFileSync(join(base, 'boot.liquid'), 'kernel {{ bootset.kernel }}\ninitrd {{ bootset.initrd }}\n');
  const config = {
    store: 'store',
    fleet: true,
    follow: [{ channel: 'install', from: `oci+http://${host}/boot/install:stable`, every: '1s' }],
    routes: [{ match: 'config/{name}', template: 'boot.liquid', channel: 'install' }],
    workers: 1,
  };
  writeFileSync(join(base, 'reveille.yaml'), JSON.stringify(config));
  const server = new ServedStoreProcess(['--config', join(base, 'reveille.yaml')]);
  onTestFinished(() => server.end('SIGKILL'));
  await server.start();
  return server;
}

/** Fetches a file. @returns its bytes, or how the download ended. */
async function get(server: ServedStoreProcess, filename: string, patienceMs = 60_000) {
  const parts: Buffer[] = [];
  const sink = { write: (bytes: Uint8Array) => void parts.push(Buffer.from(bytes)) };
  const { address } = server;
  const result = await fetchFile({ server: address, filename, mode: 'octet', wish: {}, sink, patienceMs, lingerMs: 0 });
  if (result.outcome === 'complete') return Buffer.concat(parts);
  return `${result.outcome} ${result.errorText}`;
}

/** Resolves when the channel has moved to its version of this number. */
async function followed(server: ServedStoreProcess, number: number): Promise<void> {
  await vi.waitFor(async () => {
    expect(await server.metric('reveille_channel_version')).toBe(number);
  }, SOON);
}

/** Asks for versions that nobody has. @returns the number of answers. */
async function flood(server: ServedStoreProcess, requests: number): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  onTestFinished(() => void socket.close());
  let answers = 0;
  socket.on('message', () => answers++);
  const buffer = new Uint8Array(512);
  for (let at = 0; at < requests; at++) {
    const name = `install@sha256-${randomBytes(16).toString('hex')}/linux`;
    socket.send(buffer.slice(0, encodeReadRequest(buffer, name, 'octet', [])), server.address.port, '127.0.0.1');
    // oxlint-disable-next-line no-await-in-loop -- bursts that overflow the server's socket would test nothing.
    if (at % 50 === 49) await get(server, 'install/linux');
  }
  return answers;
}

describe('servers that follow a registry', { timeout: 120_000 }, () => {
  it("serve each other's configs, move with the tag, and fetch what a node asks for", async () => {
    const registry = await FakeRegistry.start();
    const [one, two] = [setOf('1'), setOf('2')];
    registry.addSet(one, 'stable', '1');
    const server = await startServer(registry.host);
    await followed(server, 1);
    const config = (await get(server, 'config/x')).toString();
    const [kernel, initrd] = /kernel (\S+)\ninitrd (\S+)/.exec(config)!.slice(1) as [string, string];
    expect(kernel).toMatch(/^install@sha256-[0-9a-f]{32}\/linux$/);

    registry.addSet(two, 'stable', '2');
    await followed(server, 2);
    expect(await get(server, kernel)).toEqual(one['linux']);

    // A node that booted with the first server continues with one that never had the version; the registry lists it.
    const other = await startServer(registry.host);
    await followed(other, 1);
    expect(await get(other, kernel)).toEqual(one['linux']);
    expect((one['initrd'] as Buffer).equals((await get(other, initrd)) as Buffer)).toBe(true);
    expect(await other.metric('reveille_versions_fetched_total')).toBe(1);
    expect(await get(other, 'install/linux')).toEqual(two['linux']);

    // A flood of names that nobody lists makes no traffic to the registry, and gets no answer.
    const asked = (): number => registry.asked.filter((line) => !line.endsWith('/manifests/stable')).length;
    const before = asked();
    expect(await flood(other, 500)).toBe(0);
    expect(await get(other, kernel)).toEqual(one['linux']);
    expect(asked() - before).toBe(0);
    expect(await other.metric('reveille_versions_fetched_total')).toBe(1);
  });

  it('start while the registry is down, and stay with what they have while it lies', async () => {
    const registry = await FakeRegistry.start();
    const one = setOf('1');
    registry.addSet(one, 'stable');
    const server = await startServer(registry.host);
    await followed(server, 1);
    await server.end('SIGKILL');
    const port = Number(registry.host.split(':')[1]);
    registry.stop();
    await server.start();
    expect(await get(server, 'install/linux')).toEqual(one['linux']);

    const back = await FakeRegistry.start(port);
    back.addSet(setOf('2'), 'stable');
    back.misbehave = ({ url = '' }, response) => {
      if (!url.includes('/blobs/')) return false;
      response.end('altered 2');
      return true;
    };
    await vi.waitFor(async () => {
      expect(await server.metric('reveille_followed_channel_behind')).toBe(1);
      expect(await server.metric('reveille_followed_channel_failing')).toBe(1);
      expect(server.complaints.join('\n')).toMatch(/the registry announces 9".*a version cannot be pulled/);
    }, SOON);
    expect(await get(server, 'install/linux')).toEqual(one['linux']);
    // The page shows it.
    const live = (await (await fetch(`${server.admin}/api/v1/live`)).json()) as { channels: unknown[] };
    expect(live.channels).toMatchObject([
      { registry: { isBehind: true, failure: expect.stringMatching(/announces 9$/) } },
    ]);
    back.misbehave = () => false;
    await followed(server, 2);
    await vi.waitFor(async () => {
      expect(await server.metric('reveille_followed_channel_failing')).toBe(0);
    }, SOON);
  });
});
