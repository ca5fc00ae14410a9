/** Servers that share pins through Debian's redis-server: a node that moves to the other one keeps its version. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { openStore } from '../../src/boot-set/store/store.ts';
import { publish } from '../../src/boot-set/store/publish.ts';
import { fetchFile } from '../../src/client/fetch.ts';
import { folder } from '../boot-set/fixture.ts';
import { hasRedis, RedisServer } from '../support/redis-server.ts';
import { ServedStoreProcess } from '../support/served-store.ts';

const MAC = '52-54-00-12-34-56';
const SOON = { timeout: 30_000, interval: 20 };

class FleetMember {
  readonly #base = folder();
  readonly server: ServedStoreProcess;

  /** @param config settings besides the store. */
  constructor(config: Readonly<Record<string, unknown>>) {
    mkdirSync(join(this.#base, 'store'));
    const file = join(this.#base, 'reveille.yaml');
    writeFileSync(file, JSON.stringify({ store: 'store', workers: 1, ...config }));
    this.server = new ServedStoreProcess(['--config', file]);
    onTestFinished(() => this.server.end('SIGKILL'));
  }

  /** Publishes a set whose files say their version. */
  async publish(version: string): Promise<void> {
    const set = join(this.#base, version);
    mkdirSync(set);
    for (const name of ['pxelinux.0', 'linux', 'initrd']) writeFileSync(join(set, name), `${name} of ${version}`);
    const store = await openStore({ path: join(this.#base, 'store') });
    await publish(store, { channel: 'install', paths: [set] });
    await store.close();
  }

  async get(name: string): Promise<string> {
    const parts: Uint8Array[] = [];
    const sink = { write: (bytes: Uint8Array) => void parts.push(bytes.slice()) };
    const wish = { server: this.server.address, filename: name, mode: 'octet', wish: {}, sink } as const;
    const { outcome } = await fetchFile({ ...wish, patienceMs: 10_000, lingerMs: 0 });
    return outcome === 'complete' ? Buffer.concat(parts).toString() : outcome;
  }

  /** Resolves once a metric has this value. */
  async reaches(metric: string, value: number): Promise<void> {
    await vi.waitFor(async () => {
      const now = await this.server.metric(metric);
      if (now !== value) throw new Error(`Expected ${metric} to be ${value}, got ${now}`);
    }, SOON);
  }
}

async function twoServers(config: Readonly<Record<string, unknown>>): Promise<[FleetMember, FleetMember]> {
  const members: [FleetMember, FleetMember] = [new FleetMember(config), new FleetMember(config)];
  await members[1].publish('other');
  for (const member of members) {
    // oxlint-disable-next-line no-await-in-loop -- the second one has other numbers, and the same version is current.
    await member.publish('one');
    // oxlint-disable-next-line no-await-in-loop -- as above.
    await member.server.start();
  }
  return members;
}

describe.runIf(hasRedis)('two servers that share pins', { timeout: 90_000 }, () => {
  it('give a node that moves between them one version, whatever happens to the engine', async () => {
    const redis = await RedisServer.start();
    const [a, b] = await twoServers({ pins: `redis://127.0.0.1:${redis.port}/1`, pinsPrefix: 'hall' });
    for (const member of [a, b]) {
      // oxlint-disable-next-line no-await-in-loop -- two servers.
      await member.reaches('reveille_shared_pins_up', 1);
    }
    expect(await a.get(`install/${MAC}/pxelinux.0`)).toBe('pxelinux.0 of one');
    await a.publish('two');
    await b.publish('two');
    await b.reaches('reveille_channel_version', 3);
    expect(await b.get(`install/${MAC}/linux`)).toBe('linux of one');
    expect(await b.get('install/52-54-00-00-00-01/linux')).toBe('linux of two');
    // The other server knows what one has learned about an address: this name says nothing of the node.
    expect(await a.get('install/initrd')).toBe('initrd of one');

    redis.signal('SIGSTOP');
    const from = performance.now();
    expect(await b.get(`install/${MAC}/initrd`)).toBe('initrd of one');
    expect(performance.now() - from).toBeLessThan(1000);
    await b.reaches('reveille_shared_pins_up', 0);
    expect(await b.get('install/52-54-00-00-00-02/linux')).toBe('linux of two');
    redis.signal('SIGCONT');
    for (const member of [a, b]) {
      // oxlint-disable-next-line no-await-in-loop -- two servers.
      await member.reaches('reveille_shared_pins_up', 1);
    }
    await b.reaches('reveille_shared_pins_unheard', 0);
    redis.cli('flushall');
    await b.publish('three');
    await b.reaches('reveille_channel_version', 4);
    expect(await b.get(`install/${MAC}/linux`)).toBe('linux of one');
    await vi.waitFor(() => expect(redis.cli('-n', '1', 'keys', 'hall:node:mac:52:54:00:12:34:56')).not.toBe(''), SOON);
    expect(await a.get(`install/${MAC}/linux`)).toBe('linux of one');
    expect([...a.server.complaints, ...b.server.complaints].join('\n')).not.toContain('lacks');
  });

  it('say in one line that the engine refuses the password, and serve all the same', async () => {
    const redis = await RedisServer.start(['requirepass secret']);
    const alone = new FleetMember({ pins: `redis://:wrong@127.0.0.1:${redis.port}` });
    await alone.publish('one');
    await alone.server.start();
    expect(await alone.get('install/linux')).toBe('linux of one');
    const told = (): string[] => alone.server.complaints.filter((line) => line.includes('got WRONGPASS'));
    await vi.waitFor(() => expect(told().length).toBe(1), SOON);
    expect(told()[0]).toMatch(/pins are not shared: each server pins alone/);
    expect(told()[0]).not.toContain('wrong@');
  });

  it('say in one line that another fleet uses the same prefix', async () => {
    const redis = await RedisServer.start();
    const config = { pins: `redis://127.0.0.1:${redis.port}` };
    const [one, other] = [new FleetMember(config), new FleetMember(config)];
    for (const [member, version] of [
      [one, 'ours'],
      [other, 'theirs'],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- two servers.
      await member.publish(version);
      // oxlint-disable-next-line no-await-in-loop -- as above.
      await member.server.start();
      // oxlint-disable-next-line no-await-in-loop -- as above.
      await member.reaches('reveille_shared_pins_up', 1);
    }
    expect(await one.get(`install/${MAC}/linux`)).toBe('linux of ours');
    expect(await other.get(`install/${MAC}/linux`)).toBe('linux of theirs');
    await vi.waitFor(() => expect(other.server.complaints.length).toBe(1), SOON);
    expect(other.server.complaints[0]).toMatch(
      /a version that this store lacks: does another fleet use the same prefix/,
    );
    await other.reaches('reveille_shared_pins_refused_total', 1);
  });
});
