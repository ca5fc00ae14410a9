import { describe, expect, it, onTestFinished } from 'vitest';
import { createEngine, resolveEngine } from '../../src/engine/create.ts';
import { MemoryNetwork } from '../../src/engine/memory.ts';
import type { Address, Engine } from '../../src/engine/types.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import { Listener } from '../../src/server/listener.ts';

/** An engine that can serve a wildcard with one socket, on a machine where some addresses fail. */
function engineFailing(failures: Readonly<Record<string, string>>): Engine {
  const engine = new MemoryNetwork(new VirtualClock(), 1).engine();
  const listen: Engine['listen'] = async (local, receive) => {
    const code = failures[local.address];
    if (code !== undefined) throw Object.assign(new Error(code), { code });
    return engine.listen(local, receive);
  };
  return new Proxy(engine, {
    get: (target, key) => {
      if (key === 'wildcards') return true;
      if (key === 'listen') return listen;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Engines that work on this machine. */
const ENGINES = [...new Set([(await resolveEngine('auto')).kind, 'portable'] as const)];

/** A listener on two explicit addresses, one of which fails with `code`. */
function onNamed(code: string, isThere: () => boolean = () => false) {
  const clock = new VirtualClock();
  const engine = new MemoryNetwork(clock, 1).engine();
  const listen: Engine['listen'] = async (local, receive) => {
    if (local.address !== '192.0.2.77' || isThere()) return await engine.listen(local, receive);
    throw Object.assign(new Error(code), { code });
  };
  const warnings: unknown[] = [];
  const came: Address[] = [];
  const listener = new Listener({
    engine: new Proxy(engine, {
      get: (target, key) => {
        if (key === 'listen') return listen;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    }),
    listen: [
      { address: '192.0.2.77', port: 69 },
      { address: '127.0.0.1', port: 69 },
    ],
    listenOnEachAddress: false,
    onAddresses: () => {},
    receive: () => {},
    onWarning: (message, detail) => warnings.push([message, detail]),
    onListening: (address) => came.push(address),
    localAddresses: () => [],
  });
  return { clock, listener, warnings, came };
}

describe('an address that is not there yet', () => {
  it('is waited for and reported once, while the others are served', async () => {
    let isThere = false;
    const { clock, listener, warnings, came } = onNamed('EADDRNOTAVAIL', () => isThere);
    await listener.start();
    await clock.runAsync(60_000);
    expect(listener.addresses).toEqual([{ address: '127.0.0.1', port: 69 }]);
    expect(warnings).toEqual([
      ['waiting for an address that this machine does not have yet', { address: '192.0.2.77', port: 69 }],
    ]);
    isThere = true;
    await clock.runAsync(65_000);
    expect(came).toEqual([{ address: '192.0.2.77', port: 69 }]);
    expect(listener.addresses).toHaveLength(2);
    await listener.close();
    expect(warnings).toHaveLength(1);
  });

  it.each(['EADDRINUSE', 'EACCES'])('is not assumed for %s: the message names the address', async (code) => {
    await expect(onNamed(code).listener.start()).rejects.toThrow(`192.0.2.77:69: ${code}`);
  });

  it.each(ENGINES)('is waited for by the %s engine, in either family', async (kind) => {
    const engine = createEngine(kind);
    onTestFinished(() => engine.close());
    const addresses = ['192.0.2.77', '2001:db8::77', 'fe80::77%absent0'];
    const listener = new Listener({
      engine,
      listen: ['127.0.0.1', ...addresses].map((address) => ({ address, port: 0 })),
      listenOnEachAddress: false,
      onAddresses: () => {},
      receive: () => {},
      onWarning: (_message, { address }) => warned.push(address),
    });
    const warned: unknown[] = [];
    await listener.start();
    expect(listener.addresses.map(({ address }) => address)).toEqual(['127.0.0.1']);
    await listener.close();
    expect(warned).toEqual(addresses);
  });
});

async function start(
  failures: Readonly<Record<string, string>>,
): Promise<{ addresses: Address[]; warnings: unknown[] }> {
  const warnings: unknown[] = [];
  const listener = new Listener({
    engine: engineFailing(failures),
    listen: [
      { address: '0.0.0.0', port: 69 },
      { address: '::', port: 69 },
    ],
    listenOnEachAddress: false,
    receive: () => {},
    onWarning: (message, detail) => warnings.push([message, detail]),
    onAddresses: () => {},
    localAddresses: () => [],
  });
  await listener.start();
  const { addresses } = listener;
  await listener.close();
  return { addresses, warnings };
}

describe('a listener on the wildcards of both families', () => {
  it('serves both families if the machine has both', async () => {
    const { addresses, warnings } = await start({});
    expect(addresses.map(({ address }) => address)).toEqual(['0.0.0.0', '::']);
    expect(warnings).toEqual([]);
  });

  it('serves IPv4 on a machine without IPv6, and says so', async () => {
    const { addresses, warnings } = await start({ '::': 'EAFNOSUPPORT' });
    expect(addresses.map(({ address }) => address)).toEqual(['0.0.0.0']);
    expect(warnings).toEqual([['cannot listen', { address: '::', port: 69, code: 'EAFNOSUPPORT' }]]);
  });

  it.each([
    ['a port that is taken', { '0.0.0.0': 'EADDRINUSE' }, 'EADDRINUSE'],
    ['a port that is not allowed', { '0.0.0.0': 'EACCES' }, 'EACCES'],
    ['no family at all', { '0.0.0.0': 'EAFNOSUPPORT', '::': 'EAFNOSUPPORT' }, 'Expected a local address'],
  ])('does not start with %s', async (_what, failures, message) => {
    await expect(start(failures)).rejects.toThrow(message);
  });
});
