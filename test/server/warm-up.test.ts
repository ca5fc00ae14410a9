/** The storm before the first one: what it leaves behind is compiled code, and nothing that a counter shows. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { built } from '../support/built.ts';
import { RawClient, DATA, ack, opcode, readRequest } from '../support/raw-client.ts';

it.each(['auto', 'portable'] as const)('warms up, forgets, and serves: engine %s', async (engine) => {
  const { BufferCache, DEFAULT_LIMITS, Directory, startServer } = built;
  const root = mkdtempSync(join(tmpdir(), 'reveille-warm-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  writeFileSync(join(root, 'config'), 'timeout=3\n');
  const told: string[] = [];
  const server = await startServer({
    listen: [{ address: '127.0.0.1', port: 0 }],
    sources: [new Directory({ root, cache: new BufferCache(), clock: () => performance.now() })],
    engine,
    workers: 2,
    warmUp: true,
    limits: DEFAULT_LIMITS,
    observer: {
      onTransfer: ({ file }) => told.push(file),
      onRefusal: ({ filename }) => told.push(filename),
      onWarning: () => {},
    },
  });
  onTestFinished(() => void server.stop(0));
  const { packets, transfersActive, transfersQueued, requestsTotal, workers } = server.stats();
  expect({ dataSent: packets.dataSent, transfersActive, transfersQueued, requestsTotal }).toEqual({
    dataSent: 0,
    transfersActive: 0,
    transfersQueued: 0,
    requestsTotal: 0,
  });
  expect(workers.map(({ transfers }) => transfers)).toEqual([0, 0]);
  const client = await RawClient.open();
  await client.send(readRequest('config'), server.addresses[0]!);
  const data = await client.receive();
  expect(opcode(data)).toBe(DATA);
  await client.send(ack(1), data.from);
  await expect.poll(() => told).toEqual(['config']);
  expect(server.stats().packets.dataSent).toBe(1);
  await client.close();
});
