/** `reveille promote` and `servers`, with a real Redis and servers that announce themselves in this process. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { MonotonicClock } from '../../../src/engine/clock.ts';
import { COMPARE_AND_SET, FleetBoard } from '../../../src/fleet/fleet-board.ts';
import { openRedis } from '../../../src/redis/redis-link.ts';
import { folder } from '../../boot-set/fixture.ts';
import { digestOf, type FleetServer, FleetWorld } from '../../fleet/fleet-world.ts';
import { runCommand, type Said } from '../../support/command.ts';
import { lastingPort } from '../../support/ports.ts';
import { read } from '../../support/pages.ts';
import { hasRedis, RedisServer } from '../../support/redis-server.ts';

const SOON = { timeout: 30_000 };
const [ONE, TWO] = [digestOf(1), digestOf(2)];

function addressOf({ port }: RedisServer, user = ''): string {
  return `redis://${user}127.0.0.1:${port}`;
}

/** Starts servers with the versions 1 and 2 staged, of which no promotion has moved the channel. */
async function fleetAt(redis: RedisServer, servers: number): Promise<readonly FleetServer[]> {
  const world = new FleetWorld(1, servers);
  for (const server of world.servers) {
    for (const version of [1, 2]) server.stage(version);
    const address = { hosts: [{ host: '127.0.0.1', port: redis.port }], isTls: false, database: 0 };
    const link = openRedis({
      address: { ...address, master: undefined, user: undefined, password: undefined },
      prefix: 'reveille',
    });
    onTestFinished(async () => {
      await server.member?.stop();
      await link.close();
    });
    server.start({ board: new FleetBoard(link), clock: new MonotonicClock(), wallClock: Date.now });
  }
  await vi.waitFor(() => {
    for (const { member } of world.servers) expect(member!.stats().servers.length).toBeGreaterThan(0);
  }, SOON);
  return world.servers;
}

async function reveille(redis: RedisServer, ...args: string[]): Promise<Said> {
  return await runCommand([...args, '--pins', addressOf(redis)]);
}

describe.skipIf(!hasRedis)('the commands on a fleet', { timeout: 60_000 }, () => {
  it('promote a version on all servers, and show who serves it', async () => {
    const redis = await RedisServer.start();
    const servers = await fleetAt(redis, 3);
    expect(await reveille(redis, 'promote', 'install', TWO.slice(0, 8))).toEqual({
      code: 0,
      stdout: `install: generation 1, sha256:${TWO}\nfollowed by 3 of 3 servers\n`,
      stderr: '',
    });
    expect(servers.map(({ channel }) => channel!.promoted?.manifest)).toEqual([TWO, TWO, TWO]);

    const { stdout } = await reveille(redis, 'servers');
    const [head, ...rows] = stdout.trimEnd().split('\n');
    expect(head).toMatch(/^SERVER +VERSION +CHANNELS +BEHIND +STAGED +PINS +TRANSFERS +CLOCK$/);
    expect(rows).toHaveLength(3);
    for (const row of rows) expect(row).toMatch(/^s\d +1\.0\.0 +1 +- +2 +0 +1 of 100 +[-+]?[\d.]+ m?s$/);
    const json = JSON.parse((await reveille(redis, 'servers', '--json')).stdout) as Record<string, unknown>;
    expect(json).toMatchObject({
      promotions: [{ channel: 'install', generation: 1, digest: `sha256:${TWO}` }],
      servers: [
        {
          name: 's0',
          behind: 0,
          staged: 2,
          channels: [
            {
              name: 'install',
              current: `sha256:${TWO}`,
              generation: 1,
              behind: false,
              staged: [
                { number: 2, digest: `sha256:${TWO}`, needed: true },
                { number: 1, digest: `sha256:${ONE}`, needed: false },
              ],
            },
          ],
        },
        { name: 's1' },
        { name: 's2' },
      ],
    });
  });

  it('say which server lacks the version; forced, they promote and say it too', async () => {
    const redis = await RedisServer.start();
    const [first] = await fleetAt(redis, 2);
    first!.stage(3);
    first!.member!.look();
    const wish = ['promote', 'install', digestOf(3)];
    await vi.waitFor(async () => {
      expect((await reveille(redis, ...wish)).stderr).toContain('not staged');
    }, SOON);
    const short = digestOf(3).slice(0, 12);
    expect(await reveille(redis, ...wish)).toEqual({
      code: 1,
      stdout: '',
      stderr: `reveille: channel "install": sha256:${short} is not staged on s1: wait, or use --force\n`,
    });
    const forced = await reveille(redis, ...wish, '--force', '--json');
    expect(forced.code).toBe(0);
    expect(JSON.parse(forced.stdout)).toMatchObject({
      channel: 'install',
      generation: 1,
      digest: `sha256:${digestOf(3)}`,
      lacking: ['s1'],
      followed: ['s0'],
      waiting: ['s1'],
    });
  });

  it('say that a promotion may have been made when its answer is lost', async () => {
    const redis = await RedisServer.start();
    await fleetAt(redis, 1);
    // Passes everything on, and breaks the connection when the script is on its way.
    const proxy = createServer((client) => {
      const upstream = connect(redis.port, '127.0.0.1');
      upstream.on('error', () => client.destroy());
      client.on('error', () => {});
      client.on('close', () => upstream.end());
      upstream.on('data', (data) => client.write(data));
      client.on('data', (data) => {
        upstream.write(data);
        if (data.includes(COMPARE_AND_SET)) client.destroy();
      });
    });
    onTestFinished(() => void proxy.close());
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const pins = ['--pins', `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`];
    const lost = await runCommand(['promote', 'install', TWO, ...pins]);
    expect(lost).toMatchObject({ code: 1, stdout: '' });
    expect(lost.stderr).toMatch(
      /^reveille: channel "install": it is not known whether it was promoted to sha256:[0-9a-f]{12} as generation 1 \(.*\): see reveille servers\n$/,
    );
    await vi.waitFor(async () => {
      const { stdout } = await reveille(redis, 'servers', '--json');
      expect(JSON.parse(stdout)).toMatchObject({ promotions: [{ generation: 1, digest: `sha256:${TWO}` }] });
    }, SOON);
  });

  it('reject bad input in one line', async () => {
    const redis = await RedisServer.start();
    await fleetAt(redis, 1);
    const config = join(folder(), 'reveille.yaml');
    writeFileSync(config, 'store: /nowhere\n');
    const none = 'expected redis://';
    const cases: readonly (readonly [args: readonly string[], code: number, said: string])[] = [
      [['promote', 'install'], 2, `--pins: ${none}`],
      [['servers', '--config', config], 2, `${config}: pins: ${none}`],
      [['servers', '--pins', 'redis://boot:hunter2@x/y'], 2, `--pins: ${none}`],
      [['promote', 'In stall', '--pins', addressOf(redis)], 2, 'channel "In stall": expected'],
      [
        ['promote', 'other', '--pins', addressOf(redis)],
        2,
        'channel "other": expected a channel that a live server has',
      ],
      [
        ['promote', 'install', '9', '--pins', addressOf(redis)],
        2,
        'version 9: expected a version that a live server has',
      ],
      [
        ['promote', 'install', '--pins', addressOf(redis), '--pins-prefix', 'elsewhere'],
        1,
        'no live server announces itself under "elsewhere": expected servers with the setting pins',
      ],
      [['servers', '--pins', `redis://127.0.0.1:${await lastingPort()}`], 1, 'Redis: 127.0.0.1:'],
      [
        ['servers', '--pins', addressOf(redis, 'user:wrong@')],
        1,
        'expected a user and a password that the server accepts',
      ],
    ];
    for (const [args, code, said] of cases) {
      // oxlint-disable-next-line no-await-in-loop -- one command after the other.
      const result = await runCommand(args);
      expect(result).toMatchObject({ code, stdout: '' });
      expect(result.stderr).toContain(said);
      expect(result.stderr.match(/\n/g)).toHaveLength(1);
      expect(result.stderr).not.toContain('hunter2');
    }
  });

  it('need of Redis only the commands that the documentation lists', async () => {
    const redis = await RedisServer.start();
    await fleetAt(redis, 1);
    redis.cli(
      'ACL',
      'SETUSER',
      'people',
      'on',
      '>secret',
      'resetkeys',
      '~reveille:*',
      'resetchannels',
      '&reveille:*',
      '-@all',
      ...COMMANDS,
    );
    const address = addressOf(redis, 'people:secret@');
    expect(await runCommand(['promote', 'install', TWO, '--pins', address])).toMatchObject({ code: 0, stderr: '' });
    expect(await runCommand(['servers', '--pins', address])).toMatchObject({ code: 0, stderr: '' });
    redis.cli('ACL', 'SETUSER', 'people', '-publish');
    const unsaid = await runCommand(['promote', 'install', ONE, '--pins', address]);
    expect(unsaid).toMatchObject({ code: 1, stdout: '' });
    expect(unsaid.stderr).toMatch(
      /^reveille: channel "install": promoted to sha256:[0-9a-f]{12} as generation 2, but who follows is not known \(.*NOPERM.*\): see reveille servers\n$/,
    );
    redis.cli('ACL', 'SETUSER', 'people', '-eval');
    const refused = await runCommand(['promote', 'install', ONE, '--pins', address]);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^reveille: .*NOPERM.*'eval'.*\n$/);
  });
});

/** Permissions in docs/fleet.md. */
const COMMANDS: readonly string[] = [...read('docs/fleet.md').matchAll(/^user boot .*$/gm)].flatMap(
  ([line]) => line.match(/\+[a-z]+/g) ?? [],
);
