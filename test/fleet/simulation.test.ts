/**
 * Promotions in fleets on virtual time: links are cut, answers and notices are lost, servers die and return, stores
 * can't be written to, Redis is flushed or fails over to an older state.
 */
import { describe, expect, it } from 'vitest';
import { CAMPAIGN } from '../support/content.ts';
import { digestOf, type FleetServer, FleetWorld } from './fleet-world.ts';

const SEEDS = Number(process.env['REVEILLE_SEEDS'] ?? (CAMPAIGN ? 2000 : 25));
const SERVERS = 5;
const STEPS = 40;

interface Played {
  /** Rules that were broken. */
  readonly broken: string[];
  readonly promoted: number;
  readonly followed: number;
}

/** Judges what a server's channel did while it happens. */
class Judge {
  readonly broken: string[] = [];
  readonly #judged = new Map<FleetServer, number>();

  look(servers: readonly FleetServer[]): void {
    for (const server of servers) {
      const from = this.#judged.get(server) ?? 0;
      for (const [at, { promotion }] of [...server.moves.entries()].slice(from)) {
        const before = server.moves[at - 1]?.promotion;
        if (!server.holds(promotion.manifest)) this.broken.push(`${server.name} moved to what it has not staged`);
        if (before === undefined) continue;
        const isLater = promotion.generation === before.generation && promotion.at >= before.at;
        if (promotion.generation < before.generation || (promotion.generation === before.generation && !isLater)) {
          this.broken.push(`${server.name} went from generation ${before.generation} to ${promotion.generation}`);
        }
      }
      this.#judged.set(server, server.moves.length);
    }
  }
}

function kill(server: FleetServer, world: FleetWorld): void {
  server.kill();
  world.clock.wake(world.clock.now() + world.random.between(100, 30_000), () => server.start());
}

async function play(seed: number): Promise<Played> {
  const world = new FleetWorld(seed, SERVERS, (random) => random.between(1, random.chance(0.02) ? 300 : 10));
  const { random, servers, redis, clock } = world;
  const judge = new Judge();
  let version = 1;
  let promoted = 0;
  let snapshot = redis.snapshot();
  for (const server of servers) {
    server.stage(version);
    server.start();
  }
  const alive = (): FleetServer[] => servers.filter(({ member }) => member !== undefined);
  const events: readonly (() => void)[] = [
    () => {
      version++;
      const next = version;
      for (const server of servers) {
        if (random.chance(0.9)) clock.wake(clock.now() + random.between(0, 8000), () => server.stage(next));
      }
    },
    ...Array.from({ length: 4 }, () => () => {
      const wish = {
        version: digestOf(random.between(Math.max(1, version - 2), version)),
        isForced: random.chance(0.3),
      };
      void world.promote(wish, random.chance(0.7)).then((end) => {
        if (typeof end === 'number') promoted++;
      });
    }),
    () => {
      const { link } = random.pick(servers);
      link.cut();
      clock.wake(clock.now() + random.between(10, 40_000), () => {
        link.isCut = false;
      });
    },
    () => {
      const { link } = random.pick(servers);
      link.lostAnswers = 0.3;
      clock.wake(clock.now() + random.between(10, 20_000), () => {
        link.lostAnswers = 0;
      });
    },
    () => alive().length > 1 && kill(random.pick(alive()), world),
    () => {
      world.failing = random.chance(0.5) ? 0.5 : 0;
    },
    () => (snapshot = redis.snapshot()),
    () => random.chance(0.3) && redis.failOver(snapshot),
    () => random.chance(0.2) && redis.flush(),
  ];
  for (let step = 0; step < STEPS; step++) {
    random.pick(events)();
    // oxlint-disable-next-line no-await-in-loop -- virtual time passes step by step.
    await world.pass(random.between(0, 4000));
    judge.look(servers);
  }
  // All is well again, and the newest version is promoted: every server follows.
  world.failing = 0;
  await world.pass(40_000);
  for (const server of servers) {
    server.link.lostAnswers = 0;
    server.link.isCut = false;
    server.stage(version);
  }
  await world.pass(20_000);
  const end = await world.promoted({ version: digestOf(version) }, 5000);
  await world.pass(6000);
  judge.look(servers);
  if (typeof end === 'string') judge.broken.push(`was not promoted at the end: ${end}`);
  for (const { name, channel } of servers) {
    const { generation, manifest } = channel!.promoted ?? {};
    if (generation !== end || manifest !== digestOf(version)) judge.broken.push(`${name} does not follow at the end`);
  }
  const followed = servers.reduce((sum, { moves }) => sum + moves.length, 0);
  for (const server of servers) void server.member?.stop();
  return { broken: judge.broken, promoted, followed };
}

describe(`${SEEDS} fleets of ${SERVERS} servers, in which everything fails now and then`, () => {
  it('only move forward, to what they have staged, and agree in the end', { timeout: 3_600_000 }, async () => {
    const broken: string[] = [];
    let [promoted, followed] = [0, 0];
    for (let seed = 1; seed <= SEEDS; seed++) {
      // oxlint-disable-next-line no-await-in-loop -- worlds run one after the other.
      const played = await play(seed);
      broken.push(...played.broken.map((text) => `seed ${seed}: ${text}`));
      promoted += played.promoted;
      followed += played.followed;
    }
    expect(broken).toEqual([]);
    // The worlds are not empty.
    expect(promoted).toBeGreaterThan(2 * SEEDS);
    expect(followed).toBeGreaterThan(SERVERS * SEEDS);
  });
});
