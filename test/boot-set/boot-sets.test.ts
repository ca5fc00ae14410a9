/** Boot sets as a source: requests by channel and by version, and the effect of the node's pin. */
import { chmodSync, rmSync, statSync, truncateSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dropPins, pinNode, removeVersion, rollback, setRollout } from '../../src/boot-set/store/channel-changes.ts';
import { CLIENT, POLICY, Serving, setOf, textOf } from './serving.ts';

const MAC = '52-54-00-00-00-01';
const NODE = 'mac:52:54:00:00:00:01';
const OTHER = '52-54-00-00-00-02';

/** Boot sets that also contain configs for single nodes. */
function withConfigs(version: number): Record<string, string> {
  return {
    ...setOf(version),
    [`pxelinux.cfg/01-${MAC}`]: `config of version ${version}\n`,
    [`pxelinux.cfg/01-${OTHER}`]: `config of version ${version}\n`,
  };
}

describe('by explicit name', () => {
  it('opens a file of the named version, whatever version is current', async () => {
    const serving = await Serving.start();
    await serving.publishSets('maas/install', 3);
    expect(
      await serving.versions(CLIENT, '/maas/install-1/linux', 'maas/install-3/linux', 'maas/x/..//install-2/linux'),
    ).toEqual(['1', '3', '2']);
    expect(serving.source.stats().pins).toBe(0);
  });

  it('opens a file by the first digits of the digest of its version', async () => {
    const serving = await Serving.start();
    await serving.publishSets('maas/install', 2);
    const [first] = serving.store.versions();
    const digest = first!.manifest;
    const names = [`@${digest.slice(0, 7)}`, `@${digest.toUpperCase()}`, `@sha256-${digest.slice(0, 12)}`];
    expect(await serving.versions(CLIENT, ...names.map((name) => `maas/install${name}/linux`))).toEqual([
      '1',
      '1',
      '1',
    ]);
    expect(await serving.read(`maas/install@${digest.slice(0, 6)}/linux`)).toBe('missing');
    expect(await serving.read('maas/install@00000000/linux')).toBe('missing');
  });

  it('finds nothing for a version that does not exist, or for other names', async () => {
    const serving = await Serving.start();
    await serving.publishSets('maas/install', 1);
    expect(await serving.read('maas/install-9/linux')).toBe('missing');
    expect(await serving.read('maas/install-1/other')).toBe('missing');
    expect(await serving.read('maas/other/linux')).toBe('notMine');
    expect(await serving.read('maas/install')).toBe('notMine');
    expect(await serving.read('maas/install-1x/linux')).toBe('notMine');
    expect(await serving.read('../install-1/linux')).toBe('denied');
  });

  it('opens a version that was published a moment ago', async () => {
    const serving = await Serving.start();
    await serving.publishSets('a', 1);
    expect(await serving.versions(CLIENT, 'a-1/linux')).toEqual(['1']);
    await serving.publish('b', setOf('b1'));
    expect(await serving.versions(CLIENT, 'b-1/linux', 'b/linux')).toEqual(['b1', 'b1']);
  });

  it('keeps a version while it is in use, and collects it later', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 6);
    expect(await serving.versions(CLIENT, 'rack-1/pxelinux.0')).toEqual(['1']);
    expect(await serving.collect()).toEqual(['rack-2']);
    serving.pass(800_000);
    expect(await serving.versions(CLIENT, 'rack-1/linux', 'rack-2/linux')).toEqual(['1', 'missing']);
    serving.pass(800_000);
    expect(await serving.collect()).toEqual([]);
    serving.pass(200_000);
    expect(await serving.collect()).toEqual(['rack-1']);
    expect(await serving.read('rack-1/linux')).toBe('missing');
  });
});

describe("by a channel's name", () => {
  it('gives one version for the whole boot, and the new version for the next boot', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    expect(await serving.versions(CLIENT, 'rack/pxelinux.0', 'rack/pxelinux.cfg/default')).toEqual(['1', '1']);
    await serving.publish('rack', setOf(2));
    expect(await serving.versions(CLIENT, 'rack/pxelinux.cfg/default', 'rack/linux', 'rack/initrd.img')).toEqual([
      '1',
      '1',
      '1',
    ]);
    expect(await serving.versions('192.0.2.8', 'rack/pxelinux.0')).toEqual(['2']);
    expect(await serving.versions(CLIENT, 'rack/pxelinux.0', 'rack/linux')).toEqual(['2', '2']);
    expect(serving.source.stats().channels).toEqual([
      { name: 'rack', current: 2, pins: 2, byVersion: [{ version: 2, pins: 2 }] },
    ]);
  });

  it('has written its pin to the store before the first reply', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    const answer = await serving.ask('rack/pxelinux.0');
    expect(answer.kind).toBe('content');
    expect(serving.store.pins()).toMatchObject([{ node: `ip:${CLIENT}`, channel: 'rack', version: 1, stage: 0 }]);
  });

  it('a file missing in the pinned version is missing, though a newer one has it; nothing begins with a miss', async () => {
    const serving = await Serving.start();
    await serving.publish('rack', setOf(1));
    expect(await serving.versions(CLIENT, 'rack/pxelinux.0', 'rack/linux')).toEqual(['1', '1']);
    await serving.publish('rack', { ...setOf(2), 'new.img': 'new.img of version 2', 'other.0': 'of version 2' });
    expect(await serving.read('rack/new.img')).toBe('missing');
    // A search for configs that no version contains does not end the boot.
    expect(await serving.read('rack/pxelinux.cfg/C0000207')).toBe('missing');
    expect(await serving.versions(CLIENT, 'rack/initrd.img')).toEqual(['1']);
    // A loader that only the new version contains does end it.
    expect(await serving.versions(CLIENT, 'rack/other.0', 'rack/new.img')).toEqual(['2', '2']);
  });

  it('keeps its version while a transfer is open, whatever the node asks for', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    await serving.versions(CLIENT, 'rack/pxelinux.0');
    const kernel = await serving.ask('rack/linux');
    await serving.publish('rack', setOf(2));
    expect(await serving.versions(CLIENT, 'rack/pxelinux.cfg/default')).toEqual(['1']);
    if (kernel.kind === 'content') kernel.release();
    // The node may have been reset, but the config that it received since then is from version 1.
    expect(await serving.versions(CLIENT, 'rack/pxelinux.cfg/default', 'rack/linux', 'rack/initrd.img')).toEqual([
      '1',
      '1',
      '1',
    ]);
    expect(await serving.versions(CLIENT, 'rack/pxelinux.0')).toEqual(['2']);
  });

  it('keeps the bytes of a running transfer although the version is collected meanwhile', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    const answer = await serving.ask('rack/linux');
    await serving.publishSets('rack', 6);
    serving.pass(POLICY.pinIdleMs + 1000);
    await serving.change((tables) => removeVersion(tables, 'rack-1'));
    if (answer.kind !== 'content') throw new Error(answer.kind);
    expect(textOf(answer)).toContain('version 1');
    answer.release();
  });

  it('gives late requests the old version, and nothing once it is collected', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    await serving.versions(CLIENT, 'rack/pxelinux.0', 'rack/pxelinux.cfg/default');
    for (let version = 2; version <= 6; version++) await serving.publish('rack', setOf(version));
    serving.pass(POLICY.pinIdleMs + 1000);
    expect(await serving.versions(CLIENT, 'rack/linux')).toEqual(['1']);
    expect(serving.source.stats().latePins).toBe(1);
    // Version 1 is in use again, so it is not collected.
    expect(await serving.collect()).toEqual(['rack-2']);
    serving.pass(POLICY.pinIdleMs + 1000);
    expect(await serving.collect()).toEqual(['rack-1']);
    expect(await serving.versions(CLIENT, 'rack/initrd.img', 'rack/ldlinux.c32')).toEqual(['missing', 'missing']);
    expect(await serving.versions(CLIENT, 'rack/pxelinux.0', 'rack/initrd.img')).toEqual(['6', '6']);
  });

  it('begins a new boot of a set without a loader after the idle time, or after a loader from elsewhere', async () => {
    const serving = await Serving.start();
    const files = (version: number) => ({ linux: `of version ${version}`, 'initrd.img': `of version ${version}` });
    await serving.publish('kernels', files(1));
    expect(await serving.versions(CLIENT, 'kernels/linux', 'kernels/initrd.img')).toEqual(['1', '1']);
    await serving.publish('kernels', files(2));
    expect(await serving.versions(CLIENT, 'kernels/linux')).toEqual(['1']);
    expect(await serving.versions(CLIENT, 'grub/grub.cfg', 'kernels/linux', 'kernels/initrd.img')).toEqual([
      'notMine',
      '2',
      '2',
    ]);
    await serving.publish('kernels', files(3));
    serving.pass(POLICY.pinIdleMs + 1000);
    expect(await serving.versions(CLIENT, 'kernels/linux')).toEqual(['3']);
  });

  it('begins the boots of one node from several channels together', async () => {
    const serving = await Serving.start();
    for (const channel of ['loaders', 'kernels']) await serving.publishSets(channel, 1);
    const boot = ['loaders/pxelinux.0', 'loaders/pxelinux.cfg/default', 'kernels/linux', 'kernels/initrd.img'];
    expect(await serving.versions(CLIENT, ...boot.slice(0, 3))).toEqual(['1', '1', '1']);
    for (const channel of ['loaders', 'kernels']) await serving.publish(channel, setOf(2));
    expect(await serving.versions(CLIENT, ...boot.slice(3), ...boot)).toEqual(['1', '2', '2', '2', '2']);
  });

  it('serves empty files, and netascii on request', async () => {
    const serving = await Serving.start();
    await serving.publish('rack', { ...setOf(1), 'command.lst': '', motd: 'one\ntwo\n' });
    expect(await serving.read('rack/command.lst')).toBe('');
    expect(await serving.read('rack/motd', CLIENT, 'netascii')).toBe('one\r\ntwo\r\n');
    expect(await serving.read('rack-1/command.lst', CLIENT, 'netascii')).toBe('');
  });

  it('ignores the case of names if it is configured to', async () => {
    const serving = await Serving.start({ caseInsensitive: true });
    await serving.publish('win', { 'Boot/BCD': 'of version 1' });
    expect(await serving.versions(CLIENT, 'win/boot/bcd', 'win/Boot/BCD')).toEqual(['1', '1']);
  });
});

describe('a node', () => {
  it('takes its pin along when a request identifies it', async () => {
    const serving = await Serving.start();
    await serving.publish('rack', withConfigs(1));
    expect(await serving.versions(CLIENT, 'rack/pxelinux.0')).toEqual(['1']);
    await serving.publish('rack', withConfigs(2));
    expect(await serving.versions(CLIENT, `rack/pxelinux.cfg/01-${MAC}`)).toEqual(['1']);
    expect(serving.store.pins().map(({ node }) => node)).toEqual([NODE]);
    // The same machine asks from another address.
    expect(await serving.versions('192.0.2.99', `rack/pxelinux.cfg/01-${MAC}`, 'rack/linux')).toEqual(['1', '1']);
  });

  it('that takes over an address in mid-boot gets its own boot, and the previous node keeps its boot', async () => {
    const serving = await Serving.start();
    await serving.publish('rack', withConfigs(1));
    const boot = (mac: string) => ['rack/pxelinux.0', `rack/pxelinux.cfg/01-${mac}`, 'rack/linux'];
    expect(await serving.versions(CLIENT, ...boot(MAC))).toEqual(['1', '1', '1']);
    await serving.publish('rack', withConfigs(2));
    expect(await serving.versions(CLIENT, ...boot(OTHER), 'rack/initrd.img')).toEqual(['2', '2', '2', '2']);
    // The first node keeps its pin, although another node has taken over its address.
    await serving.publish('rack', withConfigs(3));
    expect(serving.store.pins().map(({ node, version }) => [node, version])).toContainEqual([NODE, 1]);
  });

  it('at the address of a node that had just begun to boot continues that boot', async () => {
    const serving = await Serving.start();
    await serving.publish('rack', withConfigs(1));
    await serving.versions(CLIENT, 'rack/pxelinux.0', `rack/pxelinux.cfg/01-${MAC}`);
    await serving.publish('rack', withConfigs(2));
    const boot = ['rack/pxelinux.0', `rack/pxelinux.cfg/01-${OTHER}`, 'rack/linux'];
    const got = await serving.versions(CLIENT, ...boot);
    expect(new Set(got).size).toBe(1);
  });

  it('behind a shared address gets the current version, which is logged once', async () => {
    const serving = await Serving.start({ sharedNetworks: ['198.51.100.0/24'] });
    await serving.publishSets('rack', 1);
    const nat = '198.51.100.7';
    expect(await serving.versions(nat, 'rack/pxelinux.0', 'rack/linux')).toEqual(['1', '1']);
    await serving.publish('rack', setOf(2));
    expect(await serving.versions(nat, 'rack/initrd.img', 'rack-1/initrd.img')).toEqual(['2', '1']);
    expect(serving.source.stats()).toMatchObject({ pins: 0, sharedAnswers: 3 });
    expect(serving.warnings).toHaveLength(1);
    // A request with the node's name in a folder needs no address.
    expect(await serving.versions(nat, `rack/${MAC}/pxelinux.0`)).toEqual(['2']);
    await serving.publish('rack', setOf(3));
    expect(await serving.versions(nat, `rack/${MAC}/linux`, `rack/${OTHER}/pxelinux.0`, 'rack/linux')).toEqual([
      '2',
      '3',
      '3',
    ]);
  });

  it('is known by a table of leases from its first request on', async () => {
    const table = new Map([[CLIENT, NODE]]);
    const serving = await Serving.start({ tables: [{ read: () => Promise.resolve(new Map(table)) }] });
    await serving.publishSets('rack', 1);
    expect(await serving.versions(CLIENT, 'rack/pxelinux.0')).toEqual(['1']);
    expect(serving.store.pins().map(({ node }) => node)).toEqual([NODE]);
    await serving.publish('rack', setOf(2));
    // The node gets another lease in the middle of the boot.
    table.clear();
    table.set('192.0.2.50', NODE);
    serving.pass(2000);
    expect(await serving.versions('192.0.2.50', 'rack/linux')).toEqual(['1']);
  });
});

describe('the version of a new boot', () => {
  it('is the one that the node is pinned to by hand', async () => {
    const serving = await Serving.start();
    await serving.publish('rack', withConfigs(1));
    await serving.publish('rack', withConfigs(2));
    await serving.change((tables) => pinNode(tables, NODE, 'rack-1'));
    const boot = ['rack/pxelinux.0', `rack/pxelinux.cfg/01-${MAC}`, 'rack/linux'];
    // The node is unknown at first. From its second boot on, the address stands for it.
    expect(await serving.versions(CLIENT, ...boot)).toEqual(['2', '2', '2']);
    expect(await serving.versions(CLIENT, ...boot)).toEqual(['1', '1', '1']);
    expect(await serving.versions('192.0.2.8', 'rack/pxelinux.0')).toEqual(['2']);
  });

  it("is a rollout's candidate for its share of nodes, the same ones every time", async () => {
    const serving = await Serving.start();
    await serving.publish('rack', setOf(1));
    const candidate = await serving.publish('rack', setOf(2), true);
    await serving.change((tables) => setRollout(tables, 'rack', { to: String(candidate), percent: 25 }));
    const clients = Array.from({ length: 200 }, (_, index) => `192.0.2.${index}`);
    const once = await Promise.all(clients.map((client) => serving.versions(client, 'rack/pxelinux.0', 'rack/linux')));
    expect(once.every(([loader, kernel]) => loader === kernel)).toBe(true);
    const chosen = once.filter(([loader]) => loader === '2').length;
    expect(chosen).toBeGreaterThan(30);
    expect(chosen).toBeLessThan(70);
    const again = await Promise.all(clients.map((client) => serving.versions(client, 'rack/pxelinux.0', 'rack/linux')));
    expect(again).toEqual(once);
  });

  it('goes back with a rollback, but not for a boot that is under way', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 2);
    expect(await serving.versions(CLIENT, 'rack/pxelinux.0')).toEqual(['2']);
    await serving.change((tables) => rollback(tables, 'rack'));
    expect(await serving.versions(CLIENT, 'rack/linux')).toEqual(['2']);
    serving.pass(250);
    expect(await serving.versions('192.0.2.8', 'rack/pxelinux.0')).toEqual(['1']);
  });

  it('is chosen again within a second after the pin was dropped by hand', async () => {
    const serving = await Serving.start();
    await serving.publish('rack', withConfigs(1));
    await serving.versions(CLIENT, 'rack/pxelinux.0', `rack/pxelinux.cfg/01-${MAC}`);
    await serving.publish('rack', withConfigs(2));
    await serving.change((tables) => dropPins(tables, NODE));
    serving.pass(1000);
    expect(await serving.versions(CLIENT, 'rack/linux')).toEqual(['2']);
  });
});

describe('after a restart', () => {
  it.each(['close', 'crash'] as const)(
    '(%s) nodes go on with their version, also those known by their MAC',
    async (end) => {
      const serving = await Serving.start();
      await serving.publish('rack', withConfigs(1));
      expect(await serving.versions(CLIENT, 'rack/pxelinux.0', `rack/pxelinux.cfg/01-${MAC}`)).toEqual(['1', '1']);
      expect(await serving.versions('192.0.2.8', 'rack/pxelinux.0', 'rack/linux')).toEqual(['1', '1']);
      await serving.publish('rack', withConfigs(2));
      if (end === 'close') {
        await serving.close();
        await serving.open();
      } else await serving.crash();
      expect(await serving.versions(CLIENT, 'rack/linux', 'rack/initrd.img')).toEqual(['1', '1']);
      expect(await serving.versions('192.0.2.8', 'rack/initrd.img')).toEqual(['1']);
      expect(await serving.versions('192.0.2.9', 'rack/pxelinux.0')).toEqual(['2']);
    },
  );
});

describe('a blob', () => {
  it('that is lost, truncated or unreadable is reported once and never served', async () => {
    const serving = await Serving.start();
    await serving.publish('rack', setOf(1));
    const blob = (name: string): string => {
      const version = serving.store.versions()[0]!;
      return serving.store.blobPath(version.files.find((file) => file.name === name)!.digest);
    };
    rmSync(blob('linux'));
    chmodSync(blob('initrd.img'), 0o644);
    truncateSync(blob('initrd.img'), 3);
    expect(statSync(blob('initrd.img')).size).toBe(3);
    const names = ['rack/linux', 'rack/initrd.img', 'rack-1/linux', 'rack-1/initrd.img'];
    expect(await serving.versions(CLIENT, 'rack/pxelinux.0', ...names)).toEqual(['1', ...names.map(() => 'denied')]);
    expect(serving.warnings).toHaveLength(2);
  });

  it('is in memory once even if two versions have it, and is read ahead for the next boots', async () => {
    const serving = await Serving.start({ prefetchBytes: 2 ** 20 });
    const inMemory = (): number => serving.cache.stats().entries;
    await serving.publish('rack', { ...setOf(1), big: 'same' });
    await expect.poll(inMemory).toBe(6);
    await serving.publish('rack', { ...setOf(2), big: 'same' });
    await expect.poll(inMemory).toBe(11);
    const { loads, entries, shelvedBytes, idleBytes } = serving.cache.stats();
    expect([loads, entries]).toEqual([11, 11]);
    // No node boots version 1, so its own files are shelved.
    expect([shelvedBytes > 0, idleBytes > 0]).toEqual([true, true]);
    expect(await serving.read('rack-1/big')).toBe('same');
    await serving.versions(CLIENT, 'rack-2/big', 'rack/big', 'rack/linux');
    expect(serving.cache.stats().loads).toBe(loads);
  });
});

describe('more nodes than there is room for', () => {
  it('drop the pins of the nodes that were silent for longest, and count them', async () => {
    const serving = await Serving.start({ mostPins: 64 });
    await serving.publishSets('rack', 1);
    for (let node = 0; node < 80; node++) {
      serving.pass(1);
      await serving.versions(`192.0.2.${node}`, 'rack/pxelinux.0');
    }
    const { pins, pinsEvicted } = serving.source.stats();
    expect([pins, pinsEvicted]).toEqual([64, 16]);
    expect(serving.store.pins().map(({ node }) => node)).not.toContain('ip:192.0.2.0');
  });
});
