/** Leases and neighbors: the contents of their files, and when the files are read. */
import { rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type AddressTable, AddressTables } from '../../../src/boot-set/node/address-tables.ts';
import { DhcpLeases, parseLeases } from '../../../src/boot-set/node/dhcp-leases.ts';
import { Neighbours, parseNeighbours } from '../../../src/boot-set/node/neighbours.ts';
import type { NodeId } from '../../../src/boot-set/node/node-identity.ts';
import { VirtualClock } from '../../../src/engine/virtual-clock.ts';
import { temporaryFolder } from '../../content/fixture.ts';

const NOW_S = 1_700_000_000;
const MAC1 = 'mac:52:54:00:00:00:01';
const MAC2 = 'mac:52:54:00:00:00:02';

describe('a lease file', () => {
  it('of dnsmasq', async () => {
    const text = [
      `${NOW_S + 60} 52:54:00:00:00:01 192.0.2.10 node1 01:52:54:00:00:00:01`,
      `0 52:54:00:00:00:02 192.0.2.11 * *`,
      `${NOW_S - 60} 52:54:00:00:00:03 192.0.2.12 * *`,
      `${NOW_S + 60} 06-52:54:00:00:00:02 192.0.2.13 * *`,
      `${NOW_S + 60} 20-80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0b:8c:a1 192.0.2.14 * *`,
      'duid 00:01:00:01:2a:2a:2a:2a:52:54:00:00:00:01',
      `${NOW_S + 60} 1234567 2001:db8::10 node1 00:01:00:01`,
      'nonsense',
      '',
    ].join('\n');
    expect([...(await parseLeases(text, NOW_S))]).toEqual([
      ['192.0.2.10', MAC1],
      ['192.0.2.11', MAC2],
      ['192.0.2.13', MAC2],
      // An InfiniBand address is known by the GUID of its port.
      ['192.0.2.14', 'mac:00:02:c9:03:00:0b:8c:a1'],
    ]);
  });

  it('of Kea, where later lines replace earlier ones', async () => {
    const text = [
      'address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id',
      `192.0.2.10,52:54:00:00:00:01,,3600,${NOW_S + 60},1,0,0,,0,,0`,
      `192.0.2.11,52:54:00:00:00:01,,3600,${NOW_S + 60},1,0,0,,0,,0`,
      `192.0.2.11,52:54:00:00:00:02,,3600,${NOW_S + 90},1,0,0,,0,,0`,
      `192.0.2.12,52:54:00:00:00:03,,3600,${NOW_S - 1},1,0,0,,0,,0`,
      `192.0.2.13,52:54:00:00:00:03,,3600,${NOW_S + 60},1,0,0,,1,,0`,
      `192.0.2.14,,,3600,${NOW_S + 60},1,0,0,,0,,0`,
    ].join('\n');
    expect([...(await parseLeases(text, NOW_S))]).toEqual([
      ['192.0.2.10', MAC1],
      ['192.0.2.11', MAC2],
    ]);
  });

  it('is read again when it has changed, and may disappear', async () => {
    const path = join(temporaryFolder(), 'leases');
    writeFileSync(path, '0 52:54:00:00:00:01 192.0.2.10 * *\n');
    const file = new DhcpLeases(path, () => NOW_S * 1000);
    const first = await file.read();
    expect(first.get('192.0.2.10')).toBe(MAC1);
    expect(await file.read()).toBe(first);
    writeFileSync(path, '0 52:54:00:00:00:02 192.0.2.10 * *\n0 52:54:00:00:00:01 192.0.2.11 * *\n');
    expect((await file.read()).get('192.0.2.10')).toBe(MAC2);
    rmSync(path);
    await expect(file.read()).rejects.toThrow('ENOENT');
  });
});

describe('a lease file with times of whole seconds', () => {
  it('is read again while an edit in the same second could be hidden', async () => {
    const path = join(temporaryFolder(), 'leases');
    let now = NOW_S * 1000 + 300;
    const write = (mac: string): void => {
      writeFileSync(path, `0 ${mac} 192.0.2.10 * *\n`);
      utimesSync(path, NOW_S, NOW_S);
    };
    write('52:54:00:00:00:01');
    const file = new DhcpLeases(path, () => now);
    expect((await file.read()).get('192.0.2.10')).toBe(MAC1);
    write('52:54:00:00:00:02');
    now += 1000;
    expect((await file.read()).get('192.0.2.10')).toBe(MAC2);
    now += 2000;
    const settled = await file.read();
    expect(await file.read()).toBe(settled);
  });
});

describe('the table of neighbours', () => {
  const interfaces = {
    eth0: [
      { address: '192.0.2.1', netmask: '255.255.255.0', family: 'IPv4', mac: '', internal: false, cidr: null },
    ] as const,
  };

  it('counts only complete Ethernet entries on the link', () => {
    const text = [
      'IP address       HW type     Flags       HW address            Mask     Device',
      '192.0.2.10       0x1         0x2         52:54:00:00:00:01     *        eth0',
      '192.0.2.11       0x1         0x0         00:00:00:00:00:00     *        eth0',
      '192.0.2.12       0x20        0x2         52:54:00:00:00:02     *        eth0',
      '198.51.100.1     0x1         0x2         52:54:00:00:00:02     *        eth0',
      '192.0.2.13       0x1         0x2         52:54:00:00:00:02     *        eth1',
      '192.0.2.14       0x1         0x6         52:54:00:00:00:02     *        eth0',
      '',
    ].join('\n');
    expect([...parseNeighbours(text, interfaces)]).toEqual([
      ['192.0.2.10', MAC1],
      ['192.0.2.14', MAC2],
    ]);
  });

  it.runIf(process.platform === 'linux')('can be read here', async () => {
    await expect(new Neighbours().read()).resolves.toBeInstanceOf(Map);
  });
});

describe('tables', () => {
  function setUp(...tables: AddressTable[]) {
    const clock = new VirtualClock();
    const errors: unknown[] = [];
    return { clock, errors, tables: new AddressTables({ tables, clock, onUnreadable: (error) => errors.push(error) }) };
  }
  const of = (entries: [string, NodeId][]): AddressTable => ({ read: () => Promise.resolve(new Map(entries)) });

  it('are asked in turn', async () => {
    const { tables } = setUp(
      of([['192.0.2.10', MAC1]]),
      of([
        ['192.0.2.10', MAC2],
        ['192.0.2.11', MAC2],
      ]),
    );
    expect(await tables.find('192.0.2.10')).toBe(MAC1);
    expect(tables.find('192.0.2.11')).toBe(MAC2);
    expect(tables.find('192.0.2.12')).toBeUndefined();
  });

  it('are read once a second, and no known node waits for it', async () => {
    let reads = 0;
    const { clock, tables } = setUp({
      read: () => Promise.resolve(new Map([['192.0.2.10', reads++ === 0 ? MAC1 : MAC2]])),
    });
    expect(await tables.find('192.0.2.10')).toBe(MAC1);
    clock.run(999);
    expect([tables.find('192.0.2.10'), reads]).toEqual([MAC1, 1]);
    clock.run(1000);
    expect([tables.find('192.0.2.10'), reads]).toEqual([MAC1, 2]);
    expect(await tables.find('192.0.2.99')).toBeUndefined();
    expect(tables.find('192.0.2.10')).toBe(MAC2);
  });

  it('delay no reply for longer than a few milliseconds', async () => {
    const { clock, tables } = setUp({ read: () => new Promise(() => {}) });
    const answer = tables.find('192.0.2.10');
    clock.run(5);
    expect(await answer).toBeUndefined();
  });

  it('report once that a table cannot be read, and keep the previous entries', async () => {
    let fails = false;
    const table = {
      read: () => (fails ? Promise.reject(new Error('no')) : Promise.resolve(new Map([['192.0.2.10', MAC1]]))),
    };
    const { clock, errors, tables } = setUp(table);
    expect(await tables.find('192.0.2.10')).toBe(MAC1);
    fails = true;
    for (let second = 1; second <= 3; second++) {
      clock.run(second * 1000);
      await tables.find('192.0.2.99');
    }
    expect(errors).toHaveLength(1);
    expect(tables.peek('192.0.2.10')).toBe(MAC1);
  });
});
