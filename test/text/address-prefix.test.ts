import { expect, it } from 'vitest';
import { prefixOf } from '../../src/text/address-prefix.ts';

it.each([
  ['10.1.2.3', '10.1.2.254', '10.1.3.3'],
  ['2001:db8::1', '2001:db8:0:0:ffff::9', '2001:db8:0:1::1'],
  ['::1', '::2:3:4:5', '1::1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::', '2001:db8:1:3::'],
  ['fe80::1%eth0', 'fe80::2%eth0', 'fe80::1%eth1'],
  ['::ffff:10.0.0.1', '::ffff:10.0.0.2', '::ffff:10.0.1.1'],
])('%s is in the same network as %s, but not as %s', (address, neighbour, stranger) => {
  expect(prefixOf(address)).toBe(prefixOf(neighbour));
  expect(prefixOf(address)).not.toBe(prefixOf(stranger));
});
