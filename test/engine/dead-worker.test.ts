/** Tests with real sockets what a dead worker leaves to the main thread at a port that transfers share. */
import { expect, it, onTestFinished } from 'vitest';
import { Estate, allocateEstates } from '../../src/engine/estate.ts';
import { LinuxEngine } from '../../src/engine/linux/engine.ts';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import type { LinkReceiver, TransferPort, UnreadDatagram } from '../../src/engine/types.ts';
import { RawPeer } from '../support/datagrams.ts';

const unavailable = await checkLinuxEngine();
const WORKERS = 2;

interface Transfer {
  readonly peer: RawPeer;
  readonly port: TransferPort;
  readonly tag: number;
}

it.skipIf(unavailable !== undefined).each([
  ['127.0.0.1', '127.0.0.1'],
  ['0.0.0.0', '127.0.0.1'],
  ['::', '::1'],
])(
  'datagrams that a worker at %s has received and not delivered are assigned to their transfers',
  async (at, local) => {
    const main = new LinuxEngine({ singlePort: WORKERS });
    const others = new LinuxEngine();
    const memory = allocateEstates(1);
    const mortal = new LinuxEngine({ estate: new Estate(memory, 0) });
    onTestFinished(async () => {
      await mortal.close();
      await others.close();
      await main.close();
    });
    const { port } = (await main.listen({ address: at, port: 0 }, () => {})).local;
    const asked = { address: local, port };

    // Peers until three have one worker, whose socket the mortal engine reads.
    const byWorker = Array.from({ length: WORKERS }, (): Transfer[] => []);
    for (let tag = 100; byWorker.every(({ length }) => length < 3); tag++) {
      // oxlint-disable-next-line no-await-in-loop -- one peer after the other.
      const peer = await RawPeer.open(others, local);
      const taken = main.transferPorts.take(asked, peer.local, 1468, tag);
      if (typeof taken === 'string') throw new Error(`Expected a port, got ${taken}`);
      byWorker[taken.worker!]!.push({ peer, port: taken, tag });
    }
    const transfers = byWorker.find(({ length }) => length === 3)!;

    /** Settles a copy of the estate, without what the worker still needs. */
    const settle = (): UnreadDatagram[] => {
      const copy = new Estate(memory.slice(0), 0);
      for (const fd of copy.fds) copy.removeFd(fd);
      for (const { address } of copy.mappings) copy.removeMapping(address);
      return main.settle!(copy);
    };
    const left: UnreadDatagram[][] = [];
    const receiver: LinkReceiver = {
      onDatagram: () => void left.push(settle()),
      onUnreachable: () => {},
      onUnreadable: () => {},
    };
    for (const [index, { peer, port: taken }] of transfers.entries()) {
      peer.send(asked, 0, 4, 0, index);
      mortal.adopt(taken, { local, peer: peer.local }, receiver);
    }
    mortal.catchUp();

    const all = transfers.map(({ tag }, index) => [tag, 0, 4, 0, index]);
    expect(left.map((unread) => unread.map(({ tag, bytes }) => [tag, ...bytes]))).toEqual([
      all.slice(1),
      all.slice(2),
      [],
    ]);
  },
);
