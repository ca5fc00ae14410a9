/** Servers of a fleet share pins: a node that moves to another server keeps its version, also while the engine fails. */
import { describe, expect, it } from 'vitest';
import { Fleet, digestOf } from '../../support/shared-fleet.ts';

const NODE = '192.0.2.7';
const [V1, V2] = [digestOf('one'), digestOf('two')];

async function twoServers() {
  const fleet = new Fleet(2);
  const [a, b] = fleet.servers as [(typeof fleet.servers)[0], (typeof fleet.servers)[0]];
  fleet.publish('one');
  await fleet.pass(300);
  const at = async (server: typeof a, name: string, client = NODE): Promise<string> =>
    await fleet.settle(server.read(`hall/install/${name}`, client));
  return { fleet, a, b, at };
}

describe('a node that moves to another server in the middle of its boot', () => {
  it('keeps its version there while a newer one is published', async () => {
    const { fleet, a, b, at } = await twoServers();
    expect(await at(a, 'pxelinux.0')).toBe(V1);
    fleet.publish('two');
    await fleet.pass(3000);
    expect(await at(b, 'pxelinux.cfg/default')).toBe(V1);
    expect(await at(b, 'linux')).toBe(V1);
    await fleet.pass(3000);
    expect(await at(a, 'initrd.img')).toBe(V1);
    expect(await at(a, 'linux', '192.0.2.8')).toBe(V2);
  });

  it('begins its next boot there with the newest version', async () => {
    const { fleet, a, b, at } = await twoServers();
    for (const name of ['pxelinux.0', 'linux']) {
      // oxlint-disable-next-line no-await-in-loop -- one file after the other.
      expect(await at(a, name)).toBe(V1);
    }
    fleet.publish('two');
    await fleet.pass(5000);
    for (const name of ['pxelinux.0', 'linux']) {
      // oxlint-disable-next-line no-await-in-loop -- one file after the other.
      expect(await at(b, name)).toBe(V2);
    }
    await fleet.pass(3000);
    expect(await at(a, 'initrd.img')).toBe(V2);
  });

  it('is known there by what it said of its address', async () => {
    const { fleet, a, b, at } = await twoServers();
    expect(await at(a, '52-54-00-12-34-56/pxelinux.0')).toBe(V1);
    fleet.publish('two');
    await fleet.pass(3000);
    expect(await at(b, 'linux')).toBe(V1);
  });

  it('keeps its version at a server that is cut off, and at the others after its return', async () => {
    const { fleet, a, b, at } = await twoServers();
    a.link.cut();
    expect(await at(a, 'pxelinux.0')).toBe(V1);
    fleet.publish('two');
    await fleet.pass(500);
    expect(await at(a, 'linux')).toBe(V1);
    expect(a.source.stats().sharedPins).toMatchObject({ isUp: false, unshared: 1 });
    a.link.mend();
    await fleet.pass(500);
    expect(a.source.stats().sharedPins).toMatchObject({ isUp: true, unshared: 0 });
    expect(await at(b, 'initrd.img')).toBe(V1);
  });

  it('keeps its version when the engine has lost everything, or its last writes', async () => {
    const { fleet, a, b, at } = await twoServers();
    const before = fleet.redis.snapshot();
    expect(await at(a, 'pxelinux.0')).toBe(V1);
    fleet.publish('two');
    await fleet.pass(3000);
    fleet.redis.flush();
    await fleet.pass(3000);
    expect(await at(b, 'linux')).toBe(V1);
    fleet.redis.failOver(before);
    expect(await at(b, 'initrd.img')).toBe(V1);
    await fleet.pass(3000);
    expect(await at(a, 'initrd.img')).toBe(V1);
  });

  it('gets the version of the server that it asks where the other one has a version that this one lacks', async () => {
    const { fleet, a, b, at } = await twoServers();
    a.publish('two');
    await fleet.pass(300);
    expect(await at(a, 'pxelinux.0')).toBe(V2);
    expect(await at(b, 'linux')).toBe(V1);
    expect(b.source.stats().sharedPins).toMatchObject({ refused: 1 });
    expect(b.warnings.join()).toContain('does another fleet use the same prefix?');
  });

  it('keeps its version although it has asked for files of more channels than are shared', async () => {
    const { fleet, a, b, at } = await twoServers();
    const channels = Array.from({ length: 40 }, (_, number) => `hall/other${number}`);
    for (const server of [a, b]) for (const channel of channels) server.publish('one', channel);
    await fleet.pass(300);
    expect(await at(a, 'pxelinux.0')).toBe(V1);
    for (const channel of channels) {
      // Nobody acknowledges these: anybody may have asked for them.
      const [client, local] = [NODE, '192.0.2.1'];
      // oxlint-disable-next-line no-await-in-loop -- one file after the other.
      await fleet.settle(
        Promise.resolve(a.source.open({ filename: `${channel}/linux`, mode: 'octet', client, local })),
      );
    }
    fleet.publish('two');
    await fleet.pass(3000);
    expect(await at(b, 'linux')).toBe(V1);
    expect(b.source.stats().sharedPins).toMatchObject({ refused: 0 });
  });

  it('is left alone by a request in its name from another address', async () => {
    const { fleet, a, b, at } = await twoServers();
    const name = '52-54-00-12-34-56';
    for (const file of ['pxelinux.0', 'linux']) {
      // oxlint-disable-next-line no-await-in-loop -- one file after the other.
      expect(await at(a, `${name}/${file}`)).toBe(V1);
    }
    fleet.publish('two');
    await fleet.pass(3000);
    // A stranger begins a boot at the other server.
    await at(b, `${name}/pxelinux.0`, '192.0.2.99');
    await fleet.pass(3000);
    expect(await at(a, `${name}/initrd.img`)).toBe(V1);
    expect(await at(b, `${name}/initrd.img`)).toBe(V1);
  });
});

describe('a reply', () => {
  it('waits for the engine at most 50 ms twice, although another value stands in its way each time', async () => {
    const fleet = new Fleet(1, { delayMs: () => 40 });
    const [server] = fleet.servers as [(typeof fleet.servers)[0]];
    fleet.publish('one');
    await fleet.pass(300);
    const { link } = server;
    const batch = link.batch.bind(link);
    let others = 0;
    link.batch = (commands, deadlineMs) => {
      fleet.redis.execute(['SET', link.key('node', `ip:${NODE}`), `garbage ${others++}`]);
      return batch(commands, deadlineMs);
    };
    const from = fleet.clock.now();
    expect(await fleet.settle(server.read('hall/install/pxelinux.0', NODE))).toBe(V1);
    expect(others).toBeGreaterThan(2);
    expect(fleet.clock.now() - from).toBeLessThanOrEqual(101);
  });
});
