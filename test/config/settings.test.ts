/** The table of settings: the files that are made from it, and its schema against the check of the config file. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { PAGE_FILE, SCHEMA_FILE, schemaText, withSettings } from '../../scripts/settings-texts.ts';
import { readConfig } from '../../src/config/config-file.ts';
import { defaultOf, writtenDefault } from '../../src/config/setting.ts';
import { SETTING_LIST } from '../../src/config/settings.ts';
import { blocks, read } from '../support/pages.ts';
import { folder } from '../support/reveille.ts';

type Schema = Parameters<typeof z.fromJSONSchema>[0];

/** Zod needs a type beside `required`, which JSON Schema does not. */
const checked = z.fromJSONSchema(
  JSON.parse(schemaText(), (_, value: unknown): unknown => {
    if (typeof value !== 'object' || value === null || Object.keys(value).join() !== 'required') return value;
    const { required } = value as { required: string[] };
    return { type: 'object', properties: Object.fromEntries(required.map((key) => [key, {}])), required };
  }) as Schema,
);

function schemaTakes(yaml: string): boolean {
  return checked.safeParse(parse(yaml)).success;
}

function serverTakes(yaml: string): boolean {
  const file = join(folder(), 'c.yaml');
  writeFileSync(file, yaml);
  try {
    readConfig(file);
    return true;
  } catch {
    return false;
  }
}

describe('the settings', () => {
  it('are in the schema and on the page as they are made', () => {
    // `npm run settings` updates the files.
    expect(read(SCHEMA_FILE)).toBe(schemaText());
    expect(read(PAGE_FILE)).toBe(withSettings(read(PAGE_FILE)));
  });

  it('have defaults that can be written and are read back the same', () => {
    const given = SETTING_LIST.filter((setting) => defaultOf(setting) !== undefined);
    expect(given.length).toBeGreaterThan(30);
    for (const setting of given) {
      expect([setting.key, setting.kind.read(writtenDefault(setting))]).toEqual([setting.key, defaultOf(setting)]);
    }
  });

  it('say their unit in their name in code, and nothing else that their key does not say', () => {
    const renamed = SETTING_LIST.filter(({ name, key }) => name !== key).map(({ name, key }) => `${key}: ${name}`);
    expect(renamed).toEqual([
      'memoryLimit: memoryLimitBytes',
      'patience: patienceMs',
      'minRate: minBytesPerSecond',
      'pinIdle: pinIdleMs',
      'pinCap: pinCapMs',
      'gcEvery: gcEveryMs',
      'gcGrace: gcGraceMs',
      'renderTimeout: renderTimeoutMs',
      'drain: drainMs',
    ]);
    const times = SETTING_LIST.filter(({ kind }) => kind.placeholder === 'TIME').map(({ name }) => name);
    expect(times.filter((name) => !name.endsWith('Ms'))).toEqual([]);
  });
});

describe('the schema of the config file', () => {
  it.each([
    ...blocks('docs/configuration.md', 'yaml'),
    read('examples/rack.yaml'),
    '# only comments\n',
    'workers: "3"\nsessions: 7\n',
    'cacheBytes: 1048576\ngcEvery: 0\ngcGrace: "0"\ndrain: 1.5 s\n',
    'admin: false\nlisten: 127.0.0.1:6969\nmaxBlksize: 1428\n',
    'maxBlksize: ["1428", 192.0.2.0/24=512]\nclients: []\n',
    'stageZero: [7, a*]\ninventory: 7\n',
    'routes: [{match: a, template: 7, when: {rack: 7, spare: true}, timeout: 5s, maxBytes: 65536}]\n',
  ])('takes what the server takes: %.40j', (yaml) => {
    expect([serverTakes(yaml), schemaTakes(yaml)]).toEqual([true, true]);
  });

  it.each([
    'worker: 3\n',
    'workers: 0\n',
    'workers: 1.5\n',
    'workers: [1]\n',
    'workers:\n',
    'engine: fast\n',
    'dataPorts: 1\n',
    'immutable: yes\n',
    'cacheBytes: 2GB\n',
    'memoryLimit: 1\n',
    'patience: 0\n',
    'drain: 30\n',
    'clients: {a: b}\n',
    'maxBlksize: 7\n',
    'root: ""\n',
    'trustedRoots: [""]\n',
    'stageZero: /a\n',
    'admin: true\n',
    'listen: []\n',
    'apiToken: short\n',
    'routes: x\n',
    'routes: [{match: a}]\n',
    'routes: [{match: a, empty: true, refuse: b}]\n',
    'routes: [{match: a, template: b, timeout: 5}]\n',
    'routes: [{match: a, template: b, when: {rack: [1]}}]\n',
    'routes: [{match: "", empty: true}]\n',
    'routes: [{match: a, templat: b}]\n',
  ])('turns down what the server turns down: %j', (yaml) => {
    expect([serverTakes(yaml), schemaTakes(yaml)]).toEqual([false, false]);
  });
});
