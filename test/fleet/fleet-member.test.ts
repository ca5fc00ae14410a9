/** Servers of a fleet on virtual time: they announce themselves, follow promotions, and hold them without Redis. */
import { describe, expect, it } from 'vitest';
import { CHANNEL, digestOf, type FleetServer, FleetWorld } from './fleet-world.ts';

async function fleetOf(servers: number, versions: readonly number[] = [1, 2]): Promise<FleetWorld> {
  const world = new FleetWorld(1, servers);
  for (const server of world.servers) {
    for (const version of versions) server.stage(version);
    server.start();
  }
  await world.pass(500);
  return world;
}

function served(servers: readonly FleetServer[]): (string | undefined)[] {
  return servers.map(({ channel, tables }) => {
    const { current } = channel!;
    return current === undefined ? undefined : tables.versions.get(`${CHANNEL}-${current}`)!.manifest;
  });
}

describe('servers of a fleet', () => {
  it('follow a promotion by its notice in a fraction of a second, and without the notice within 5 s', async () => {
    const world = await fleetOf(3);
    expect(await world.promoted({ version: digestOf(1) })).toBe(1);
    await world.pass(200);
    expect(served(world.servers)).toEqual([digestOf(1), digestOf(1), digestOf(1)]);

    const end = world.promote({ version: digestOf(2) }, false);
    await world.pass(300);
    expect(await end).toBe(2);
    await world.pass(5000);
    expect(served(world.servers)).toEqual([digestOf(2), digestOf(2), digestOf(2)]);
  });

  it('refuse a version that one of them lacks; forced, that server follows once it has the version', async () => {
    const world = await fleetOf(3, [1]);
    const [first, second, third] = world.servers as [FleetServer, FleetServer, FleetServer];
    for (const server of [first, second]) server.stage(2);
    await world.pass(6000);
    const wish = { version: digestOf(2).slice(0, 12) };
    expect(await world.promoted(wish)).toBe(
      `channel "install": sha256:${digestOf(2).slice(0, 12)} is not staged on s2: wait, or use --force`,
    );
    expect(await world.promoted({ ...wish, isForced: true })).toBe(1);
    await world.pass(500);
    expect(served([first, second, third])).toEqual([digestOf(2), digestOf(2), undefined]);
    expect(third.member!.stats().promoted).toEqual([{ channel: CHANNEL, generation: 0, isBehind: true }]);
    await world.pass(8000);
    expect(served([third])).toEqual([digestOf(2)]);
    expect(third.member!.stats().promoted).toEqual([{ channel: CHANNEL, generation: 1, isBehind: false }]);
  });

  it('forget a server that is killed after 15 s, and one that stops at once', async () => {
    const world = await fleetOf(3);
    const names = async (): Promise<string[]> => {
      const found = world.board.time().then((now) => world.board.servers(now));
      await world.pass(10);
      return (await found).map(({ name }) => name);
    };
    expect(await names()).toEqual(['s0', 's1', 's2']);
    world.servers[0]!.kill();
    void world.servers[1]!.member!.stop();
    await world.pass(100);
    expect(await names()).toEqual(['s0', 's2']);
    await world.pass(15_000);
    expect(await names()).toEqual(['s2']);
  });

  it('give a flushed Redis their promotions back, and announce everything again', async () => {
    const world = await fleetOf(2);
    for (const version of [1, 2, 1]) {
      expect(await world.promoted({ version: digestOf(version) })).toBeTypeOf('number');
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      await world.pass(300);
    }
    world.redis.flush();
    await world.pass(6000);
    expect(await world.promoted({ version: digestOf(2) })).toBe(4);
    await world.pass(300);
    expect(served(world.servers)).toEqual([digestOf(2), digestOf(2)]);
  });

  it('hold the last promotion while Redis is away, also over a restart, and say so once', async () => {
    const world = await fleetOf(1);
    const [server] = world.servers as [FleetServer];
    await world.promoted({ version: digestOf(2) });
    await world.pass(300);
    server.kill();
    server.needed = new Set([digestOf(7)]);
    server.kept = 0;
    server.start();
    server.link.cut();
    await world.pass(130_000);
    // The needs of the others hold as well, as they were on disk.
    expect(server.needed).toEqual(new Set([digestOf(7)]));
    expect(server.kept).toBe(3);
    expect(served([server])).toEqual([digestOf(2)]);
    expect(server.member!.stats()).toMatchObject({ isJoined: false, servers: [] });
    expect(server.warnings).toEqual(['the fleet is out of sight: promotions are not followed, the last ones hold']);
    server.link.isCut = false;
    await world.pass(3000);
    expect(server.member!.stats()).toMatchObject({ isJoined: true, servers: [{ name: 's0' }] });
  });

  it('never go back to the memory of a former fleet, and offer it to nobody', async () => {
    const world = await fleetOf(2);
    const [old, young] = world.servers as [FleetServer, FleetServer];
    for (const version of [1, 2, 1]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      await world.promoted({ version: digestOf(version) });
      // oxlint-disable-next-line no-await-in-loop -- see above.
      await world.pass(300);
    }
    old.kill();
    young.kill();
    world.redis.flush();
    const { promoted: _, ...fresh } = young.channel!;
    young.tables.channels.put(CHANNEL, fresh);
    young.start();
    await world.pass(1000);
    expect(await world.promoted({ version: digestOf(2) })).toBe(1);
    old.start();
    await world.pass(10_000);
    expect(served([old, young])).toEqual([digestOf(1), digestOf(2)]);
    expect(old.warnings).toEqual([
      'Redis has an older generation of the channel, promoted later: the channel stays until it is promoted again',
    ]);
    expect(await world.promoted({ version: digestOf(2) })).toBe(4);
    await world.pass(300);
    expect(served([old, young])).toEqual([digestOf(2), digestOf(2)]);
  });

  it('take the later of two promotions of one generation, of which a failover has lost the first', async () => {
    const world = await fleetOf(2);
    const [first, second] = world.servers as [FleetServer, FleetServer];
    const before = world.redis.snapshot();
    second.link.cut();
    await world.promoted({ version: digestOf(1) });
    await world.pass(300);
    world.redis.failOver(before);
    first.link.cut();
    await world.pass(100);
    second.link.isCut = false;
    await world.pass(16_000);
    expect(await world.promoted({ version: digestOf(2) })).toBe(1);
    first.link.isCut = false;
    await world.pass(6000);
    expect(served([first, second])).toEqual([digestOf(2), digestOf(2)]);
  });

  it('learn what the others need, and what they no longer need', async () => {
    const world = await fleetOf(2, [1, 2, 3]);
    const [first, second] = world.servers as [FleetServer, FleetServer];
    await world.promoted({ version: digestOf(1) });
    await world.pass(70_000);
    // The current version, and the one that was staged last. What a server holds without need is not among them.
    expect([...first.needed].toSorted()).toEqual([digestOf(1), digestOf(3)].toSorted());
    second.pins.set(2, 5);
    await world.pass(70_000);
    expect(first.needed.has(digestOf(2))).toBe(true);
    second.pins.clear();
    await world.pass(70_000);
    expect(first.needed.has(digestOf(2))).toBe(false);
  });

  it('tell when two servers have one name, and cannot be promoted then', async () => {
    const world = await fleetOf(1);
    const [server] = world.servers as [FleetServer];
    // A second process; the first continues.
    server.start();
    await world.pass(20_000);
    const warning = 'another server announces itself under the name of this one: expected a host name for each server';
    expect(server.warnings).toEqual([warning, warning]);
    expect(await world.promoted({ version: digestOf(1) })).toBe(
      's0: two servers have this name: expected a host name for each server',
    );
  });

  it('answer a thousand notices with one exchange in 100 ms', async () => {
    const world = await fleetOf(1);
    await world.pass(1000);
    const before = world.redis.commands;
    for (let notice = 0; notice < 1000; notice++) {
      void world.board.notify(CHANNEL);
      // oxlint-disable-next-line no-await-in-loop -- virtual time passes.
      await world.pass(1);
    }
    // 1,000 notices, and ten commands in each of ten exchanges.
    expect(world.redis.commands - before).toBeLessThan(1150);
    expect(world.redis.commands - before).toBeGreaterThan(1050);
  });
});
