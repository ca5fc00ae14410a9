/** The keeper, and servers that hang, die or are stopped while one replaces another. Signals script the servers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { DescriptorChannel } from '../../src/engine/descriptor-channel.ts';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import { Keeper } from '../../src/keeper/keeper.ts';
import { CHANNEL_VARIABLE, KEEPER_VERSION } from '../../src/keeper/protocol.ts';
import { folder } from '../support/reveille.ts';

const unavailable = await checkLinuxEngine();
const CHANNEL = new URL('../../dist/engine/descriptor-channel.js', import.meta.url).href;
/** SIGUSR2: asks for the descriptors. SIGWINCH: says that it has handed over. SIGURG: ends with exit code 0. */
const SERVER = `
import { appendFileSync } from 'node:fs';
import { DescriptorChannel } from '${CHANNEL}';
const channel = new DescriptorChannel(Number(process.env.${CHANNEL_VARIABLE}));
const tell = (type) => channel.send(JSON.stringify({ type, version: ${KEEPER_VERSION} }));
const note = (event) => appendFileSync(process.env.EVENTS, process.pid + ' ' + event + '\\n');
process.on('SIGUSR2', () => tell('take')).on('SIGWINCH', () => tell('handedOver')).on('SIGURG', () => process.exit(0));
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => note(signal));
setInterval(() => {}, 1e6);
channel.watch(() => {
  for (let passed = channel.receive(); passed !== undefined; passed = channel.receive()) {
    const { type, standby } = JSON.parse(passed.text);
    note(standby ? 'standby' : type);
    if (type === 'welcome' && !standby) tell('take');
    if (type === 'complete') tell('ready');
  }
});
tell('hello');
`;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class World {
  readonly lines: string[] = [];
  readonly keeper: Keeper;
  readonly ended: Promise<number>;
  readonly #file = join(folder(), 'events');

  private constructor() {
    writeFileSync(this.#file, '');
    this.keeper = new Keeper({
      command: [process.execPath, '--input-type=module', '--eval', SERVER],
      environment: { ...process.env, EVENTS: this.#file },
      given: [],
      say: (line) => this.lines.push(line),
    });
    onTestFinished(() => {
      this.keeper.stop('SIGKILL');
      for (const [pid] of this.events()) send(pid, 'SIGKILL');
    });
    this.ended = this.keeper.run();
  }

  /** Starts a server, and one that is to replace it. @returns their processes. */
  static async upgrading(): Promise<{ world: World; former: number; successor: number }> {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const world = new World();
    const former = await world.seen('complete');
    do {
      world.lines.length = 0;
      // oxlint-disable-next-line no-await-in-loop -- the keeper reads that the server is ready.
      await turn();
      world.keeper.upgrade();
    } while (world.lines.length > 0);
    return { world, former, successor: await world.seen('standby') };
  }

  events(): (readonly [pid: number, event: string])[] {
    const lines = readFileSync(this.#file, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => [Number(line.split(' ')[0]), line.split(' ')[1]!]);
  }

  /** Waits for an event. @param of the process; default: any but those. @returns the process. */
  async seen(event: string, of?: number, but: readonly number[] = []): Promise<number> {
    for (;;) {
      const found = this.events().find(
        ([pid, one]) => one === event && (of === undefined || pid === of) && !but.includes(pid),
      );
      if (found !== undefined) return found[0];
      // oxlint-disable-next-line no-await-in-loop -- the loop waits for the event.
      await turn();
    }
  }

  async saying(pattern: RegExp): Promise<void> {
    // oxlint-disable-next-line no-await-in-loop -- the loop waits for the line.
    while (!this.lines.some((line) => pattern.test(line))) await turn();
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}

describe.skipIf(unavailable !== undefined)('an upgrade', () => {
  it('that is stopped before the successor is prepared ends with the server, which drains', async () => {
    const { world, former, successor } = await World.upgrading();
    world.keeper.stop('SIGTERM');
    await world.seen('SIGTERM', former);
    await world.saying(/successor has ended before it took over \(SIGKILL\)/);
    send(successor, 'SIGUSR2');
    send(former, 'SIGURG');
    expect(await world.ended).toBe(0);
    expect(world.events()).not.toContainEqual([successor, 'complete']);
  });

  it('that is stopped while the server hands over ends with the successor, which gets the signal', async () => {
    const { world, former, successor } = await World.upgrading();
    send(successor, 'SIGUSR2');
    await world.seen('handOver', former);
    world.keeper.stop('SIGTERM');
    send(former, 'SIGWINCH');
    await world.seen('complete', successor);
    await world.seen('SIGTERM', successor);
    send(successor, 'SIGURG');
    expect(await world.ended).toBe(0);
  });

  it('ends with a server that ends by itself, and nothing is started afterwards', async () => {
    const { world, former } = await World.upgrading();
    send(former, 'SIGURG');
    expect(await world.ended).toBe(0);
    await world.saying(/successor has ended before it took over/);
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each(['SIGWINCH', 'SIGURG'] as const)(
    'whose successor dies while the server hands over starts another one (%s)',
    async (end) => {
      const { world, former, successor } = await World.upgrading();
      send(successor, 'SIGUSR2');
      await world.seen('handOver', former);
      send(successor, 'SIGKILL');
      await world.saying(/successor has ended before it took over .*; another server takes over/);
      send(former, end);
      if (end === 'SIGURG') await world.saying(/the server has died \(exit code 0\)/);
      vi.advanceTimersByTime(1);
      const next = await world.seen('complete', undefined, [former, successor]);
      world.keeper.stop('SIGTERM');
      await world.seen('SIGTERM', next);
      send(next, 'SIGURG');
      expect(await world.ended).toBe(0);
    },
  );

  it('whose successor hangs kills it after a minute, and another one can be tried', async () => {
    const { world, former, successor } = await World.upgrading();
    vi.advanceTimersByTime(60_000);
    await world.saying(/successor has ended before it took over \(SIGKILL\); nothing has changed/);
    world.keeper.upgrade();
    const other = await world.seen('standby', undefined, [successor]);
    send(other, 'SIGUSR2');
    expect(await world.seen('handOver', former)).toBe(former);
  });

  it('whose successor hangs when the server dies starts another one after two seconds', async () => {
    const { world, former, successor } = await World.upgrading();
    send(former, 'SIGKILL');
    await world.saying(/its successor takes over/);
    vi.advanceTimersByTime(2000);
    await world.saying(/successor has ended before it took over/);
    vi.advanceTimersByTime(1);
    expect(await world.seen('complete', undefined, [former, successor])).toBeGreaterThan(0);
  });

  it('passes on a SIGHUP that comes while the successor starts, which may have read its config before', async () => {
    const { world, former, successor } = await World.upgrading();
    world.keeper.reload();
    await world.seen('SIGHUP', former);
    send(successor, 'SIGUSR2');
    await world.seen('handOver', former);
    send(former, 'SIGWINCH');
    expect(await world.seen('SIGHUP', successor)).toBe(successor);
  });
});

describe.skipIf(unavailable !== undefined)('a keeper', () => {
  it('without descriptors for a channel tries to start a server ever more rarely', async () => {
    const { world, former, successor } = await World.upgrading();
    send(successor, 'SIGKILL');
    await world.saying(/nothing has changed/);
    const pair = vi.spyOn(DescriptorChannel, 'pair').mockImplementation(() => {
      throw new Error('socketpair EMFILE');
    });
    onTestFinished(() => pair.mockRestore());
    send(former, 'SIGKILL');
    await world.saying(/it is started again/);
    vi.advanceTimersByTime(1);
    vi.advanceTimersByTime(500);
    await world.saying(/the next start is in 1000 ms/);
    expect(pair).toHaveBeenCalledTimes(2);
  });
});
