import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FileWatch } from '../../src/config/file-watch.ts';
import { folder } from '../support/reveille.ts';

/** A folder that is watched for `names`; its change() makes a change and waits until the watch reports it. */
async function watched(...names: string[]) {
  const root = folder();
  const path = (name: string): string => join(root, name);
  const write = (name: string, text: string): void => writeFileSync(path(name), text);
  let told: () => void = () => {};
  const failures: unknown[] = [];
  let changes = 0;
  const watch = new FileWatch({
    onChange: () => {
      changes++;
      told();
    },
    onFailure: (error) => void failures.push(error),
  });
  onTestFinished(() => watch.close());
  for (const name of names) write(name, 'first');
  await watch.watch(names.map(path));
  const change = (work: () => void): Promise<void> => {
    const noticed = new Promise<void>((resolve) => {
      told = resolve;
    });
    work();
    return noticed;
  };
  return { path, write, watch, change, changes: () => changes, failures };
}

describe('watched files', () => {
  it('are noticed when they are written, replaced, removed and made again', async () => {
    const { path, write, change, changes, failures } = await watched('config.yaml');
    await change(() => write('config.yaml', 'second'));
    for (const text of ['third', 'fourth']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other is the point.
      await change(() => {
        write('new', text);
        renameSync(path('new'), path('config.yaml'));
      });
    }
    await change(() => rmSync(path('config.yaml')));
    await change(() => write('config.yaml', 'fifth'));
    expect(changes()).toBe(5);
    expect(failures).toEqual([]);
  });

  it('are noticed when there are none yet', async () => {
    const { watch, path, write, change, changes } = await watched('config.yaml');
    await watch.watch([path('config.yaml'), path('nodes.yaml')]);
    await change(() => write('nodes.yaml', 'first'));
    expect(changes()).toBe(1);
  });

  it('count as one change when they change together, and ignore others in their folder', async () => {
    const { write, change, changes } = await watched('config.yaml', 'nodes.yaml');
    await change(() => {
      for (let blob = 0; blob < 200; blob++) write(`blob-${blob}`, 'bytes');
      for (let time = 0; time < 5; time++) write('config.yaml', `time ${time}`);
      write('nodes.yaml', 'second');
    });
    await change(() => write('nodes.yaml', 'third'));
    expect(changes()).toBe(2);
  });

  it('are noticed behind a link that is switched', async () => {
    const { path, write, watch, change, changes } = await watched('a');
    write('b', 'other');
    symlinkSync('a', path('link'));
    await watch.watch([path('link')]);
    await change(() => {
      symlinkSync('b', path('new'));
      renameSync(path('new'), path('link'));
    });
    expect(changes()).toBe(1);
  });
});
