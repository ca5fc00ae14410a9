import { describe, expect, it } from 'vitest';
import { pinNode, setRollout } from '../../src/boot-set/store/channel-changes.ts';
import { type BootSetWay, Rehearsal } from '../../src/boot-set/rehearsal.ts';
import { CLIENT, POLICY, Serving, setOf, textOf } from './serving.ts';

async function look(serving: Serving, filename: string, ...ids: string[]): Promise<BootSetWay & { text: string }> {
  return await lookFrom(CLIENT, serving, filename, ids);
}

async function lookFrom(
  address: string,
  serving: Serving,
  filename: string,
  ids: readonly string[],
): Promise<BootSetWay & { text: string }> {
  const { store, cache, clock, now } = serving;
  const rehearsal = await Rehearsal.begin({
    store,
    cache,
    clock,
    now: () => now,
    policy: POLICY,
    known: store.pins(),
    client: { address, ids },
  });
  const way = await rehearsal.open({ filename, mode: 'octet', client: address, local: '192.0.2.1' });
  const { answer } = way;
  if (answer.kind !== 'content') return { ...way, text: answer.kind };
  const text = textOf(answer);
  answer.release();
  return { ...way, text };
}

describe('the rehearsal of a request', () => {
  it('shows the version that a boot would begin with, and does not change the store', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 2);
    const way = await look(serving, '//rack/pxelinux.0');
    expect(way).toMatchObject({
      text: 'pxelinux.0 of version 2\n',
      asked: { by: 'channel', channel: 'rack', file: 'pxelinux.0' },
      version: 'rack-2',
      reason: 'current',
      pin: { node: `ip:${CLIENT}`, version: 2 },
      file: { name: 'pxelinux.0', size: 24 },
    });
    expect(way.file!.blob).toContain(way.file!.digest);
    expect([serving.store.pins(), serving.store.tables.useNotes.entries()]).toEqual([[], []]);
    await serving.publish('rack', { 'pxelinux.0': 'version 3' });
    expect((await look(serving, 'rack/pxelinux.0')).version).toBe('rack-3');
  });

  it('shows the version that a node has begun with', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    expect(await serving.versions(CLIENT, 'rack/pxelinux.0')).toEqual(['1']);
    await serving.publish('rack', setOf(2));
    const before = serving.store.pins();
    serving.pass(1000);
    expect(await look(serving, 'rack/linux')).toMatchObject({ version: 'rack-1', reason: 'pinned', pin: { stage: 1 } });
    expect(serving.store.pins()).toEqual(before);
  });

  it('uses the address that the node has if none is given, and leaves its pin as it is', async () => {
    const serving = await Serving.start();
    serving.isAnswered = true;
    await serving.publishSets('rack', 1);
    const mac = '52:54:00:00:00:07';
    await serving.versions('192.0.2.99', `rack/pxelinux.cfg/01-${mac.replaceAll(':', '-')}`, `rack/${mac}/linux`);
    await serving.versions('192.0.2.99', `rack/${mac}/pxelinux.0`, `rack/${mac}/linux`);
    await serving.publish('rack', setOf(2));
    const ids = [`mac:${mac}`];
    const own = { version: 'rack-1', reason: 'pinned', pin: { node: `mac:${mac}`, address: '192.0.2.99' } };
    expect(await lookFrom('0.0.0.0', serving, 'rack/initrd.img', ids)).toMatchObject(own);
    expect(await lookFrom('192.0.2.66', serving, 'rack/pxelinux.0', ids)).toMatchObject({
      version: 'rack-1',
      pin: { node: `mac:${mac}@192.0.2.66`, provisional: true },
    });
  });

  it('uses the node that is given', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    const mac = '52:54:00:00:00:07';
    await serving.read(`rack/pxelinux.cfg/01-${mac.replaceAll(':', '-')}`, '192.0.2.99');
    await serving.versions('192.0.2.99', 'rack/pxelinux.0');
    await serving.publish('rack', setOf(2));
    serving.pass(1000);
    expect(await look(serving, 'rack/linux', `mac:${mac}`)).toMatchObject({
      version: 'rack-1',
      reason: 'pinned',
      pin: { node: `mac:${mac}` },
    });
    expect(await look(serving, 'rack/linux')).toMatchObject({ version: 'rack-2', pin: { node: `ip:${CLIENT}` } });
  });

  it('shows a pin by hand and a rollout', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 2);
    await serving.change((tables) => pinNode(tables, `ip:${CLIENT}`, 'rack-1'));
    expect(await look(serving, 'rack/pxelinux.0')).toMatchObject({ version: 'rack-1', reason: 'by hand' });
    await serving.publishSets('maas', 1);
    await serving.publish('maas', { 'pxelinux.0': 'version 2' }, true);
    await serving.change((tables) => setRollout(tables, 'maas', { percent: 100 }));
    expect(await look(serving, 'maas/pxelinux.0')).toMatchObject({ version: 'maas-2', reason: 'rollout' });
  });

  it('shows a version that is asked for by number, and a missing one', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    expect(await look(serving, 'rack-1/linux')).toMatchObject({
      version: 'rack-1',
      reason: 'explicit',
      pin: undefined,
    });
    expect(serving.store.tables.useNotes.entries()).toEqual([]);
    expect(await look(serving, 'rack-1/none')).toMatchObject({ text: 'missing', version: 'rack-1', file: undefined });
    expect(await look(serving, 'rack-7/linux')).toMatchObject({ text: 'missing', version: undefined });
    expect(await look(serving, 'rack/none')).toMatchObject({
      text: 'missing',
      asked: { channel: 'rack' },
      pin: undefined,
    });
    expect(await look(serving, 'other/linux')).toMatchObject({ text: 'notMine', asked: undefined });
    expect(await look(serving, '../x')).toMatchObject({ text: 'denied', asked: undefined });
  });
});
