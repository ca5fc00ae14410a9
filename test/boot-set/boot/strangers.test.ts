/**
 * Effects of strangers on a node's boot: requests in its name from other addresses, floods of names, a wall clock that
 * is set.
 */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BootSetsOptions } from '../../../src/boot-set/boot-sets.ts';
import { publish } from '../../../src/boot-set/store/publish.ts';
import { CAMPAIGN } from '../../support/content.ts';
import { CLIENT, POLICY, Serving, setOf } from '../serving.ts';

const MAC = '52-54-00-00-00-01';
const NODE = 'mac:52:54:00:00:00:01';
const OTHER = '52-54-00-00-00-02';
const ATTACKER = '192.0.2.66';
const LOADER = `rack/${MAC}/pxelinux.0`;
const CONFIG = `rack/${MAC}/pxelinux.cfg/default`;
const KERNEL = `rack/${MAC}/linux`;
const INITRD = `rack/${MAC}/initrd.img`;

/** Number of random histories of boots with strangers. */
const RUNS = CAMPAIGN ? 200 : 8;

/** A node that acknowledges has received these files of version 1; version 2 has been published since. */
async function midBoot(files: readonly string[], options: Partial<BootSetsOptions> = {}): Promise<Serving> {
  const serving = await Serving.start(options);
  await serving.publishSets('rack', 1);
  await answered(serving, ...files);
  await serving.publish('rack', setOf(2));
  return serving;
}

/** Versions of the files that the node gets and acknowledges. */
async function answered(serving: Serving, ...files: readonly string[]): Promise<string[]> {
  return await answeredAt(serving, CLIENT, ...files);
}

async function answeredAt(serving: Serving, address: string, ...files: readonly string[]): Promise<string[]> {
  serving.isAnswered = true;
  try {
    return await serving.versions(address, ...files);
  } finally {
    serving.isAnswered = false;
  }
}

describe("a request in a node's name from another address", () => {
  it.each<[string, readonly string[]]>([
    ['for its loader', [LOADER]],
    ['for its loader, twice', [LOADER, LOADER]],
    ['for loader, kernel and loader', [LOADER, KERNEL, LOADER]],
    ['for its config', [CONFIG]],
    ['for a file below ROOT', [`pxelinux.cfg/01-${MAC}`]],
    ['for a kernel below ROOT', [`${MAC}/vmlinuz`, `pxelinux.cfg/01-${MAC}`]],
    ['for a loader by explicit name', [`rack-2/${MAC}/pxelinux.0`]],
    ['after a boot of its own', ['rack/pxelinux.0', LOADER]],
    ['after a boot in the name of a third', [`rack/${OTHER}/pxelinux.0`, LOADER]],
    ['after its own kernel and loader', ['rack/linux', 'rack/pxelinux.0', KERNEL]],
  ])('leaves the kernel and the initrd of one version: %s', async (_, asked) => {
    const serving = await midBoot([LOADER, CONFIG, KERNEL]);
    await serving.versions(ATTACKER, ...asked);
    expect(await answered(serving, INITRD)).toEqual(['1']);
    await answeredAt(serving, ATTACKER, ...asked);
    expect(await answered(serving, INITRD)).toEqual(['1']);
    // The forged requests do not hold up the node either: its next boot is a new one.
    expect(await answered(serving, LOADER, CONFIG, KERNEL, INITRD)).toEqual(['2', '2', '2', '2']);
  });

  it('leaves loader and config of one version', async () => {
    const serving = await midBoot([LOADER]);
    await answeredAt(serving, ATTACKER, KERNEL, LOADER, `rack-2/${MAC}/linux`, `${MAC}/vmlinuz`);
    expect(await answered(serving, CONFIG, KERNEL, INITRD)).toEqual(['1', '1', '1']);
  });

  it('gets the version that the node boots, as one of its own with another lease would', async () => {
    const serving = await midBoot([LOADER]);
    // ROM, iPXE and kernel hold different leases.
    expect(await answeredAt(serving, '192.0.2.50', CONFIG, KERNEL)).toEqual(['1', '1']);
    expect(await answeredAt(serving, '192.0.2.51', INITRD)).toEqual(['1']);
    serving.pass(300_000);
    // The next boot uses the same leases.
    expect(await answered(serving, LOADER)).toEqual(['2']);
    expect(await answeredAt(serving, '192.0.2.50', CONFIG, KERNEL)).toEqual(['2', '2']);
    expect(await answeredAt(serving, '192.0.2.51', INITRD)).toEqual(['2']);
  });

  it.each([
    ['at once', 1000],
    ['past the cap', POLICY.pinCapMs / 200],
  ])('gets it even if only the loader asks without a name of the node, boot after boot: %s', async (_, rest) => {
    const serving = await Serving.start();
    await serving.publish('rack', setOf(1));
    for (let boot = 0; boot < 210; boot++) {
      if (boot % 30 === 29) await serving.publish('rack', setOf(boot));
      const loader = await answered(serving, 'rack/pxelinux.0', `rack/pxelinux.cfg/01-${MAC}`);
      const moved = [`rack/pxelinux.cfg/01-${MAC}`, 'rack/pxelinux.cfg/default', 'rack/linux', 'rack/initrd.img'];
      const got = await answeredAt(serving, '192.0.2.50', ...moved);
      expect(got.slice(1)).toEqual([loader[0], loader[0], loader[0]]);
      serving.pass(rest);
    }
  });

  it('gets the version of its last boot also where the node was heard at the second address before its first ACK', async () => {
    const serving = await Serving.start();
    await serving.publish('rack', setOf(1));
    // The server has not heard the last ACK of the first loader yet when the node asks from its second address.
    await serving.versions(CLIENT, 'rack/pxelinux.0', `rack/pxelinux.cfg/01-${MAC}`);
    const moved = [`rack/pxelinux.cfg/01-${MAC}`, 'rack/pxelinux.cfg/default', 'rack/linux', 'rack/initrd.img'];
    expect((await answeredAt(serving, '192.0.2.50', ...moved)).slice(1)).toEqual(['1', '1', '1']);
    for (let boot = 2; boot < 20; boot++) {
      await serving.publish('rack', setOf(boot));
      serving.pass(1000);
      const [loader] = await answered(serving, 'rack/pxelinux.0', `rack/pxelinux.cfg/01-${MAC}`);
      expect((await answeredAt(serving, '192.0.2.50', ...moved)).slice(1)).toEqual([loader, loader, loader]);
    }
    // After a pause the node gets the current version.
    serving.pass(300_000);
    expect(await answered(serving, 'rack/pxelinux.0')).toEqual(['19']);
  });

  it('moves the node once its first address has been silent for a minute, not before', async () => {
    const serving = await midBoot([LOADER, CONFIG, KERNEL]);
    const nodeAt = () => serving.store.pins().find(({ node }) => node === NODE)?.address;
    serving.pass(50_000);
    expect(await answeredAt(serving, '192.0.2.50', LOADER)).toEqual(['1']);
    expect(nodeAt()).toBe(CLIENT);
    serving.pass(61_000);
    // The next boot, with another lease, is a new one.
    expect(await answeredAt(serving, '192.0.2.51', LOADER, CONFIG, KERNEL, INITRD)).toEqual(['2', '2', '2', '2']);
    expect(nodeAt()).toBe('192.0.2.51');
  });

  it('does not mix the boot of a node that stood at its menu meanwhile', async () => {
    const serving = await midBoot([LOADER, CONFIG]);
    serving.pass(300_000);
    await answeredAt(serving, ATTACKER, LOADER, KERNEL, LOADER, CONFIG);
    expect(await answered(serving, KERNEL, INITRD)).toEqual(['1', '1']);
  });

  it('does not delay a slower node unless the stranger has answered', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    await serving.versions(ATTACKER, LOADER, KERNEL);
    await serving.publish('rack', setOf(2));
    expect(await answered(serving, LOADER, CONFIG)).toEqual(['2', '2']);
    await serving.publish('rack', setOf(3));
    await serving.versions(ATTACKER, LOADER, KERNEL, LOADER);
    expect(await answered(serving, KERNEL, INITRD)).toEqual(['2', '2']);
  });

  it('does not take over the pin that a node has under another of its names', async () => {
    const uuid = '4c4c4544-0043-4a10-8054-b7c04f4d3232';
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    await answered(serving, `rack/${uuid}/pxelinux.0`, `rack/${uuid}/linux`);
    await serving.publish('rack', setOf(2));
    await answeredAt(serving, ATTACKER, `x/${uuid}/a.lst`, `rack/${OTHER}/pxelinux.0`);
    expect(await answered(serving, `rack/${uuid}/initrd.img`)).toEqual(['1']);
  });

  it('changes nothing for a config that is rendered for it', async () => {
    const serving = await midBoot([LOADER, CONFIG, KERNEL]);
    const request = { path: `pxelinux.cfg/01-${MAC}`, ids: [NODE] };
    const forged = { ...request, client: ATTACKER };
    expect(serving.source.preview('rack', forged)).toMatchObject({ version: { name: 'rack-1' }, pinned: false });
    expect((await serving.source.choose('rack', forged))?.version.name).toBe('rack-1');
    serving.source.see(forged);
    expect(await answered(serving, INITRD)).toEqual(['1']);
    expect((await serving.source.choose('rack', { ...request, client: CLIENT }))?.version.name).toBe('rack-2');
  });
});

describe('a flood of invented names', () => {
  const invented = (at: number): string => `rack/0250${at.toString(16).padStart(8, '0')}/pxelinux.0`;

  it('evicts no pin of a node that has answered', async () => {
    const serving = await midBoot([LOADER, CONFIG, KERNEL], { mostPins: 512 });
    const unanswered = Array.from({ length: 2048 }, (_, at) => serving.read(invented(at), `10.${at % 250}.0.1`));
    await Promise.all(unanswered);
    // Pins whose transfers the server still tries to send do not evict it either.
    await Promise.all(Array.from({ length: 2048 }, (_, at) => serving.ask(invented(at + 4096), `10.${at % 250}.0.1`)));
    const { pins, pinsEvicted } = serving.source.stats();
    expect(pins).toBeLessThanOrEqual(512);
    expect(pinsEvicted).toBeGreaterThan(3000);
    expect(await answered(serving, INITRD)).toEqual(['1']);
  });

  it.each([
    ['192.0.2.', 2048],
    ['2001:db8::', 8192],
  ])('from one network (%s) has room for a limited number', async (network, most) => {
    const serving = await midBoot([LOADER, CONFIG, KERNEL]);
    for (let at = 0; at < most + 512; at += 512) {
      await Promise.all(
        Array.from({ length: 512 }, (_, more) => serving.read(invented(at + more), `${network}${at % 200}`)),
      );
    }
    expect(serving.source.stats()).toMatchObject({ pins: most + 1, provisionalPins: most, pinsEvicted: 512 });
    expect(await answered(serving, INITRD)).toEqual(['1']);
  });
});

describe('a wall clock that is set', () => {
  const HOUR = 3_600_000;

  it.each([
    ['forward', 25 * HOUR],
    ['back', -25 * HOUR],
  ])('%s in the middle of a boot does not split it', async (_, step) => {
    const serving = await midBoot([LOADER]);
    serving.now += step;
    expect(await answered(serving, CONFIG, KERNEL)).toEqual(['1', '1']);
    serving.now += step;
    expect(await answered(serving, INITRD)).toEqual(['1']);
    expect(serving.source.stats().latePins).toBe(0);
  });

  it('does not make the collector consider the boot ended', async () => {
    const serving = await Serving.start();
    await serving.store.setDefaults({ ...POLICY, keepVersions: 0 });
    await serving.publishSets('rack', 1);
    await answered(serving, LOADER);
    await serving.publish('rack', setOf(2));
    serving.now += 25 * HOUR;
    serving.look();
    await expect.poll(() => serving.store.pins()[0]!.usedAt).toBeGreaterThan(serving.now - 10_000);
    // This protects at least the pin's record; the version itself is in its grace period.
    await serving.collectMarking();
    await publish(serving.store, { channel: 'other', paths: [serving.folder], candidate: false });
    serving.look();
    expect(await answered(serving, CONFIG, KERNEL, INITRD)).toEqual(['1', '1', '1']);
  });

  it.each([
    ['forward', 25 * HOUR],
    ['back', -25 * HOUR],
  ])('%s while the server is down does not split a boot', async (_, step) => {
    const serving = await midBoot([LOADER]);
    await serving.close();
    serving.now += step;
    serving.uptime += 2000;
    await serving.open();
    expect(await answered(serving, CONFIG, KERNEL, INITRD)).toEqual(['1', '1', '1']);
    expect(serving.source.stats().latePins).toBe(0);
  });

  it('is used for boots after a restart of the machine', async () => {
    const serving = await midBoot([LOADER]);
    await serving.close();
    serving.now += 5000;
    serving.uptime = 1000;
    await serving.open();
    expect(await answered(serving, CONFIG, KERNEL)).toEqual(['1', '1']);
    await serving.close();
    serving.now += POLICY.pinIdleMs + 1000;
    serving.uptime = 500;
    await serving.open();
    expect(await answered(serving, LOADER, KERNEL)).toEqual(['2', '2']);
  });
});

describe('whatever others ask for in its name, whenever and from wherever', () => {
  const FILES = ['pxelinux.0', 'pxelinux.cfg/default', 'ldlinux.c32', 'linux', 'initrd.img'] as const;
  const ELSEWHERE = ['198.51.100.1', '198.51.100.2', '203.0.113.3'];

  it('no boot of a node that answers gets two versions', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 6);
    let last = 6;
    let nodes = 0;
    // Equivalent to publishing, but faster.
    const move = async (): Promise<void> => {
      last = (last % 6) + 1;
      await serving.change(({ channels }) => channels.put('rack', { ...channels.get('rack')!, current: last }));
    };
    const other = fc.record({
      from: fc.constantFrom(...ELSEWHERE),
      file: fc.constantFrom(...FILES),
      // Requests with the node's name, without a name, by version number, and below ROOT.
      way: fc.constantFrom('named', 'named', 'named', 'nameless', 'number', 'elsewhere'),
      answers: fc.boolean(),
      wait: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 30_000 }), fc.integer({ min: 0, max: 100_000 })),
    });
    const step = fc.record({
      others: fc.array(other, { maxLength: 4 }),
      publishes: fc.boolean(),
      wait: fc.integer({ min: 0, max: 20_000 }),
    });
    // A boot may wait at its menu before the kernel for any time; before every other file it goes on within a minute.
    const boot = fc.array(step, { minLength: FILES.length, maxLength: FILES.length });
    await fc.assert(
      fc.asyncProperty(fc.array(boot, { minLength: 1, maxLength: 3 }), async (boots) => {
        const mac = `52-54-00-00-01-${(nodes++ & 0xff).toString(16).padStart(2, '0')}`;
        const home = `192.0.2.${nodes & 0xff}`;
        const nameOf = (way: string, file: string): string => {
          if (way === 'nameless') return `rack/${file}`;
          if (way === 'number') return `rack-${last}/${mac}/${file}`;
          return way === 'elsewhere' ? `other/${mac}/${file}` : `rack/${mac}/${file}`;
        };
        for (const steps of boots) {
          const got: (string | undefined)[] = [];
          for (const [at, file] of FILES.entries()) {
            const { others, publishes, wait } = steps[at]!;
            let budget = file === 'linux' ? Number.POSITIVE_INFINITY : 55_000 - wait;
            // The node is off before the first file.
            if (at === 0) budget = Number.POSITIVE_INFINITY;
            serving.pass(wait);
            for (const { from, file: asked, way, answers, wait: pause } of others) {
              const length = Math.min(pause, budget);
              budget -= length;
              serving.pass(length);
              if (answers) await answeredAt(serving, from, nameOf(way, asked));
              else await serving.versions(from, nameOf(way, asked));
            }
            if (publishes) await move();
            got.push(...(await answeredAt(serving, home, `rack/${mac}/${file}`)));
          }
          expect(got).toEqual(FILES.map(() => got[0]));
          serving.pass(61_000);
        }
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
  }, 600_000);
});
