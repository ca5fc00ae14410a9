/** Versions that configs name: chosen once per boot, pinned with the node's files, kept for a day. */
import { describe, expect, it } from 'vitest';
import { CLIENT, POLICY, Serving, setOf } from '../serving.ts';

const NODE = 'mac:52:54:00:00:00:01';
const CONFIG = { path: 'pxelinux.cfg/01-52-54-00-00-00-01', client: CLIENT, ids: [NODE] };

async function chosen(serving: Serving, more = {}): Promise<string | undefined> {
  return (await serving.source.choose('ubuntu', { ...CONFIG, ...more }))?.version.name;
}

describe('the version that a config names', () => {
  it('is the current one for a boot that begins, and stays until the next', async () => {
    const serving = await Serving.start();
    await serving.publishSets('ubuntu', 1);
    expect(await chosen(serving)).toBe('ubuntu-1');
    await serving.publish('ubuntu', setOf(2));
    // GRUB asks for its config twice before it loads anything.
    expect(await chosen(serving)).toBe('ubuntu-1');
    expect(await serving.versions(CLIENT, 'ubuntu-1/linux', 'ubuntu-1/initrd.img')).toEqual(['1', '1']);
    expect(await chosen(serving)).toBe('ubuntu-2');
  });

  it('is the version of the files that the node gets from the channel', async () => {
    const serving = await Serving.start();
    await serving.publishSets('ubuntu', 1);
    expect(await serving.versions(CLIENT, 'ubuntu/pxelinux.0')).toEqual(['1']);
    await serving.publish('ubuntu', setOf(2));
    expect(await chosen(serving)).toBe('ubuntu-1');
    expect(await serving.versions(CLIENT, 'ubuntu/linux')).toEqual(['1']);
  });

  it('has a different mark for each boot', async () => {
    const serving = await Serving.start();
    await serving.publishSets('ubuntu', 1);
    const first = await serving.source.choose('ubuntu', CONFIG);
    serving.pass(1000);
    expect((await serving.source.choose('ubuntu', CONFIG))?.boot).toBe(first?.boot);
    await serving.read('ubuntu-1/linux');
    serving.pass(1000);
    expect((await serving.source.choose('ubuntu', CONFIG))?.boot).not.toBe(first?.boot);
  });

  it('is kept for a day before the config is sent', async () => {
    const serving = await Serving.start();
    await serving.store.setDefaults({ ...POLICY, keepVersions: 0 });
    await serving.publishSets('ubuntu', 1);
    await chosen(serving);
    expect(serving.store.tables.useNotes.get('ubuntu-1')).toMatchObject({ renderedAt: serving.now });
    await serving.publish('ubuntu', setOf(2));
    serving.pass(20 * 3_600_000);
    expect(await serving.collect()).not.toContain('ubuntu-1');
    serving.pass(5 * 3_600_000);
    expect(await serving.collect()).toContain('ubuntu-1');
  });

  it('can be previewed without a change', async () => {
    const serving = await Serving.start();
    await serving.publishSets('ubuntu', 1);
    const preview = serving.source.preview('ubuntu', CONFIG);
    expect([preview?.version.name, preview?.pinned]).toEqual(['ubuntu-1', false]);
    expect(serving.source.stats().pins).toBe(0);
    expect(serving.store.tables.useNotes.get('ubuntu-1')).toBeUndefined();
    await chosen(serving);
    await serving.publish('ubuntu', setOf(2));
    expect(serving.source.preview('ubuntu', CONFIG)).toMatchObject({ version: { name: 'ubuntu-1' }, pinned: true });
  });

  it('is undefined for a channel without a version', async () => {
    const serving = await Serving.start();
    expect(await chosen(serving)).toBeUndefined();
    await serving.publishSets('ubuntu', 1);
    expect(await chosen(serving)).toBe('ubuntu-1');
  });

  it('is the current one, without a pin, for every node behind a shared address', async () => {
    const serving = await Serving.start({ sharedNetworks: ['192.0.2.0/24'] });
    await serving.publishSets('ubuntu', 1);
    expect(await chosen(serving, { ids: [] })).toBe('ubuntu-1');
    expect(serving.source.stats().pins).toBe(0);
    expect(await chosen(serving)).toBe('ubuntu-1');
    expect(serving.source.stats().pins).toBe(1);
  });
});
