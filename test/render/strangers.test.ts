/**
 * Floods of requests that each need a config of their own: known nodes are not held up, strangers share the remaining
 * capacity.
 */
import { describe, expect, it } from 'vitest';
import type { RouteConfig } from '../../src/render/types.ts';
import { Serving } from '../boot-set/serving.ts';
import { Desk } from './fixture.ts';

/** A slow template. */
const SLOW = '{% for i in (1..200) %}{% assign a = i | plus: 1 %}{% endfor %}for {{ captures.mac }}';
const HANDLER =
  'export default async ({ captures }) => { await new Promise((f) => setTimeout(f, 20)); return captures.mac; };';
const FILES = {
  'slow.liquid': SLOW,
  'waits.mjs': HANDLER,
  'nodes.yaml': `nodes:\n  - { name: one, mac: '52:54:00:00:00:01' }\n  - { name: two, mac: '52:54:00:00:00:02' }\n`,
};
const TEMPLATE: RouteConfig = { match: 'cfg/{mac}', template: 'slow.liquid', unknown: true };
const WAITS: RouteConfig = { match: 'cfg/{mac}', handler: 'waits.mjs' };
const ONE = 'cfg/52-54-00-00-00-01';
const TWO = 'cfg/52-54-00-00-00-02';

function mac(at: number): string {
  return `02-50-00-00-${(at >> 8).toString(16).padStart(2, '0')}-${(at & 0xff).toString(16).padStart(2, '0')}`;
}

/** Requests of a flood for the slow template: many more than may come before a known node's, which is `AHEAD`. */
const FLOOD = 400;
const AHEAD = 100;

/** A desk with two threads, as a server has. */
function open(routes: readonly RouteConfig[], more: Parameters<typeof Desk.open>[2] = {}): Promise<Desk> {
  return Desk.open(FILES, routes, { threads: 2, ...more });
}

let networks = 0;

class Flood {
  done = 0;
  refused = 0;
  readonly #over: Promise<unknown>;

  /** Sends each request from a different address. @param name file name of each request. */
  constructor(desk: Desk, requests: number, name: (at: number) => string = (at) => `cfg/${mac(at)}`) {
    const network = ++networks;
    const one = async (at: number): Promise<void> => {
      const text = await desk.read(name(at), { client: `10.${network}.${at >> 8}.${at & 0xff}` });
      if (text.startsWith('busy')) this.refused++;
      else this.done++;
    };
    this.#over = Promise.all(Array.from({ length: requests }, (_, at) => one(at)));
  }

  async over(): Promise<void> {
    await this.#over;
  }
}

/** Number of requests in the flood that got their config before the node got its own. */
async function overtaken(desk: Desk, flood: Flood, name: string, client: string): Promise<number> {
  expect(await desk.read(name, { client })).toMatch(/^(?:for )?52:54:00:00:00/);
  const { done } = flood;
  await flood.over();
  return done;
}

describe('a flood of requests for configs of nodes that nobody knows', () => {
  it.each([
    ['template', TEMPLATE, FLOOD, AHEAD],
    ['handler', WAITS, 1000, 800],
  ] as const)('does not hold up a node of the inventory: %s', async (_, route, requests, most) => {
    const desk = await open([route], { inventory: 'nodes.yaml' });
    const flood = new Flood(desk, requests);
    expect(await overtaken(desk, flood, ONE, '192.0.2.7')).toBeLessThan(most);
    expect([flood.done, flood.refused]).toEqual([requests, 0]);
  });

  it('does not hold up a node that a table of leases or neighbours knows', async () => {
    const known = new Map([['192.0.2.7', 'mac:52:54:00:00:00:07']]);
    const serving = await Serving.start({ tables: [{ read: () => Promise.resolve(known) }] });
    await serving.read('anything.lst', '192.0.2.7');
    const desk = await open([TEMPLATE], { bootSets: serving.source });
    expect(await overtaken(desk, new Flood(desk, FLOOD), 'cfg/52-54-00-00-00-07', '192.0.2.7')).toBeLessThan(AHEAD);
  });

  it('does not hold up a node that has acknowledged a file of a boot set or a config from its address', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    serving.isAnswered = true;
    await serving.read('rack/52-54-00-00-00-07/pxelinux.0', '192.0.2.7');
    const desk = await open([TEMPLATE], { bootSets: serving.source });
    expect(await overtaken(desk, new Flood(desk, FLOOD), 'cfg/52-54-00-00-00-07', '192.0.2.7')).toBeLessThan(AHEAD);
    const config = await desk.ask('cfg/52-54-00-00-00-08', { client: '192.0.2.8' });
    if (config.kind === 'content') config.release(true);
    const again = new Flood(desk, FLOOD, (at) => `cfg/${mac(at + 4096)}`);
    expect(await overtaken(desk, again, 'cfg/52-54-00-00-00-09', '192.0.2.8')).toBeLessThan(AHEAD);
  });

  it('holds up at most the node of the inventory whose name it uses, and not if that node has answered', async () => {
    const desk = await open([TEMPLATE], { inventory: 'nodes.yaml' });
    expect(await overtaken(desk, new Flood(desk, FLOOD, () => ONE), TWO, '192.0.2.8')).toBeLessThan(AHEAD);
    const config = await desk.ask(ONE, { client: '192.0.2.7', local: '192.0.2.2' });
    if (config.kind === 'content') config.release(true);
    const flood = new Flood(desk, FLOOD, () => ONE);
    expect(await overtaken(desk, flood, ONE, '192.0.2.7')).toBeLessThan(AHEAD);
  });

  it('has room again when earlier requests are done, even with pinned versions', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    const desk = await open([{ ...WAITS, channel: 'rack' }], {
      inventory: 'nodes.yaml',
      bootSets: serving.source,
    });
    const first = new Flood(desk, 4096);
    await expect.poll(() => desk.routes.stats().waiting).toBeGreaterThan(3000);
    const second = new Flood(desk, 1000, (at) => `cfg/${mac(at + 8192)}`);
    expect(await desk.read(ONE)).toBe('52:54:00:00:00:01');
    await Promise.all([first.over(), second.over()]);
    const refused = first.refused + second.refused;
    expect(desk.routes.stats().failures).toMatchObject({ strangers: refused, queueFull: 0 });
    expect(refused).toBeLessThanOrEqual(1000);
    const later = new Flood(desk, 10, (at) => `cfg/${mac(at + 12_288)}`);
    await later.over();
    expect([later.done, later.refused]).toEqual([10, 0]);
  });

  it('does not keep a repeating node waiting for long', async () => {
    const desk = await open([WAITS]);
    const first = new Flood(desk, 4096);
    await expect.poll(() => desk.routes.stats().waiting).toBe(4096);
    const ask = (): Promise<string> => desk.read('cfg/52-54-00-00-00-07', { client: '192.0.2.7' });
    expect(await ask()).toMatch(/^busy/);
    const second = new Flood(desk, 1000, (at) => `cfg/${mac(at + 8192)}`);
    const before = first.done;
    expect(await ask()).toBe('52:54:00:00:00:07');
    expect(first.done - before).toBeLessThan(1000);
    await Promise.all([first.over(), second.over()]);
  });

  it('that repeats its requests gets a share of the places, and no known node waits for it', async () => {
    const desk = await open([WAITS], { inventory: 'nodes.yaml' });
    const first = new Flood(desk, 4096);
    await expect.poll(() => desk.routes.stats().waiting).toBe(4096);
    const forged = (): Promise<string[]> =>
      Promise.all(
        Array.from({ length: 2000 }, (_, at) =>
          desk.read(`cfg/${mac(at + 8192)}`, { client: `10.200.${at >> 8}.${at & 0xff}` }),
        ),
      );
    expect(new Set(await forged())).toHaveLength(1);
    const again = forged();
    await expect.poll(() => desk.routes.stats().waiting).toBeGreaterThan(4096);
    expect(desk.routes.stats().waiting).toBeLessThanOrEqual(4096 + 1024);
    expect(await overtaken(desk, first, ONE, '192.0.2.8')).toBeLessThan(4096);
    await again;
  });

  it('beyond the queue is refused as busy, so that the nodes ask again', async () => {
    const desk = await open([WAITS], { inventory: 'nodes.yaml' });
    const flood = new Flood(desk, 5000);
    expect(await overtaken(desk, flood, ONE, '192.0.2.7')).toBeLessThan(800);
    expect([flood.done, flood.refused]).toEqual([4096, 904]);
    expect(desk.routes.stats().failures.strangers).toBe(904);
  });
});
