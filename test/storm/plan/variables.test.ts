import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  checkTemplate,
  expand,
  hasVariables,
  MAX_NODES,
  nodeVariables,
  VARIABLES,
} from '../../../src/storm/plan/variables.ts';

const node = nodeVariables(0x01ab2c, '192.168.10.5');

describe('variables', () => {
  it.each([
    ['n', '109356'],
    ['ip', '192.168.10.5'],
    ['hexip', 'C0A80A05'],
    ['hexip7', 'C0A80A0'],
    ['hexip1', 'C'],
    ['mac', '52-54-00-01-ab-2c'],
    ['mac:', '52:54:00:01:ab:2c'],
    ['machex', '52540001ab2c'],
    ['MAC', '52-54-00-01-AB-2C'],
    ['MAC:', '52:54:00:01:AB:2C'],
    ['MACHEX', '52540001AB2C'],
  ])('{%s} of node 109356 at 192.168.10.5 is %s', (name, value) => {
    expect(expand(`{${name}}`, node)).toBe(value);
  });

  it('give every node a UUID of RFC 4122 and a serial of its own, the same each time', () => {
    const seen = { uuid: new Set<string>(), serial: new Set<string>() };
    for (let number = 1; number <= 10_000; number++) {
      const variables = nodeVariables(number, '127.0.0.1');
      const uuid = variables.get('uuid')!;
      const serial = variables.get('serial')!;
      expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(serial).toMatch(/^[0-9a-f]{8}$/);
      seen.uuid.add(uuid);
      seen.serial.add(serial);
    }
    expect(seen.uuid.size).toBe(10_000);
    expect(seen.serial.size).toBe(10_000);
    expect(nodeVariables(7, '127.0.0.1').get('uuid')).toBe(nodeVariables(7, '::1').get('uuid'));
  });

  it.each([
    ['::1', '00000000000000000000000000000001'],
    ['fe80::12:3%eth0', 'FE800000000000000000000000120003'],
    ['2001:db8::', '20010DB8000000000000000000000000'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ])('an IPv6 address has 32 digits: %s', (address, digits) => {
    expect(nodeVariables(1, address).get('hexip')).toBe(digits);
    expect(nodeVariables(1, address).get('hexip3')).toBe(digits.slice(0, 3));
  });

  it('are those of the documentation, with its examples', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../docs/storm-profiles.md'), 'utf8');
    const rows = page.slice(page.indexOf('\n## Variables\n')).matchAll(/^\| `\{(.+)\}` \| (.+) \| `(.+)` \|$/gm);
    expect([...rows].map(([, name, about, example]) => [name, about, example])).toEqual(
      [...VARIABLES].map(([name, { about }]) => [name, about, nodeVariables(10, '192.168.10.5').get(name)]),
    );
  });

  it('support no more nodes than there are MACs', () => {
    expect(nodeVariables(MAX_NODES - 1, '127.0.0.1').get('mac')).toBe('52-54-00-ff-ff-ff');
    for (const number of [-1, 1.5, MAX_NODES]) expect(() => nodeVariables(number, '127.0.0.1')).toThrow(RangeError);
  });
});

describe('templates', () => {
  it('may hold several variables and text between', () => {
    expect(expand('{ip}/cfg-{hexip2}.{n}', node)).toBe('192.168.10.5/cfg-C0.109356');
    expect(expand('boot/größe', node)).toBe('boot/größe');
    expect(hasVariables('boot/linux')).toBe(false);
    expect(hasVariables('boot/{n}')).toBe(true);
  });

  it('with an unknown variable name it and the known ones', () => {
    const wrong = checkTemplate('boot/{host}/{n}');
    expect(wrong).toMatch(/^a variable of \{n\}, \{ip\}, .*\{serial\} for \{host\}$/);
    expect(wrong).not.toContain('\n');
    expect(checkTemplate('boot/{}')).toMatch(/ for \{\}$/);
    expect(() => expand('{host}', node)).toThrow('got {host}');
  });

  it.each(['{n', 'n}', '{n}}', '{{n}}'])('with a brace astray are turned down: %s', (template) => {
    expect(checkTemplate(template)).toBe('each { with its }');
  });

  it('must not be empty or hold a NUL', () => {
    expect(checkTemplate('')).toBe('a file name');
    expect(checkTemplate('a\0b')).toBe('a file name');
    expect(checkTemplate('\\Boot\\BCD')).toBeUndefined();
  });
});
