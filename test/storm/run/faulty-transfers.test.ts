import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { fetchFile, type FetchResult } from '../../../src/client/fetch.ts';
import { MemoryNetwork } from '../../../src/engine/memory.ts';
import type { TransferReport } from '../../../src/engine/report.ts';
import type { Address } from '../../../src/engine/types.ts';
import { VirtualClock } from '../../../src/engine/virtual-clock.ts';
import type { Wish } from '../../../src/protocol/negotiate.ts';
import { OPCODE } from '../../../src/protocol/opcode.ts';
import {
  createFaultCounts,
  type FaultCounts,
  type FaultFlags,
  parseFaults,
} from '../../../src/storm/plan/fault-plan.ts';
import { withFaults } from '../../../src/storm/run/faulty-engine.ts';
import { Random } from '../../../src/storm/plan/random.ts';
import { MiniServer } from '../../support/mini-server.ts';
import { Random as TestRandom } from '../../support/random.ts';

const SEED = 77;
const NOTHING: FaultCounts = { lost: 0, lostData: 0, duplicated: 0, reordered: 0, delayed: 0 };
const CONTENT = new TestRandom(3).bytes(40_000);

interface Fetched {
  readonly results: readonly FetchResult[];
  readonly reports: readonly TransferReport[];
  readonly right: boolean;
  readonly counts: FaultCounts;
  readonly endedAt: number;
  /** Packets on the network as opcode and block number, by direction. */
  readonly out: readonly string[];
  readonly in: readonly string[];
  readonly digest: string;
}

const NAMES = ['?', 'rrq', 'wrq', 'data', 'ack', 'error', 'oack'];

/** Nodes fetch a file through faults, `times` times each. */
async function fetchAll(
  flags: FaultFlags,
  { wish = { blksize: 1024, tsize: true }, nodes = 1, times = 1, seed = SEED, content = CONTENT }: FetchSettings = {},
): Promise<Fetched> {
  const clock = new VirtualClock();
  const network = new MemoryNetwork(clock, 1);
  const counts = createFaultCounts();
  const engine = withFaults(network.engine(), parseFaults(flags), new Random(seed), counts);
  const seen = { in: [] as string[], out: [] as string[] };
  const hash = createHash('sha256');
  network.tap = (fate, bytes, from, to) => {
    if (fate !== 'sent') return;
    hash.update(`${clock.now()} ${from.address} ${to.address} `).update(bytes);
    const opcode = bytes[1]!;
    const block = opcode === OPCODE.DATA || opcode === OPCODE.ACK ? ` ${(bytes[2]! << 8) | bytes[3]!}` : '';
    seen[from.address === 'server' ? 'in' : 'out'].push(`${NAMES[opcode]}${block}`);
  };
  const server = new MiniServer(network.engine(), new Map([['file', content]]));
  const address: Address = await server.listen('server');
  let right = true;
  const node = async (index: number): Promise<FetchResult[]> => {
    const results: FetchResult[] = [];
    for (let time = 0; time < times; time++) {
      const chunks: Uint8Array[] = [];
      results.push(
        await fetchFile({
          server: address,
          filename: 'file',
          mode: 'octet',
          wish,
          sink: { write: (bytes) => chunks.push(bytes.slice()) },
          engine,
          local: `node${index}`,
          seed: 5,
          lingerMs: 1000,
        }),
      );
      right &&= Buffer.concat(chunks).equals(content);
    }
    return results;
  };
  const all = Promise.all(Array.from({ length: nodes }, (_, index) => node(index)));
  await clock.runAsync();
  const results = (await all).flat();
  const endedAt = clock.now();
  const reports = await server.idle();
  return { results, reports, right, counts, endedAt, in: seen.in, out: seen.out, digest: hash.digest('hex') };
}

interface FetchSettings {
  readonly wish?: Wish;
  readonly nodes?: number;
  readonly times?: number;
  readonly seed?: number;
  readonly content?: Uint8Array;
}

function timesOf(packets: readonly string[], name: string): number {
  return packets.filter((packet) => packet === name).length;
}

describe('transfers', () => {
  it.each<[string, FaultFlags, keyof FaultCounts]>([
    ['loss', { loss: '5%' }, 'lost'],
    ['doubled packets', { duplicate: '10%' }, 'duplicated'],
    ['packets out of order', { reorder: '10%' }, 'reordered'],
    ['delay', { delay: '1ms..20ms' }, 'delayed'],
  ])('survive %s, with a window and without', async (_name, flags, count) => {
    for (const wish of [{}, { blksize: 1024 }, { blksize: 1024, windowsize: 8 }]) {
      const { results, right, counts } = await fetchAll(flags, { nodes: 10, wish });
      expect(results.map(({ outcome }) => outcome)).toEqual(results.map(() => 'complete'));
      expect(right).toBe(true);
      expect(counts[count]).toBeGreaterThan(5);
      expect({ ...counts, [count]: 0, lostData: 0 }).toEqual(NOTHING);
    }
  });

  it('survive all faults together', async () => {
    const { results, right, counts } = await fetchAll(
      { loss: '3%', duplicate: '3%', reorder: '3%', delay: '0..10ms', lose: ['ack 3', 'data last', 'oack', 'rrq'] },
      { nodes: 10, wish: { blksize: 1024, windowsize: 4, tsize: true } },
    );
    expect(results.map(({ outcome }) => outcome)).toEqual(results.map(() => 'complete'));
    expect(right).toBe(true);
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(0);
  });

  it('take as long as their packets: twice the delay for each block', async () => {
    const { endedAt, results, counts, out } = await fetchAll(
      { delay: '7ms' },
      { content: CONTENT.subarray(0, 10_000) },
    );
    // The request, the OACK, ten blocks and their ACKs: every packet of the client but the last ACK waits for an
    // answer.
    expect(results[0]!.durationMs).toBe(11 * 14);
    expect(counts.delayed).toBe(11 + 12);
    expect(endedAt).toBeGreaterThanOrEqual(11 * 14);
    expect(out).toEqual(['rrq', ...Array.from({ length: 11 }, (_, block) => `ack ${block}`)]);
  });

  it('have the same packets at the same times with the same seed, and others with another seed', async () => {
    const flags: FaultFlags = { loss: '4%', duplicate: '4%', reorder: '4%', delay: '0..9ms' };
    const settings = { nodes: 5, wish: { blksize: 1024, windowsize: 4 } };
    const first = await fetchAll(flags, settings);
    const again = await fetchAll(flags, settings);
    const other = await fetchAll(flags, { ...settings, seed: SEED + 1 });
    expect(again.digest).toBe(first.digest);
    expect(again.counts).toEqual(first.counts);
    expect(other.digest).not.toBe(first.digest);
    expect(other.counts).not.toEqual(first.counts);
  });
});

describe('packets that are lost by name', () => {
  it('are lost the configured number of times, and then delivered', async () => {
    const { counts, right, out, in: incoming } = await fetchAll({ lose: ['ack 5 x3'] });
    expect(right).toBe(true);
    expect(counts).toEqual({ ...NOTHING, lost: 3 });
    expect(timesOf(out, 'ack 5')).toBeGreaterThanOrEqual(1);
    // Three ACKs never arrived, so the server sent the block again.
    expect(timesOf(incoming, 'data 5')).toBeGreaterThanOrEqual(2);
    expect(timesOf(incoming, 'data 4')).toBe(1);
  });

  it('are lost in each transfer', async () => {
    const { counts, right, reports } = await fetchAll({ lose: ['data 2 x2'] }, { nodes: 3, times: 2 });
    expect(right).toBe(true);
    expect(counts).toEqual({ ...NOTHING, lost: 12, lostData: 12 });
    expect(reports).toHaveLength(6);
    for (const { retransmits } of reports) expect(retransmits).toBeGreaterThanOrEqual(2);
  });

  it('may be the OACK: the node asks again or the server answers again', async () => {
    const { counts, right, in: incoming } = await fetchAll({ lose: ['oack x2'] });
    expect(right).toBe(true);
    expect(counts.lost).toBe(2);
    expect(timesOf(incoming, 'oack')).toBe(3);
  });

  it('may be the request', async () => {
    const { counts, right, out, results } = await fetchAll({ lose: ['rrq x2'] });
    expect(right).toBe(true);
    expect(counts.lost).toBe(2);
    expect(timesOf(out, 'rrq')).toBe(1);
    expect(results[0]!.retransmits).toBe(2);
  });

  // The last block of the 40,000-byte file has 64, 64 and 100 bytes respectively.
  it.each<[string, Wish, number]>([
    ['of the size that was agreed', { blksize: 1024 }, 40],
    ['of 512 where none was', {}, 79],
    ['of a size smaller than 512', { blksize: 300 }, 134],
  ])('may be the last block, %s', async (_name, wish, last) => {
    const { counts, right, in: incoming } = await fetchAll({ lose: ['data last'] }, { wish });
    expect(right).toBe(true);
    expect(counts).toEqual({ ...NOTHING, lost: 1, lostData: 1 });
    for (const packet of incoming.filter((name) => name.startsWith('data'))) {
      expect(timesOf(incoming, packet)).toBe(packet === `data ${last}` ? 2 : 1);
    }
  });

  it('may be the last block when its payload is larger than 512', async () => {
    const content = CONTENT.subarray(0, 3 * 1024 + 900);
    const { counts, right, in: incoming } = await fetchAll({ lose: ['data last x2'] }, { content });
    expect(right).toBe(true);
    expect(counts.lost).toBe(2);
    expect(timesOf(incoming, 'data 4')).toBe(3);
    expect(timesOf(incoming, 'data 3')).toBe(1);
  });

  it('may be the last ACK, which the node repeats while it stays', async () => {
    const { counts, reports, out, in: incoming } = await fetchAll({ lose: ['ack last'] });
    expect(counts).toEqual({ ...NOTHING, lost: 1 });
    expect(timesOf(incoming, 'data 40')).toBe(2);
    expect(timesOf(out, 'ack 40')).toBe(1);
    expect(reports.map(({ outcome }) => outcome)).toEqual(['complete']);
  });

  it('may be the first packet of a kind', async () => {
    const { counts, right, out } = await fetchAll({ lose: ['ack x2'] });
    expect(right).toBe(true);
    expect(counts.lost).toBe(2);
    expect(out.slice(0, 2)).toEqual(['rrq', 'ack 0']);
  });
});
