import { describe, expect, it } from 'vitest';
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
  it('serves both where both are to be had', async () => {
    const { addresses, warnings } = await start({});
    expect(addresses.map(({ address }) => address)).toEqual(['0.0.0.0', '::']);
    expect(warnings).toEqual([]);
  });

  it('serves IPv4 on a machine without IPv6, and says so', async () => {
    const { addresses, warnings } = await start({ '::': 'EAFNOSUPPORT' });
    expect(addresses.map(({ address }) => address)).toEqual(['0.0.0.0']);
    expect(warnings).toEqual([['can not listen', { address: '::', port: 69, code: 'EAFNOSUPPORT' }]]);
  });

  it.each([
    ['a port that is taken', { '0.0.0.0': 'EADDRINUSE' }, 'EADDRINUSE'],
    ['a port that is not allowed', { '0.0.0.0': 'EACCES' }, 'EACCES'],
    ['no family at all', { '0.0.0.0': 'EAFNOSUPPORT', '::': 'EAFNOSUPPORT' }, 'Expected a local address'],
  ])('does not start with %s', async (_what, failures, message) => {
    await expect(start(failures)).rejects.toThrow(message);
  });
});
