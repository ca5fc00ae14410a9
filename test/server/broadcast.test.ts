/** Requests sent to broadcast addresses, on both engines: ignored unless the server is configured to answer them. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createEngine, type EngineKind, resolveEngine } from '../../src/engine/create.ts';
import type { Address } from '../../src/engine/types.ts';
import type { LocalAddress } from '../../src/server/addresses.ts';
import { Broadcasts } from '../../src/server/broadcasts.ts';
import { Listener } from '../../src/server/listener.ts';

const ENGINES = [...new Set([(await resolveEngine('auto')).kind, 'portable'] as const)];
const EVERYBODY = '127.255.255.255';

interface Heard {
  readonly bytes: number[];
  readonly peer: Address;
  /** Address from which a reply leaves. */
  readonly local: string;
}

/** A listener that echoes each packet, and a client that may broadcast. */
async function listenAs(kind: EngineKind, address: string, answerBroadcast: boolean) {
  const engine = createEngine(kind);
  const heard: Heard[] = [];
  const warnings: unknown[] = [];
  const listener = new Listener({
    engine,
    listen: [{ address, port: 0 }],
    listenOnEachAddress: false,
    answerBroadcast,
    onAddresses: () => {},
    receive: (bytes, length, peer, port) => {
      heard.push({ bytes: [...bytes.subarray(0, length)], peer, local: port.local.address });
      port.reply(bytes, length, peer);
    },
    onWarning: (...line) => warnings.push(line),
    // Port 0 gives each address a different port, so there is only one address.
    localAddresses: () => [
      {
        address: '127.0.0.1',
        family: 4,
        mtu: 1500,
        isLoopback: true,
        network: { mask: 0xff000000, broadcast: EVERYBODY },
      },
    ],
  });
  await listener.start();
  const client = createSocket('udp4');
  client.bind(0, '127.0.0.1');
  await once(client, 'listening');
  client.setBroadcast(true);
  onTestFinished(async () => {
    client.close();
    await listener.close();
    await engine.close();
  });
  return { port: listener.addresses[0]!.port, heard, warnings, client };
}

async function answerTo(client: Socket, port: number, to: string, byte: number): Promise<[number, Address]> {
  const answer = once(client, 'message') as Promise<[Buffer, Address]>;
  client.send(Uint8Array.of(byte), port, to);
  const [bytes, { address, port: from }] = await answer;
  return [bytes[0]!, { address, port: from }];
}

describe.each(ENGINES)('a request to everybody, with the %s engine', (kind) => {
  it.each(['127.0.0.1', '0.0.0.0'])('at %s gets no answer', async (address) => {
    const { port, heard, client } = await listenAs(kind, address, false);
    client.send(Uint8Array.of(1), port, EVERYBODY);
    expect(await answerTo(client, port, '127.0.0.1', 2)).toEqual([2, { address: '127.0.0.1', port }]);
    expect(heard.map(({ bytes }) => bytes)).toEqual([[2]]);
  });

  it.each(['127.0.0.1', '0.0.0.0'])(
    'at %s is answered from that address if broadcasts are enabled',
    async (address) => {
      const { port, heard, warnings, client } = await listenAs(kind, address, true);
      expect(await answerTo(client, port, EVERYBODY, 1)).toEqual([1, { address: '127.0.0.1', port }]);
      expect(await answerTo(client, port, '127.0.0.1', 2)).toEqual([2, { address: '127.0.0.1', port }]);
      expect(heard.map(({ bytes, local }) => [bytes, local])).toEqual([
        [[1], '127.0.0.1'],
        [[2], '127.0.0.1'],
      ]);
      expect(warnings).toEqual([]);
    },
  );
});

describe('sockets for broadcasts', () => {
  const home = (address: string, broadcast: string): LocalAddress => ({
    address,
    family: 4,
    mtu: 1500,
    isLoopback: false,
    network: { mask: 0xffffff00, broadcast },
  });
  const first = home('192.0.2.1', '192.0.2.255');
  const second = home('198.51.100.1', '198.51.100.255');

  /** Listens on no real socket: the test decides which packets arrive where. */
  function planted() {
    const open = new Map<string, (peer: Address) => void>();
    const answered: [string, string][] = [];
    const broadcasts = new Broadcasts({
      engine: {
        listen: (local, receive) => {
          const port = { local, reply: () => {}, close: () => Promise.resolve(void open.delete(local.address)) };
          open.set(local.address, (peer) => receive(new Uint8Array(0), 0, peer, port, 0));
          return Promise.resolve(port);
        },
      },
      receive: (_bytes, _length, peer, port) => void answered.push([peer.address, port.local.address]),
      onWarning: () => {},
    });
    const portOf = ({ address }: LocalAddress) => ({
      local: { address, port: 69 },
      reply: () => {},
      close: () => Promise.resolve(),
    });
    const follow = (...locals: LocalAddress[]) => broadcasts.follow(locals.map(portOf), locals);
    return { open, answered, broadcasts, follow };
  }

  it('answer clients from the address in their network, and nobody from elsewhere', async () => {
    const { open, answered, follow } = planted();
    await follow(first, second);
    for (const address of ['198.51.100.9', '192.0.2.9', '203.0.113.9'])
      open.get('255.255.255.255')!({ address, port: 1 });
    for (const address of ['198.51.100.9', '192.0.2.9']) open.get('192.0.2.255')!({ address, port: 1 });
    expect(answered).toEqual([
      ['198.51.100.9', '198.51.100.1'],
      ['192.0.2.9', '192.0.2.1'],
      ['192.0.2.9', '192.0.2.1'],
    ]);
  });

  it('come and go with the addresses', async () => {
    const { open, broadcasts, follow } = planted();
    await follow(first);
    expect([...open.keys()]).toEqual(['192.0.2.255', '255.255.255.255']);
    await follow(second);
    expect([...open.keys()].toSorted()).toEqual(['198.51.100.255', '255.255.255.255']);
    await broadcasts.close();
    expect(open.size).toBe(0);
  });
});
