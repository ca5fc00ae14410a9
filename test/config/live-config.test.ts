/** Changes of the config file at moments when its status says little about its content. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LiveConfig } from '../../src/config/live-config.ts';
import { resolveSettings } from '../../src/config/resolve-settings.ts';
import type { Settings } from '../../src/config/settings.ts';
import { folder } from '../support/reveille.ts';

/** A config whose `drain` is read and applied; `afterRead` runs when the file has been read. */
async function live(): Promise<{
  write: (seconds: number) => void;
  config: LiveConfig;
  applied: number[];
  state: { afterRead: () => void; onApplied: () => void };
}> {
  const file = join(folder(), 'reveille.yaml');
  const write = (seconds: number): void => writeFileSync(file, `root: .\ndrain: ${seconds}s\n`);
  const state = { afterRead: (): void => {}, onApplied: (): void => {} };
  const read = (): Settings => {
    readFileSync(file);
    const settings = resolveSettings({}, file);
    state.afterRead();
    return settings;
  };
  write(1);
  const applied: number[] = [];
  const config = new LiveConfig({
    file,
    started: read(),
    read,
    apply: ({ drainMs }) => {
      applied.push(drainMs);
      state.onApplied();
      return Promise.resolve();
    },
    onReloaded: () => {},
    onWarning: () => {},
  });
  onTestFinished(() => config.close());
  await config.start();
  return { write, config, applied, state };
}

describe('a config file that is edited', () => {
  it('while it is being read is read again', async () => {
    const { write, config, applied, state } = await live();
    const second = new Promise<void>((resolve) => {
      state.onApplied = () => void (applied.at(-1) === 3000 && resolve());
    });
    write(2);
    state.afterRead = () => {
      state.afterRead = () => {};
      write(3);
    };
    await config.reload('test');
    await second;
    expect(applied).toEqual([2000, 3000]);
  });

  // Another edit within the same tick of the file system's clock would leave the whole status unchanged.
  it('a moment before it is read is read again when the change is noticed', async () => {
    const { write, config, applied, state } = await live();
    const again = new Promise<void>((resolve) => {
      state.onApplied = () => void (applied.length === 2 && resolve());
    });
    write(2);
    await config.reload('test');
    await again;
    expect(applied).toEqual([2000, 2000]);
  });
});
