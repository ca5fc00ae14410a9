/** The inventory: accepted syntax, merged nodes, errors with their places, and the time to read ten thousand nodes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { array, assert, boolean, constantFrom, oneof, property, string, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDocument, stringify } from 'yaml';
import { NodeInventory } from '../../src/render/inventory.ts';
import { readInventory } from '../../src/render/inventory-file.ts';
import { readPlainMap } from '../../src/render/plain-yaml.ts';
import { isSameKey, keepText } from '../../src/text/yaml-place.ts';
import { CAMPAIGN } from '../support/content.ts';
import { temporaryFolder } from '../content/fixture.ts';

/** Number of random maps. */
const RUNS = CAMPAIGN ? 50_000 : 5000;

function read(text: string, name = 'nodes.yaml'): NodeInventory {
  const file = join(temporaryFolder(), name);
  writeFileSync(file, text);
  return new NodeInventory(readInventory(file));
}

/** Result of the full parser, or its error. */
function readFully(lines: readonly string[]): unknown {
  try {
    const document = parseDocument(lines.join('\n'), { uniqueKeys: isSameKey });
    if (document.errors[0] !== undefined) throw document.errors[0];
    keepText(document.contents, ([key]) => key !== 'vars');
    return document.toJS();
  } catch (error) {
    return error;
  }
}

const RACK = `
profiles:
  worker: { channel: ubuntu, args: quiet, labels: { role: worker }, vars: { disk: /dev/sda } }
groups:
  - name: rack-1
    select: { rack: 'r1*' }
    args: console=ttyS0
    labels: { room: a }
  - name: canary
    select: { role: worker, name: n1 }
    channel: next
nodes:
  # The first of the rack.
  - name: n1
    mac: 52-54-00-00-00-01
    uuid: 4C4C4544-0051-3010-8052-B4C04F4A4D31
    serial: 9FFEFDEF
    address: [10.0.0.1, 'fd00::1']
    profile: worker
    labels: { rack: r12, slot: 3 }
    args: hostname=n1
    vars:
      disk: /dev/nvme0n1
      roles: [a, b]
  - name: n2
    mac: ['52:54:00:00:00:02', '525400000003']
    labels: { rack: r2 }
`;

describe('an inventory', () => {
  it('finds a node by each of its names', () => {
    const inventory = read(RACK);
    for (const id of ['mac:52:54:00:00:00:01', 'uuid:4c4c4544-0051-3010-8052-b4c04f4a4d31', 'serial:9ffefdef']) {
      expect(inventory.find(id)?.name).toBe('n1');
    }
    expect(inventory.find('ip:fd00::1')?.name).toBe('n1');
    expect(inventory.find('mac:52:54:00:00:00:03')?.name).toBe('n2');
    expect(inventory.find('mac:52:54:00:00:00:04')).toBeUndefined();
    expect(inventory.labelsOf('ip:10.0.0.1')).toEqual({ role: 'worker', room: 'a', rack: 'r12', slot: '3' });
    expect([inventory.size, [...inventory.nodes()].length]).toEqual([2, 2]);
  });

  it('gives a node the values of its profile, then of its groups, then its own', () => {
    const node = read(RACK).named('n1')!;
    expect(node).toMatchObject({
      channel: 'next',
      args: 'quiet console=ttyS0 hostname=n1',
      groups: ['rack-1', 'canary'],
    });
    expect(node.vars).toEqual({ disk: '/dev/nvme0n1', roles: ['a', 'b'] });
  });

  it('may be empty, or JSON', () => {
    expect(read('').size).toBe(0);
    expect(read('nodes: []').size).toBe(0);
    expect(read('{"nodes":[{"name":"a","address":"10.0.0.1"}]}', 'nodes.json').find('ip:10.0.0.1')?.name).toBe('a');
  });

  it('may need the full parser', () => {
    const inventory = read(
      'base: &a { rack: r1 }\nnodes:\n  - name: "a"\n    labels: *a\n'.replace('base:', 'profiles:\n  x:\n    labels:'),
    );
    expect(inventory.named('a')?.labels).toEqual({ rack: 'r1' });
    expect(read('nodes:\n  - name: a\n    args: |-\n      one\n').named('a')?.args).toBe('one');
  });

  it.each([
    [
      'nodes:\n  - name: a\n  - name: b\n    mac: 52-54-00-00-00\n',
      ':4: mac: expected the MAC of one machine, got "52-54-00-00-00"',
    ],
    ['nodes:\n  - name: a\n    mca: x\n', ':3: mca: expected a known key (did you mean mac?), got an unknown key'],
    ['nodes:\n  - mac: 52-54-00-00-00-01\n', ':2: name: expected text in quotes, got nothing'],
    [
      'nodes:\n  - name: a\n    uuid: 03000200-0400-0500-0006-000700080009\n',
      ':3: uuid: expected the UUID of one machine',
    ],
    [
      'nodes:\n  - name: a\n    profile: x\n',
      ':3: profile: expected none, since the inventory declares no profiles, got "x"',
    ],
    [
      'nodes:\n  - name: a\n    address: 10.0.0.1\n  - name: b\n    address: 10.0.0.1\n',
      ':4: ip 10.0.0.1 already belongs to a',
    ],
    ['nodes:\n  - name: a\n    args: "a\\nb"\n', ':3: args: expected one line, got "a'],
    ['nodes:\n  - name: a\n   x: [\n', ':3: '],
    ['node: []\n', ':1: node: expected a known key (did you mean nodes?), got an unknown key'],
    ['nodes:\n  - name: a\n    colour: red\n', ':3: colour: expected a key of name, mac, uuid, '],
    ['nodes: { name: a }\n', ':1: nodes: expected a list, got a map'],
    ['- name: a\n', ':1: inventory: expected a map, got [a map]'],
    ['nodes:\n  - a\n', ':2: nodes[1]: expected a map, got "a"'],
    ['profiles: [a]\n', ':1: profiles: expected a map, got ["a"]'],
    ['profiles:\n  "a b": {}\n', ':2: profiles.a b: expected words as keys, got a map'],
    ['groups:\n  - name: a\n    select: rack\n', ':3: groups[1].select: expected a map, got "rack"'],
    ['nodes:\n  - name: a\n    mac: { b: c }\n', ':3: mac: expected text in quotes, got a map'],
    [
      `nodes:\n  - name: a\n    address: [${Array.from({ length: 65 }, (_, at) => `10.0.0.${at}`).join(', ')}]\n`,
      ':3: address: expected at most 64 in the list, got a list of 65',
    ],
  ])('says where it is wrong: %j', (text, message) => {
    expect(() => read(text)).toThrow(message);
  });

  it('keeps serials 00001234 and 100000e3 as they are written: names are the text in the file', () => {
    const names = ['00001234', '100000e3', '0x1F', '0o17', '1.10', '1_000', 'no', 'on', 'Null', 'True', '2026-11-30'];
    const one = (name: string): string => `
  - name: ${name}
    serial: ${name}
    channel: ${name}
    arch: ${name}
    args: ${name}
    profile: ${name}
    labels: { rack: ${name}, ${name}: a }
    vars: { firmware: ${name} }`;
    const profiles = names.map((name) => `\n  ${name}: { labels: { kind: ${name} } }`).join('');
    const groups = names.map((name) => `\n  - { name: ${name}, select: { rack: ${name} } }`).join('');
    const plain = `profiles:${profiles}\ngroups:${groups}\nnodes:${names.map(one).join('')}\n`;
    // A document end marker requires the full parser. YAML 1.1 has more forms of numbers and truth values, and has
    // dates.
    const texts = [plain, `${plain}...\n`, `%YAML 1.1\n---\n${plain}`];
    for (const text of texts) {
      const inventory = read(text);
      for (const name of names) {
        const node = inventory.find(`serial:${name.toLowerCase()}`)!;
        const { channel, arch, args, profile, groups: of, labels } = node;
        expect([node.name, channel, arch, args, profile, ...of, labels['rack'], labels['kind']]).toEqual(
          Array.from({ length: 8 }, () => name),
        );
        expect(labels[name]).toBe('a');
      }
      // Templates also print a number or a date as it is written in the file.
      const printed = names.filter((name) => /[0-9]/.test(name));
      expect(printed.map((name) => inventory.named(name)!.vars['firmware'])).toEqual(printed);
    }
    expect(read('nodes:\n  - name: a\n    vars: { slots: 4, spare: 1.5, on: true }').named('a')?.vars).toEqual({
      slots: 4,
      spare: 1.5,
      on: true,
    });
  });

  it('has a node by its UUID in either order of bytes, and by the GUID of its InfiniBand port', () => {
    const uuid = '7DE9B665-EA68-935A-906F-433F867B7748';
    const inventory = read(`nodes:\n  - name: a\n    uuid: ${uuid}\n    mac: 00-02-c9-03-00-0b-8c-a1\n`);
    for (const spelled of [uuid.toLowerCase(), '65b6e97d-68ea-5a93-906f-433f867b7748']) {
      expect(inventory.find(`uuid:${spelled}`)?.name).toBe('a');
    }
    // The node keeps the byte order of the UUID in the file.
    expect(inventory.named('a')?.uuid).toBe(uuid.toLowerCase());
    expect(inventory.find('mac:00:02:c9:03:00:0b:8c:a1')?.name).toBe('a');
    const twice = `nodes:\n  - name: a\n    uuid: ${uuid}\n  - name: b\n    uuid: 65b6e97d-68ea-5a93-906f-433f867b7748\n`;
    expect(() => read(twice)).toThrow(':4: uuid 65b6e97d-68ea-5a93-906f-433f867b7748 already belongs to a');
  });

  it('gives a node by a MAC or an address that YAML takes for a number', () => {
    expect(read('nodes:\n  - name: a\n    mac: 525400123456\n').find('mac:52:54:00:12:34:56')?.name).toBe('a');
    const sexagesimal = '%YAML 1.1\n---\nnodes:\n  - name: a\n    mac: 10:20:30:40:50:10\n';
    expect(read(sexagesimal).find('mac:10:20:30:40:50:10')?.name).toBe('a');
  });

  it.each(['"serial": 100000e3', '"labels": { "release": 1.0 }', '"labels": { "secure": true }', '"name": 7'])(
    'of JSON wants names in quotes: %s',
    (entry) => {
      expect(() => read(`{"nodes":[{"name":"a",${entry}}]}`, 'nodes.json')).toThrow('expected text in quotes');
    },
  );

  it('changes no prototype', () => {
    read('nodes:\n  - name: a\n    vars: { __proto__: { x: 1 } }\n    labels:\n      __proto__: b\n');
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it('of 10,000 nodes is read within a second', () => {
    const file = join(temporaryFolder(), 'nodes.yaml');
    let text = 'profiles:\n  w: { args: quiet }\ngroups:\n  - { name: g, select: { rack: r7 }, args: x }\nnodes:\n';
    for (let node = 0; node < 10_000; node++) {
      const hex = node.toString(16).padStart(4, '0');
      text += `  - name: node${node}\n    mac: 52:54:00:00:${hex.slice(0, 2)}:${hex.slice(2)}\n`;
      text += `    uuid: 4c4c4544-1111-2222-3333-00000000${hex}\n    serial: SN${node}\n    address: 10.1.${node >> 8}.${node & 255}\n`;
      text += `    profile: w\n    labels: { rack: r${node % 100}, role: worker }\n    args: console=ttyS0\n    vars:\n      disk: /dev/sda\n`;
    }
    writeFileSync(file, text);
    // Processor time, best of three tries, so that other load does not matter.
    const usedMs = (): number => process.cpuUsage().user / 1000;
    const tries = Array.from({ length: 3 }, () => {
      const before = usedMs();
      const packed = readInventory(file);
      const readMs = usedMs() - before;
      const inventory = new NodeInventory(packed);
      expect(inventory.find('mac:52:54:00:00:27:0f')?.name).toBe('node9999');
      return { readMs, takenMs: usedMs() - before - readMs };
    });
    expect(Math.min(...tries.map(({ readMs }) => readMs))).toBeLessThan(1000);
    expect(Math.min(...tries.map(({ takenMs }) => takenMs))).toBeLessThan(100);
  });
});

describe('plain YAML', () => {
  const scalar = oneof(
    string({ unit: constantFrom(...'abz019.:-+_/ #,{}[]~&*!|>%@`"\'=xeEoTrue'.split('')), maxLength: 8 }),
    constantFrom(
      '1e3',
      '0x1f',
      '0o17',
      '.5',
      '1.5',
      '-1',
      '+1',
      '.inf',
      '-.inf',
      '.nan',
      'null',
      'true',
      '~',
      '52:54:00',
      '1:2',
      '00',
      '12e03',
      '1_000',
    ),
  );

  it('has the same meaning as with the full parser', () => {
    assert(
      property(
        array(tuple(constantFrom('a', 'b', 'c-d', 'e_1', 'vars', 'null', 'True'), scalar), {
          minLength: 1,
          maxLength: 4,
        }),
        (pairs) => {
          const lines = pairs.map(([key, value]) => `  ${key}: ${value}`);
          const full = readFully(lines);
          expect(readPlainMap(lines) ?? full).toEqual(full);
        },
      ),
      { numRuns: RUNS },
    );
  });

  it('has the same meaning in flow style and in nested maps', () => {
    assert(
      property(array(scalar, { maxLength: 3 }), boolean(), constantFrom('a', 'vars'), (values, isList, top) => {
        const text = isList
          ? `[${values.join(', ')}]`
          : `{ ${values.map((value, at) => `k${at}: ${value}`).join(', ')} }`;
        const lines = [`${top}:`, `  b: ${text}`, '  c:', '    d: x'];
        const full = readFully(lines);
        expect(readPlainMap(lines) ?? full).toEqual(full);
      }),
      { numRuns: RUNS },
    );
  });

  it('covers files that are written by hand', () => {
    const node = {
      name: 'n1',
      mac: '52:54:00:00:00:01',
      labels: { rack: 'r1' },
      args: 'console=ttyS0,115200n8 a=b',
      vars: { port: 8080 },
    };
    expect(readPlainMap(stringify(node).trimEnd().split('\n'))).toEqual(node);
  });
});
