/** Rules for the driver on every engine: whole transfers between two drivers. Rows are as in engine-row.ts. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { COUNTER } from '../../src/engine/counters.ts';
import { Driver } from '../../src/engine/driver.ts';
import type { Address, Engine } from '../../src/engine/types.ts';
import { blockCount } from '../../src/protocol/block.ts';
import type { Wish } from '../../src/protocol/negotiate.ts';
import type { Sender } from '../../src/session/sender.ts';
import { type Downloaded, MiniServer, download } from '../support/mini-server.ts';
import { RawPeer } from '../support/datagrams.ts';
import { Random } from '../support/random.ts';
import type { EngineRow, EngineWorld } from './engine-row.ts';

const SIZES = [0, 1, 511, 512, 513, 14_680, 300_003];
const WISHES: readonly Wish[] = [
  {},
  { blksize: 1468 },
  { blksize: 8192, tsize: true },
  { blksize: 65_464 },
  { windowsize: 8 },
  { windowsize: 64 },
  { blksize: 1468, windowsize: 64 },
];

const FILES = new Map(SIZES.map((size) => [`file${size}`, new Random(size).bytes(size)]));

export function describeDriver(row: EngineRow): void {
  const { name, address } = row;

  describe(`a driver on ${name} on ${address}`, () => {
    let world: EngineWorld;
    let engine: Engine;
    let clientEngine: Engine;
    let clients: Driver;
    let server: MiniServer;
    let at: Address;

    beforeEach(() => {
      world = row.create();
      engine = world.engine();
      clientEngine = world.engine();
      clients = new Driver(clientEngine, new Float64Array(8));
    });

    afterEach(async () => {
      await world.until(Promise.all([engine.close(), clientEngine.close()]));
    });

    async function serve(files = FILES, prepare?: (sender: Sender, file: string) => void): Promise<void> {
      server = new MiniServer(engine, files, prepare);
      at = await world.until(server.listen(address));
    }

    function fetchFile(
      file: string,
      wish: Wish = {},
      more: { patienceMs?: number; onKept?: (bytes: number) => void } = {},
    ) {
      return download(clients, { local: address, server: at, name: file, wish, ...more });
    }

    async function expectWhole(file: string, fetched: Promise<Downloaded>, files = FILES): Promise<void> {
      const { report, bytes } = await world.until(fetched);
      const content = files.get(file)!;
      const sent = await world.until(server.reports.get(file)!);
      const whole = { file, outcome: 'complete', fault: undefined, bytes: content.length };
      expect({ file, ...report }).toMatchObject(whole);
      expect({ file, ...sent }).toMatchObject(whole);
      expect({ file, same: Buffer.compare(bytes, content) === 0 }).toEqual({ file, same: true });
    }

    test.each(WISHES)('carries files of every size about a block’s, asked for with %o', async (wish) => {
      await serve();
      const fetched = SIZES.map((size) => [`file${size}`, fetchFile(`file${size}`, wish)] as const);
      for (const [file, each] of fetched) await expectWhole(file, each);
      expect(server.driver.size + clients.size).toBe(0);
    });

    test('counts what it sends and receives', async () => {
      await serve();
      await expectWhole('file14680', fetchFile('file14680', { blksize: 1468, windowsize: 8 }));
      const { counters } = server;
      expect(counters[COUNTER.dataSent]! - counters[COUNTER.retransmits]!).toBe(blockCount(14_680, 1468));
      expect(counters[COUNTER.dataBytesSent]).toBeGreaterThanOrEqual(14_680);
      // The client sends ACK 0, one ACK at the end of the window of 8, and one at the end of the file.
      expect(counters[COUNTER.received]).toBeGreaterThanOrEqual(3);
      expect(counters[COUNTER.malformed]).toBe(0);
    });

    test('runs 64 transfers at once', async () => {
      const files = new Map(Array.from({ length: 64 }, (_, n) => [`file${n}`, new Random(n).bytes(n * 997)]));
      await serve(files);
      const wishes: Wish[] = [{}, { windowsize: 4 }, { blksize: 1468 }, { blksize: 1024, windowsize: 16 }];
      const fetched = [...files.keys()].map((file, n) => [file, fetchFile(file, wishes[n % 4])] as const);
      for (const [file, each] of fetched) await expectWhole(file, each, files);
      expect(server.driver.size + clients.size).toBe(0);
    });

    test('a throw in a session costs that transfer alone', async () => {
      await serve(FILES, (sender, file) => {
        if (file !== 'file513') return;
        sender.onPacket = () => {
          throw new Error('a bug of ours');
        };
      });
      // Long enough for the first reply on a busy machine: a server that is never answered keeps the transfer for 60 s.
      const broken = fetchFile('file513', {}, { patienceMs: 1500 });
      const others = ['file14680', 'file512', 'file300003'].map((file) => [file, fetchFile(file)] as const);
      for (const [file, each] of others) await expectWhole(file, each);
      expect((await world.until(broken)).report.outcome).not.toBe('complete');
      const report = await world.until(server.reports.get('file513')!);
      expect(report.outcome).toBe('aborted');
      expect(report.fault).toMatch(/a bug of ours/);
      expect(server.driver.size).toBe(0);
    });

    test('abortAll ends every transfer, and the clients hear an ERROR', async () => {
      await serve();
      const under: Promise<void>[] = [];
      const fetched = [1, 2, 3].map((blocks) => {
        let onKept: (bytes: number) => void = () => {};
        under.push(
          new Promise((resolve) => {
            onKept = (bytes) => {
              if (bytes >= blocks * 512) resolve();
            };
          }),
        );
        return fetchFile('file300003', {}, { onKept });
      });
      await world.until(Promise.all(under));
      expect(server.driver.size).toBe(3);
      server.driver.abortAll();
      expect(server.driver.size).toBe(0);
      for (const each of fetched) {
        const { report } = await world.until(each);
        expect(report).toMatchObject({ outcome: 'clientError', errorCode: 0, errorText: 'Server is stopping' });
      }
      expect(await world.until(server.reports.get('file300003')!)).toMatchObject({
        outcome: 'aborted',
        fault: undefined,
      });
    });

    test('abortAll also ends a transfer whose link is still being opened', async () => {
      await serve();
      const fetched = fetchFile('file512');
      clients.abortAll();
      const { report } = await world.until(fetched);
      expect(report.outcome).toBe('aborted');
      expect(clients.size).toBe(0);
      // The request was never sent: a later request from another client is answered, and it is the only one.
      const other = await world.until(RawPeer.open(clientEngine, address));
      other.send(at, 0, 1, ...Buffer.from('file0\0octet\0'));
      await world.until(other.inbox.has(1));
      expect([...server.reports.keys()]).toEqual(['file0']);
    });

    test('a client whose server has gone hears so or gives up, and its driver is idle then', async () => {
      await serve();
      await world.until(server.close());
      const { report } = await world.until(fetchFile('file512', {}, { patienceMs: 50 }));
      expect(['unreachable', 'timeout']).toContain(report.outcome);
      expect(clients.size).toBe(0);
    });
  });
}
