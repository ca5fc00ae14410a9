/** Values and files that settings must not have: what is said of them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/config-file.ts';
import { resolveSettings } from '../../src/config/resolve-settings.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { folder } from '../support/reveille.ts';

/** The message about a config, without the folder's path. */
function mistake(text: string, flags: Parameters<typeof resolveSettings>[0] = {}): string {
  const root = folder();
  const file = join(root, 'c.yaml');
  writeFileSync(file, text);
  try {
    readConfig(file);
    resolveSettings(flags, file);
  } catch (error) {
    return (error as Error).message.replaceAll(`${root}/`, '');
  }
  return 'nothing';
}

describe('settings', () => {
  it.each([
    [
      'clients: [127.0.0.0/8, foo]',
      'clients: expected a network such as 192.0.2.0/24, or a list of at most 256, got "foo"',
    ],
    [
      'clients: 192.0.2.1/24',
      'clients: expected the network 192.0.2.0/24 or the address 192.0.2.1, got "192.0.2.1/24"',
    ],
    [
      'sharedNetworks: ["2001:DB8::7/32"]',
      'sharedNetworks: expected the network 2001:db8::/32 or the address 2001:DB8::7, got "2001:DB8::7/32"',
    ],
    ['maxBlksize: [1468, 1400]', 'maxBlksize: expected one blksize without a network, got another: 1400'],
    [
      'maxBlksize: ["2001:db8::/32=1228", "2001:DB8:0::/32=1200"]',
      'maxBlksize: expected each network once, got one again: "2001:DB8:0::/32=1200"',
    ],
    [
      'maxBlksize: [192.0.2.1/24=1228]',
      'maxBlksize: expected the network 192.0.2.0/24 or the address 192.0.2.1, got "192.0.2.1/24"',
    ],
    ['trustedRoots: [a, ""]', 'trustedRoots: expected a directory, or a list of at most 64, got ""'],
  ])('say which element of %s is wrong, and why', (text, line) => {
    expect(mistake(`${text}\n`)).toBe(`c.yaml:1: ${line}`);
  });

  it('reject a memory limit that is too small to send any file', () => {
    const memoryLimit = SETTINGS.memoryLimitBytes.kind;
    expect(['0', '1', '1023KiB', '1048575', '-1'].map((text) => memoryLimit.read(text))).toEqual(
      Array.from({ length: 5 }, () => undefined),
    );
    expect(['1MiB', 1_048_576, '1GiB'].map((value) => memoryLimit.read(value))).toEqual([2 ** 20, 2 ** 20, 2 ** 30]);
    expect(mistake('memoryLimit: 1\n')).toBe(
      'c.yaml:1: memoryLimit: expected a size of at least 1MiB, such as 512MiB or 2GiB, got 1',
    );
  });

  it('name the key and the place of a file that is not there', () => {
    const root = folder();
    const file = join(root, 'c.yaml');
    const said = (text: string, flags: Parameters<typeof resolveSettings>[0] = {}): string => {
      writeFileSync(file, text);
      try {
        resolveSettings(flags, file);
        return 'nothing';
      } catch (error) {
        return (error as Error).message.replaceAll(`${root}/`, '');
      }
    };
    const routes = 'root: .\nroutes:\n  - {match: a, empty: true}\n  - match: b\n';
    mkdirSync(join(root, 'd'));
    writeFileSync(join(root, 't'), '');
    expect(said(`${routes}    template: t\ninventory: t\n`)).toBe('nothing');
    expect(said(`${routes}    template: x.liquid\n`)).toBe(
      'c.yaml:5: routes[2].template: expected a file, got "x.liquid" (ENOENT)',
    );
    expect(said(`${routes}    handler: d\n`)).toBe(
      'c.yaml:5: routes[2].handler: expected a file, got "d" (a directory)',
    );
    expect(said('root: .\n\ninventory: x\n')).toBe('c.yaml:3: inventory: expected a file, got "x" (ENOENT)');
    expect(said('root: .\ninventory: t\n', { inventory: join(root, 'y') })).toBe(
      '--inventory: expected a file, got "y" (ENOENT)',
    );
  });
});
