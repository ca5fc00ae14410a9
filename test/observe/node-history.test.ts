/** The history of nodes: it matches answers to requests and machines to addresses, and stays within its bounds. */
import { describe, expect, it } from 'vitest';
import { escapeText } from '../../src/text/escape.ts';
import { NodeHistory, type NodeHistoryOptions } from '../../src/observe/node-history.ts';
import type { RequestRecord } from '../../src/server/types.ts';
import { refusalRecord, transferRecord } from '../support/reveille.ts';
import { option, ObservedWorld } from './world.ts';

function history(change: Partial<NodeHistoryOptions> = {}): {
  history: NodeHistory;
  ask: (change?: Partial<RequestRecord>) => void;
  pass: (ms: number) => void;
} {
  let now = 1000;
  let transfer = 0;
  const memory = new NodeHistory({ show: escapeText, now: () => now, ...change });
  return {
    history: memory,
    pass: (ms) => {
      now += ms;
    },
    ask: (record = {}) =>
      memory.request({
        protocol: 'tftp',
        client: { address: '192.0.2.7', port: 2070 },
        local: '192.0.2.1',
        operation: 'read',
        filename: 'boot/linux',
        mode: 'octet',
        options: [],
        done: 'admitted',
        transfer: ++transfer,
        ...record,
      }),
  };
}

const CLIENT = { address: '192.0.2.7', port: 2070 };

describe('the memory of a node', () => {
  it('has one entry for a request, its repetitions and its answer', () => {
    const { history: memory, ask, pass } = history();
    ask({ options: [option('blksize', '1468'), option('tsize', '0')] });
    pass(250);
    ask({ done: 'repeated', transfer: 1 });
    pass(250);
    memory.transfer(transferRecord({ id: 1, client: CLIENT, local: '192.0.2.1', outcome: 'timeout', bytes: 512 }));
    const { asks } = memory.node('192.0.2.7')!;
    expect(asks).toHaveLength(1);
    expect(asks[0]).toMatchObject({
      at: 1000,
      lastAt: 1500,
      file: 'boot/linux',
      options: 'blksize=1468 tsize=0',
      repeats: 1,
      end: { kind: 'sent', outcome: 'timeout', bytes: 512 },
    });
  });

  it('gives each of two transfers from one port its own end, in any order', () => {
    const { history: memory, ask } = history();
    ask({ transfer: 1 });
    ask({ transfer: 2, filename: 'boot/initrd.img' });
    const fault = 'The client sent another request';
    memory.transfer(transferRecord({ id: 2, client: CLIENT, local: '192.0.2.1', outcome: 'complete' }));
    memory.transfer(transferRecord({ id: 1, client: CLIENT, local: '192.0.2.1', outcome: 'aborted', fault }));
    const { asks } = memory.node('192.0.2.7')!;
    expect(asks.map(({ file, end }) => [file, end?.kind === 'sent' ? end.outcome : end?.kind])).toEqual([
      ['boot/linux', 'aborted'],
      ['boot/initrd.img', 'complete'],
    ]);
  });

  it('knows that a request is abandoned when another one comes from its port, even without an end', () => {
    const { history: memory, ask } = history();
    ask();
    ask({ filename: 'boot/initrd.img' });
    memory.refusal(refusalRecord({ client: CLIENT, local: '192.0.2.1' }));
    expect(memory.node('192.0.2.7')!.asks.map(({ end }) => end?.kind)).toEqual(['replaced', 'refused']);
  });

  it('makes one entry for a client that is left unanswered again and again', () => {
    const { history: memory, ask } = history();
    for (let times = 0; times < 5; times++) ask({ done: 'queueFull', transfer: undefined });
    expect(memory.node('192.0.2.7')!.asks).toMatchObject([
      { repeats: 4, end: { kind: 'unanswered', reason: 'queueFull' } },
    ]);
  });

  it('learns from names which node uses an address, and forgets it when another node does', () => {
    const { history: memory, ask } = history();
    ask({ filename: 'pxelinux.cfg/01-52-54-00-00-00-01' });
    ask({ filename: 'grub/grub.cfg-4c4c4544-0042-3510-8052-b4c04f4a3132' });
    expect(memory.node('192.0.2.7')!.ids).toEqual([
      'uuid:4c4c4544-0042-3510-8052-b4c04f4a3132',
      'mac:52:54:00:00:00:01',
    ]);
    expect(memory.addressesOf('mac:52:54:00:00:00:01')).toEqual(['192.0.2.7']);
    ask({ filename: 'pxelinux.cfg/01-52-54-00-00-00-02' });
    expect(memory.node('192.0.2.7')!.ids).toEqual(['mac:52:54:00:00:00:02']);
    expect(memory.addressesOf('mac:52:54:00:00:00:01')).toEqual([]);
  });

  it('escapes and cuts text from the network', () => {
    const { history: memory, ask } = history();
    ask({ filename: `\x1b[2J${'x'.repeat(60_000)}`, options: [option('blksize', '\n\r\x07')] });
    const [first] = memory.node('192.0.2.7')!.asks;
    expect(first!.file).toMatch(/^\\x1b\[2Jx+\.\.\.\(\+59804\)$/);
    expect(first!.file.length).toBeLessThan(250);
    expect(first!.options).toBe('blksize=\\x0a\\x0d\\x07');
  });

  it('remembers nothing of a transfer whose node it has forgotten', () => {
    const { history: memory } = history();
    memory.transfer(transferRecord({ id: 1 }));
    memory.refusal(refusalRecord());
    expect(memory.size).toEqual({ nodes: 0, asks: 0 });
  });

  it('stays within its bounds, and forgets the longest silent node first', () => {
    const { history: memory, ask, pass } = history({ mostNodes: 100, mostAsks: 300, mostAsksPerNode: 10 });
    for (let node = 0; node < 1000; node++) {
      pass(1);
      for (let times = 0; times < 3; times++)
        ask({ client: { address: `10.0.${node >> 8}.${node & 255}`, port: times }, filename: `${node}` });
      expect(memory.size.nodes).toBeLessThanOrEqual(100);
      expect(memory.size.asks).toBeLessThanOrEqual(300);
    }
    expect(memory.node('10.0.0.0')).toBeUndefined();
    expect(memory.node('10.0.3.231')!.asks).toHaveLength(3);
    for (let times = 0; times < 500; times++) ask();
    expect(memory.node('192.0.2.7')).toMatchObject({ forgotten: 490 });
    expect(memory.node('192.0.2.7')!.asks).toHaveLength(10);
    expect([...memory.nodes()].reduce((sum, { asks }) => sum + asks.length, 0)).toBe(memory.size.asks);
  });

  it('stays within its memory bound for 10,000 nodes that each ask for twenty different names', () => {
    const world = new ObservedWorld();
    for (let node = 0; node < 10_000; node++) {
      for (let file = 0; file < 20; file++)
        world.refuse(`10.${node >> 8}.${node & 255}.1`, `pxelinux.cfg/${node}-${file}`);
    }
    expect(world.state.history.size.asks).toBeLessThanOrEqual(131_072);
    expect(world.state.snapshot().problems.length).toBeLessThanOrEqual(40);
  });
});
