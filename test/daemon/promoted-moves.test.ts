/** Real servers with one Redis: what a tag names is staged, and `reveille promote` moves the channel on all of them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { fetchFile } from '../../src/client/fetch.ts';
import { channelText, type ServerRecord, serverText } from '../../src/fleet/announcement.ts';
import type { LiveSnapshot } from '../../src/live/wire.ts';
import { folder } from '../boot-set/fixture.ts';
import { FakeRegistry } from '../registry/fixture.ts';
import { runCommand } from '../support/command.ts';
import { hasRedis, RedisServer } from '../support/redis-server.ts';
import { ServedStoreProcess } from '../support/served-store.ts';

/** Another server of the fleet, as it announces itself. */
const OTHER: ServerRecord = {
  name: 'other:69',
  run: 'r',
  version: '1.2.3',
  startedAt: 0,
  channels: 1,
  behind: 0,
  behindNames: [],
  staged: 1,
  pins: 0,
  transfers: 0,
  sessions: 1,
  skewMs: 0,
  isNameTaken: false,
};

const SOON = { timeout: 60_000, interval: 50 };

function setOf(version: string): Record<string, Buffer> {
  return { linux: Buffer.from(`kernel ${version}`), initrd: Buffer.from(`initrd ${version}`) };
}

interface Served {
  readonly server: ServedStoreProcess;
  readonly store: string;
  readonly config: string;
}

async function startServer(registry: string, redis: RedisServer, store = folder()): Promise<Served> {
  const base = folder();
  const config = join(base, 'reveille.yaml');
  const settings = {
    store,
    fleet: true,
    follow: [{ channel: 'install', from: `oci+http://${registry}/boot/install:stable`, every: '1s', move: 'promoted' }],
    pins: `redis://127.0.0.1:${redis.port}`,
    workers: 1,
  };
  writeFileSync(config, JSON.stringify(settings));
  const server = new ServedStoreProcess(['--config', config]);
  onTestFinished(() => server.end('SIGKILL'));
  await server.start();
  return { server, store, config };
}

let nodes = 0;

/** Asks for the kernel as a node that has never booted. */
async function linuxOf({ server: { address } }: Served): Promise<string | undefined> {
  const parts: Buffer[] = [];
  const sink = { write: (bytes: Uint8Array) => void parts.push(Buffer.from(bytes)) };
  const ask = {
    server: address,
    filename: `install/52-54-00-00-00-${10 + nodes++}/linux`,
    mode: 'octet',
    wish: {},
    patienceMs: 5000,
    lingerMs: 0,
  } as const;
  const { outcome } = await fetchFile({ ...ask, sink });
  return outcome === 'complete' ? Buffer.concat(parts).toString() : undefined;
}

async function staged({ server }: Served, versions: number): Promise<void> {
  await vi.waitFor(async () => {
    expect(await server.metric('reveille_store_versions')).toBe(versions);
  }, SOON);
}

async function promote({ config }: Served, ...args: string[]): Promise<Record<string, unknown>> {
  let said: Record<string, unknown> = {};
  await vi.waitFor(async () => {
    const { code, stdout, stderr } = await runCommand(['promote', 'install', ...args, '--config', config, '--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    said = JSON.parse(stdout) as Record<string, unknown>;
  }, SOON);
  return said;
}

describe.skipIf(!hasRedis)('servers whose channel is promoted', { timeout: 180_000 }, () => {
  it('stage what the tag names, move together, and serve the last promotion without Redis', async () => {
    const [registry, redis] = [await FakeRegistry.start(), await RedisServer.start()];
    const first = registry.addSet(setOf('1'), 'stable', '1');
    const servers = await Promise.all([startServer(registry.host, redis), startServer(registry.host, redis)]);
    const [one, two] = servers;
    for (const server of servers) await staged(server, 1);
    expect(await promote(one)).toMatchObject({ generation: 1, digest: `sha256:${first}`, lacking: [], waiting: [] });
    expect(await Promise.all(servers.map(linuxOf))).toEqual(['kernel 1', 'kernel 1']);

    registry.addSet(setOf('2'), 'stable', '2');
    for (const server of servers) await staged(server, 2);
    expect(await Promise.all(servers.map(linuxOf))).toEqual(['kernel 1', 'kernel 1']);
    const { followed } = await promote(two);
    expect(followed).toHaveLength(2);
    expect(await Promise.all(servers.map(linuxOf))).toEqual(['kernel 2', 'kernel 2']);
    for (const { server } of servers) {
      expect(await server.metric('reveille_promoted_generation')).toBe(2);
      expect(await server.metric('reveille_promoted_channel_behind')).toBe(0);
      expect(await server.metric('reveille_fleet_joined')).toBe(1);
    }
    await vi.waitFor(async () => {
      const { fleet } = (await (await fetch(`${one.server.admin}/api/v1/live`)).json()) as LiveSnapshot;
      expect(
        fleet
          .map(({ isThis, channels, staged: versions, behind }) => ({ isThis, channels, versions, behind }))
          .toSorted((a, b) => Number(b.isThis) - Number(a.isThis)),
      ).toEqual([
        { isThis: true, channels: 1, versions: 2, behind: 0 },
        { isThis: false, channels: 1, versions: 2, behind: 0 },
      ]);
    }, SOON);

    // Back to the first version; then Redis is gone, and a server starts again.
    await promote(one, first.slice(0, 12));
    await redis.end();
    await one.server.end('SIGTERM');
    await one.server.start();
    expect(await linuxOf(one)).toBe('kernel 1');
    expect(await one.server.metric('reveille_fleet_joined')).toBe(0);
  });

  it('collect nothing that another server needs', async () => {
    const [registry, redis] = [await FakeRegistry.start(), await RedisServer.start()];
    const first = registry.addSet(setOf('1'), '1');
    registry.addSet(setOf('2'), 'stable');
    const store = folder();
    const from = `oci+http://${registry.host}/boot/install:1`;
    expect(await runCommand(['pull', from, 'install', '--stage', '--store', store])).toMatchObject({ code: 0 });
    const unneeded = async (): Promise<string[]> => {
      const { stdout } = await runCommand(['gc', '--grace', '0s', '--store', store, '--json', '--dry-run']);
      return (JSON.parse(stdout) as { versions: { name: string }[] }).versions.map(({ name }) => name);
    };
    expect(await unneeded()).toEqual(['install-1']);
    redis.cli('HSET', 'reveille:servers', OTHER.name, String(Date.now()));
    redis.cli('SET', `reveille:server:${OTHER.name}`, serverText(OTHER));
    const versions = [{ number: 7, manifest: first, isNeeded: true }];
    const held = channelText({ current: first, promoted: undefined, follow: undefined, versions });
    redis.cli('HSET', `reveille:held:${OTHER.name}`, 'install', held);
    await startServer(registry.host, redis, store);
    await vi.waitFor(async () => expect(await unneeded()).toEqual([]), SOON);
  });
});
