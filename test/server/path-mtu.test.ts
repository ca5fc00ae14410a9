import { expect, it } from 'vitest';
import type { Address } from '../../src/engine/types.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import type { LocalAddress } from '../../src/server/addresses.ts';
import { PathMtus } from '../../src/server/path-mtu.ts';

const LO: readonly LocalAddress[] = [
  { address: '127.0.0.1', family: 4, mtu: 65_536, isLoopback: true },
  { address: '192.0.2.53', family: 4, mtu: 65_536, isLoopback: true },
  { address: '2001:db8:53::53', family: 6, mtu: 65_536, isLoopback: true },
];
const OTHERS: readonly LocalAddress[] = [
  { address: '10.0.0.1', family: 4, mtu: 9000, isLoopback: false },
  { address: '10.1.0.1', family: 4, mtu: 1500, isLoopback: false },
  { address: '2001:db8::1', family: 6, mtu: 1400, isLoopback: false },
];

function byInterfaces(present: readonly LocalAddress[]): (local: string, client: string) => number {
  const mtus = new PathMtus({ clock: new VirtualClock() });
  mtus.update(present);
  return (local, client) => mtus.of(local, { address: client, port: 2000 });
}

it('is that of the interface with the address asked', () => {
  const mtu = byInterfaces([...LO, ...OTHERS]);
  expect(mtu('10.0.0.1', '10.0.0.9')).toBe(9000);
  expect(mtu('127.0.0.77', '127.0.0.1')).toBe(65_536);
  expect(mtu('10.9.9.9', '10.0.0.9')).toBe(1500);
});

it("is no loopback interface's for a client elsewhere: the smallest of the others with its family", () => {
  const mtu = byInterfaces([...LO, ...OTHERS]);
  expect(mtu('192.0.2.53', '10.0.0.9')).toBe(1500);
  expect(mtu('2001:db8:53::53', '2001:db8::9')).toBe(1400);
  expect(byInterfaces(LO)('192.0.2.53', '10.0.0.9')).toBe(1500);
});

it.each(['127.0.0.1', '127.3.4.5', '192.0.2.53', '10.0.0.1'])('is lo’s for the machine itself, as %s', (client) => {
  expect(byInterfaces([...LO, ...OTHERS])('192.0.2.53', client)).toBe(65_536);
});

it('follows the addresses of the machine', () => {
  const mtus = new PathMtus({ clock: new VirtualClock() });
  const peer = { address: '10.0.0.9', port: 2000 };
  mtus.update([...LO, ...OTHERS]);
  mtus.update([...LO, OTHERS[0]!]);
  expect(mtus.of('192.0.2.53', peer)).toBe(9000);
  expect(mtus.of('10.1.0.1', peer)).toBe(1500);
});

it('is asked of the engine once a minute for each network of clients and local address', async () => {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const routeMtu = (local: string, { address }: Address): number | undefined => {
    asked.push(`${local} ${address}`);
    return address.startsWith('10.0.0.') ? 1400 : undefined;
  };
  const mtus = new PathMtus({ clock, routeMtu });
  mtus.update([...LO, ...OTHERS]);
  const of = (local: string, address: string): number => mtus.of(local, { address, port: 2000 });
  expect([of('10.0.0.1', '10.0.0.9'), of('10.0.0.1', '10.0.0.10'), of('10.1.0.1', '10.0.0.9')]).toEqual([
    1400, 1400, 1400,
  ]);
  // If the engine does not know the MTU, the interface's MTU is used.
  expect([of('10.0.0.1', '10.5.0.9'), of('10.0.0.1', '10.5.0.9')]).toEqual([9000, 9000]);
  expect(asked).toEqual(['10.0.0.1 10.0.0.9', '10.1.0.1 10.0.0.9', '10.0.0.1 10.5.0.9']);
  await clock.runAsync(clock.now() + 60_000);
  expect(of('10.0.0.1', '10.0.0.10')).toBe(1400);
  expect(asked.slice(3)).toEqual(['10.0.0.1 10.0.0.10']);
});

it('remembers the routes to 4,096 networks', () => {
  let asked = 0;
  const routeMtu = (): number => {
    asked++;
    return 1400;
  };
  const mtus = new PathMtus({ clock: new VirtualClock(), routeMtu });
  const ask = (network: number): void => {
    mtus.of('10.0.0.1', { address: `10.${network >> 8}.${network & 255}.9`, port: 2000 });
  };
  for (let network = 0; network <= 4096; network++) ask(network);
  expect(asked).toBe(4097);
  for (let network = 1; network <= 4096; network++) ask(network);
  expect(asked).toBe(4097);
  ask(0);
  expect(asked).toBe(4098);
});
