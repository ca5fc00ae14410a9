import { describe, expect, it } from 'vitest';
import { InterfaceNames } from '../../../src/boot-set/node/interface-names.ts';
import type { Interfaces } from '../../../src/boot-set/node/neighbours.ts';

function own(address: string, prefix: number, internal = false): NonNullable<Interfaces[string]>[number] {
  const common = { address, netmask: '', mac: '', internal, cidr: `${address}/${prefix}` };
  return address.includes(':') ? { ...common, family: 'IPv6', scopeid: 0 } : { ...common, family: 'IPv4' };
}

describe('the interface of an address of ours', () => {
  it('is the one that has the address, whatever the networks of the others', () => {
    const interfaces: Interfaces = {
      lo: [own('127.0.0.1', 8, true), own('::1', 128, true)],
      eth0: [own('192.0.2.1', 24), own('2001:db8::1', 64)],
      eth1: [own('192.0.2.2', 24), own('198.51.100.1', 24)],
      down: undefined,
    };
    const names = new InterfaceNames(
      () => 0,
      () => interfaces,
    );
    const addresses = ['127.0.0.1', '127.9.9.9', '::1', '192.0.2.1', '192.0.2.2', '198.51.100.1', '2001:0db8::0001'];
    expect(addresses.map((address) => names.of(address))).toEqual(['lo', 'lo', 'lo', 'eth0', 'eth1', 'eth1', 'eth0']);
    expect(names.of('fe80::1%eth7')).toBe('eth7');
    expect(['192.0.2.3', '2001:db8::2', 'nonsense'].map((address) => names.of(address))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('is looked up at most once a second, and found when it appears', () => {
    let [now, reads] = [0, 0];
    let interfaces: Interfaces = {};
    const names = new InterfaceNames(
      () => now,
      () => {
        reads++;
        return interfaces;
      },
    );
    for (let time = 0; time < 100; time++) expect(names.of('192.0.2.1')).toBeUndefined();
    interfaces = { eth0: [own('192.0.2.1', 24)] };
    now = 999;
    expect(names.of('192.0.2.1')).toBeUndefined();
    expect(reads).toBe(1);
    now = 1000;
    expect(names.of('192.0.2.1')).toBe('eth0');
    // The interfaces are read again even after the clock was set back.
    interfaces = {};
    now = -5000;
    expect(names.of('192.0.2.1')).toBeUndefined();
  });
});
