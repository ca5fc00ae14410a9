/** Files of boot sets under names as firmware spells them: the server looks up what such a name means. */
import { describe, expect, it } from 'vitest';
import { Resolver } from '../../src/server/resolver.ts';
import { CLIENT, Serving, textOf } from './serving.ts';

describe('a file of a boot set', () => {
  it.each([
    'maas\\install-1\\linux',
    'C:/maas/install-1/linux',
    'maas/install-1/linux\xff',
    'maas/install-1/linuxy\n;o',
  ])('is found by the name %j', async (filename) => {
    const serving = await Serving.start();
    await serving.publishSets('maas/install', 2);
    const resolver = new Resolver([serving.source]);
    const answer = await resolver.resolve({ filename, mode: 'octet', client: CLIENT, local: '192.0.2.1' });
    expect(answer.kind === 'content' ? textOf(answer) : answer.kind).toBe('linux of version 1\n');
  });

  it('cannot be found by a name that is not clean', async () => {
    const serving = await Serving.start();
    await serving.publishSets('maas/install', 1);
    for (const name of ['maas/install-1/linux\xff', 'maas\\install-1\\linux']) {
      expect((await serving.ask(name)).kind).toBe('notMine');
    }
  });
});
