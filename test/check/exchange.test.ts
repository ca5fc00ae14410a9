/** One exchange of the conformance check, and the system errors that can reach it. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { Exchange } from '../../src/check/exchange.ts';
import { QUICK_WAITS } from './waits.ts';

it('a late ERROR of an earlier exchange on the same port does not count as an answer', async () => {
  const server = createSocket('udp4');
  onTestFinished(() => void server.close());
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  const exchange = await Exchange.open({
    server: server.address(),
    waits: QUICK_WAITS,
    pulse: { heardAt: 0 },
    signal: new AbortController().signal,
  });
  const asked = once(server, 'message') as Promise<[Buffer, { address: string; port: number }]>;
  await exchange.send(Buffer.from('\0\x01linux\0octet\0', 'latin1'));
  const [, { address, port }] = await asked;
  server.send(Buffer.from('\0\x05\0\0Check is over\0', 'latin1'), port, address);
  server.send(Buffer.from('\0\x05\0\x01File not found\0', 'latin1'), port, address);
  const reply = await exchange.next(5000);
  expect(reply).toMatchObject({ kind: 'ERROR', number: 1 });
  await exchange.close();
});
