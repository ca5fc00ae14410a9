import { describe, expect, it } from 'vitest';
import { maxBlksizeOf, mayAsk, publicAddress } from '../../src/daemon/client-networks.ts';

describe('who may ask', () => {
  it('is everybody if no network is configured', () => {
    expect(mayAsk([])('203.0.113.9')).toBe(true);
  });

  it('is every address in one of the networks, whatever its interface', () => {
    const may = mayAsk(['10.0.0.0/8', 'fe80::/10']);
    expect(['10.1.2.3', 'fe80::1%eth0', '11.0.0.1', '2001:db8::1'].map(may)).toEqual([true, true, false, false]);
  });
});

describe('the largest blksize of a client', () => {
  const of = maxBlksizeOf([
    { network: undefined, blksize: 4000 },
    { network: '2001:db8:5::/48', blksize: 1300 },
    { network: '2001:db8::/32', blksize: 1400 },
    { network: '2001:db8:6::/48', blksize: 1300 },
    { network: '10.0.0.0/8', blksize: 1200 },
    { network: '10.0.0.7', blksize: 512 },
    { network: '10.0.0.0/8', blksize: 1100 },
  ]);

  it.each([
    ['2001:db8:5::9', 1300],
    ['2001:db8:6::9', 1300],
    ['2001:db8:7::9', 1400],
    ['10.0.0.7', 512],
    ['10.0.0.8', 1100],
    ['192.0.2.1', undefined],
    ['fe80::1%eth0', undefined],
  ])('is that of the smallest network with %s: %s', (address, blksize) => {
    expect(of(address)).toBe(blksize);
  });
});

describe('an address of the Internet', () => {
  const PRESENT = [
    { address: '10.0.0.1', family: 4, mtu: 1500, isLoopback: false },
    { address: '8.8.8.8', family: 4, mtu: 1500, isLoopback: false },
    { address: 'fe80::1%eth0', family: 6, mtu: 1500, isLoopback: false },
  ] as const;

  it.each([
    [['127.0.0.1', '192.168.1.1'], undefined],
    [['0.0.0.0'], '8.8.8.8'],
    [['::'], undefined],
    [['10.0.0.1', '2606:4700::1'], '2606:4700::1'],
  ])('among %j is %j', (listening, found) => {
    const addresses = listening.map((address) => ({ address, port: 69 }));
    expect(publicAddress(addresses, [...PRESENT])).toBe(found);
  });
});
