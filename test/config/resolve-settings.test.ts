/** The settings of a server: flags over the config file over the defaults, and what must go together. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveSettings } from '../../src/config/resolve-settings.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { folder } from '../support/reveille.ts';

describe('the settings of a run', () => {
  it('are flags over the config file over the defaults', () => {
    const root = folder();
    const file = join(root, 'c.yaml');
    writeFileSync(file, 'root: .\nworkers: 3\nsessions: 50\n');
    const settings = resolveSettings({ workers: 5, sessions: undefined }, file);
    expect(settings).toMatchObject({ root, workers: 5, sessions: 50, queue: 65_536, maxBlksize: [] });
  });

  it('take a root of the config file from beside the file, and ROOT from the command line over it', () => {
    const root = folder();
    mkdirSync(join(root, 'a'));
    mkdirSync(join(root, 'b'));
    writeFileSync(join(root, 'c.yaml'), 'root: a\n');
    expect(resolveSettings({}, join(root, 'c.yaml')).root).toBe(join(root, 'a'));
    expect(resolveSettings({ root: join(root, 'b') }, join(root, 'c.yaml')).root).toBe(join(root, 'b'));
  });

  it('may have a store instead of a root, or both', () => {
    const root = folder();
    expect(resolveSettings({ store: root }, undefined)).toMatchObject({ root: undefined, store: root });
    expect(resolveSettings({ store: join(root, 'x') }, undefined).store).toBe(join(root, 'x'));
    expect(() => resolveSettings({}, undefined)).toThrow(/got neither ROOT nor --store nor/);
  });

  it('accept missing folders for links, and report a path that is not a folder', () => {
    const root = folder();
    mkdirSync(join(root, 'mirror'));
    symlinkSync('mirror', join(root, 'current'));
    const file = join(root, 'c.yaml');
    writeFileSync(file, 'root: .\ntrustedRoots: current\n');
    expect(resolveSettings({}, file).trustedRoots).toEqual([join(root, 'current')]);
    const flags = { trustedRoots: [join(root, 'mirror'), join(root, 'x')] };
    expect(resolveSettings(flags, file).trustedRoots).toEqual(flags.trustedRoots);
    writeFileSync(file, 'root: .\ntrustedRoots: [current, c.yaml]\n');
    expect(() => resolveSettings({}, file)).toThrow(
      /c\.yaml:2: trustedRoots: expected a directory, got .*, which is not one$/,
    );
  });

  it('take the token of the API from a file', () => {
    const root = folder();
    const file = join(root, 'token');
    writeFileSync(file, '0123456789abcdef\n');
    expect(resolveSettings({ root, apiTokenFile: file }, undefined).apiToken).toBe('0123456789abcdef');
    writeFileSync(file, 'short\n');
    expect(() => resolveSettings({ root, apiTokenFile: file }, undefined)).toThrow(/expected a token of 16 to 256/);
    expect(() => resolveSettings({ root, apiTokenFile: root }, undefined)).toThrow(/got EISDIR$/);
  });

  it('need a list of clients, and no other ports, for a server with one port', () => {
    const root = folder();
    const file = join(root, 'c.yaml');
    writeFileSync(file, 'root: .\nsinglePort: true\n');
    expect(() => resolveSettings({}, file)).toThrow(
      /c\.yaml:2: singlePort: expected clients, a list of networks, with it, got none$/,
    );
    expect(() => resolveSettings({ root, singlePort: true }, undefined)).toThrow(/^--single-port: expected clients/);
    const clients = ['192.0.2.0/24'];
    expect(resolveSettings({ clients }, file)).toMatchObject({ singlePort: true, clients });
    const both = (): unknown => resolveSettings({ clients, dataPorts: { from: 2000, to: 2999 } }, file);
    expect(both).toThrow(/^--data-ports: expected none with singlePort, got 2000-2999$/);
  });

  it('need a root that is a directory, and name the source of a mistake', () => {
    const root = folder();
    const file = join(root, 'c.yaml');
    writeFileSync(file, 'workers: 1\nroot: c.yaml\n');
    expect(() => resolveSettings({}, undefined)).toThrow(/expected a directory to serve, got neither/);
    expect(() => resolveSettings({}, file)).toThrow(/c\.yaml:2: root: expected a directory, got .*, which is not one$/);
    expect(() => resolveSettings({ root: join(file, 'x') }, undefined)).toThrow(/^ROOT: .*, which is not one$/);
    // A root that is missing is accepted because it may appear later, for example on a disk that is still to be
    // mounted.
    expect(resolveSettings({ root: join(root, 'x/y') }, undefined).root).toBe(join(root, 'x/y'));
  });

  it('have defaults that are themselves allowed', () => {
    const { admin, ...settings } = resolveSettings({ root: folder() }, undefined);
    expect(admin).toEqual({ address: '127.0.0.1', port: 6970 });
    expect(SETTINGS.workers.kind.read(settings.workers)).toBe(settings.workers);
    expect(settings).toMatchObject({ cacheBytes: 2 ** 31, sessions: 10_000, drainMs: 30_000, maxWindowsize: 64 });
  });

  it('need a store for pins, and pins for channels that are promoted', () => {
    const root = folder();
    const [store, file] = [join(root, 'store'), join(root, 'c.yaml')];
    expect(() => resolveSettings({ root, pins: 'redis://x' }, undefined)).toThrow('--pins: expected a store as well');
    writeFileSync(file, 'follow: [{channel: a, from: "oci://registry.example/boot", move: promoted}]\n');
    expect(() => resolveSettings({ store }, file)).toThrow(
      'c.yaml:1: follow: expected pins as well, because a channel has "move: promoted"',
    );
    expect(resolveSettings({ store, pins: 'redis://x' }, file)).toMatchObject({
      pins: 'redis://x',
      pinsPrefix: 'reveille',
    });
  });

  it('need a store for channels that follow a registry', () => {
    const root = folder();
    const file = join(root, 'c.yaml');
    writeFileSync(file, 'root: .\nfollow: [{channel: a, from: "oci://registry.example/boot"}]\n');
    expect(() => resolveSettings({}, file)).toThrow(/c\.yaml:2: follow: expected a store as well/);
    expect(resolveSettings({ store: join(root, 'store') }, file).follow).toMatchObject([{ channel: 'a' }]);
  });
});
