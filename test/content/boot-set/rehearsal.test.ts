import { describe, expect, it } from 'vitest';
import { pinNode, setRollout } from '../../../src/content/boot-set/channel-changes.ts';
import { type BootSetWay, rehearse } from '../../../src/content/boot-set/rehearsal.ts';
import { CLIENT, POLICY, Serving, textOf } from './serving.ts';

async function look(serving: Serving, filename: string): Promise<BootSetWay & { text: string }> {
  const { store, cache, clock, now } = serving;
  const way = await rehearse(
    { store, cache, clock, now: () => now, policy: POLICY, known: store.pins() },
    { filename, mode: 'octet', client: CLIENT, local: '192.0.2.1' },
  );
  const { answer } = way;
  if (answer.kind !== 'content') return { ...way, text: answer.kind };
  const text = textOf(answer);
  answer.release();
  return { ...way, text };
}

describe('the rehearsal of a request', () => {
  it('tells what a boot would begin with, and leaves the store as it was', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 2);
    const way = await look(serving, '\\rack/pxelinux.0');
    expect(way).toMatchObject({
      text: 'pxelinux.0 of version 2\n',
      asked: { by: 'channel', channel: 'rack', file: 'pxelinux.0' },
      version: 'rack-2',
      reason: 'current',
      pin: { node: `ip:${CLIENT}`, version: 2 },
      file: { name: 'pxelinux.0', size: 24 },
    });
    expect(way.file!.blob).toContain(way.file!.digest);
    expect([serving.store.pins(), serving.store.leases()]).toEqual([[], []]);
    await serving.publish('rack', { 'pxelinux.0': 'version 3' });
    expect((await look(serving, 'rack/pxelinux.0')).version).toBe('rack-3');
  });

  it('tells the version that a node has begun with', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    expect(await serving.versions(CLIENT, 'rack/pxelinux.0')).toEqual(['1']);
    await serving.publishSets('rack', 1);
    const before = serving.store.pins();
    serving.pass(1000);
    expect(await look(serving, 'rack/linux')).toMatchObject({ version: 'rack-1', reason: 'pinned', pin: { stage: 1 } });
    expect(serving.store.pins()).toEqual(before);
  });

  it('tells a choice by hand, and a rollout', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 2);
    await serving.change((tables) => pinNode(tables, `ip:${CLIENT}`, 'rack-1'));
    expect(await look(serving, 'rack/pxelinux.0')).toMatchObject({ version: 'rack-1', reason: 'by hand' });
    await serving.publishSets('maas', 1);
    await serving.publish('maas', { 'pxelinux.0': 'version 2' }, true);
    await serving.change((tables) => setRollout(tables, 'maas', { percent: 100 }));
    expect(await look(serving, 'maas/pxelinux.0')).toMatchObject({ version: 'maas-2', reason: 'rollout' });
  });

  it('tells what is asked for by number, and what is not there', async () => {
    const serving = await Serving.start();
    await serving.publishSets('rack', 1);
    expect(await look(serving, 'rack-1/linux')).toMatchObject({
      version: 'rack-1',
      reason: 'explicit',
      pin: undefined,
    });
    expect(serving.store.leases()).toEqual([]);
    expect(await look(serving, 'rack-1/none')).toMatchObject({ text: 'missing', version: 'rack-1', file: undefined });
    expect(await look(serving, 'rack-7/linux')).toMatchObject({ text: 'missing', version: undefined });
    expect(await look(serving, 'rack/none')).toMatchObject({
      text: 'missing',
      asked: { channel: 'rack' },
      pin: undefined,
    });
    expect(await look(serving, 'other/linux')).toMatchObject({ text: 'notMine', asked: undefined });
    expect(await look(serving, 'rack/../x')).toMatchObject({ text: 'denied', asked: undefined });
  });
});
