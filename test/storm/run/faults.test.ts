import { describe, expect, it } from 'vitest';
import { MemoryNetwork } from '../../../src/engine/memory.ts';
import type { Engine, Link, LinkReceiver } from '../../../src/engine/types.ts';
import { VirtualClock } from '../../../src/engine/virtual-clock.ts';
import { OPCODE } from '../../../src/protocol/opcode.ts';
import {
  createFaultCounts,
  type FaultCounts,
  type FaultFlags,
  isFaultless,
  NO_FAULTS,
  nodeFate,
  parseFaults,
} from '../../../src/storm/plan/fault-plan.ts';
import { withFaults } from '../../../src/storm/run/faulty-engine.ts';
import { InputMistake } from '../../../src/storm/input-mistake.ts';
import { Random } from '../../../src/storm/plan/random.ts';
import { RawLink, RawPeer } from '../../support/datagrams.ts';

const SEED = 77;
const SENDS = 20_000;
const NOTHING: FaultCounts = { lost: 0, lostData: 0, duplicated: 0, reordered: 0, delayed: 0 };

describe('the text of faults', () => {
  it('names shares of packets for both ways, for one, or for each', () => {
    const plan = parseFaults({ loss: '1%', duplicate: 'in:0.5%', reorder: 'in:1%,out:2%', delay: 'out:2ms..5ms' });
    expect(plan.in).toEqual({ loss: 0.01, duplicate: 0.005, reorder: 0.01, delay: { fromMs: 0, toMs: 0 } });
    expect(plan.out).toEqual({ loss: 0.01, duplicate: 0, reorder: 0.02, delay: { fromMs: 2, toMs: 5 } });
    expect(parseFaults({ delay: '5ms' }).in.delay).toEqual({ fromMs: 5, toMs: 5 });
  });

  it.each([
    ['ack 100 x3', { packet: 'ack', block: 100, times: 3 }],
    ['data last', { packet: 'data', block: 'last', times: 1 }],
    ['ack last x2', { packet: 'ack', block: 'last', times: 2 }],
    ['oack x1', { packet: 'oack', block: undefined, times: 1 }],
    ['data 0', { packet: 'data', block: 0, times: 1 }],
    ['data 65535', { packet: 'data', block: 65_535, times: 1 }],
    ['rrq', { packet: 'rrq', block: undefined, times: 1 }],
    ['error x1000', { packet: 'error', block: undefined, times: 1000 }],
  ])('names a packet: %s', (text, loss) => {
    expect(parseFaults({ lose: [text] }).lose).toEqual([loss]);
  });

  it('names shares of nodes', () => {
    const plan = parseFaults({ vanish: '5%', crawl: '2.5%:100ms' });
    expect(plan.vanish).toBe(0.05);
    expect(plan.crawl).toEqual({ share: 0.025, ms: 100 });
  });

  it('says nothing when there is none', () => {
    expect(parseFaults({})).toEqual(NO_FAULTS);
    expect(structuredClone(NO_FAULTS)).toEqual(NO_FAULTS);
  });

  it.each<[FaultFlags, string]>([
    [{ loss: '1' }, '--loss'],
    [{ loss: '101%' }, '--loss'],
    [{ loss: '-1%' }, '--loss'],
    [{ loss: '' }, '--loss'],
    [{ loss: 'up:1%' }, '--loss'],
    [{ loss: 'in:1%,in:2%' }, '--loss'],
    [{ loss: '1%,out:2%' }, '--loss'],
    [{ duplicate: 'half' }, '--duplicate'],
    [{ reorder: '1 %' }, '--reorder'],
    [{ delay: '5' }, '--delay'],
    [{ delay: '5ms..2ms' }, '--delay'],
    [{ delay: '1ms..2ms..3ms' }, '--delay'],
    [{ lose: ['ack 65536'] }, '--lose'],
    [{ lose: ['oack 1'] }, '--lose'],
    [{ lose: ['rrq last'] }, '--lose'],
    [{ lose: ['ack 1 x0'] }, '--lose'],
    [{ lose: ['ack 1 x1001'] }, '--lose'],
    [{ lose: ['ack  1'] }, '--lose'],
    [{ lose: ['oack', 'wrq'] }, '--lose'],
    [{ vanish: '5' }, '--vanish'],
    [{ crawl: '5%' }, '--crawl'],
    [{ crawl: '5%:0' }, '--crawl'],
    [{ crawl: '5%:1s:2s' }, '--crawl'],
  ])('that is wrong is rejected in one line: %j', (flags, flag) => {
    let thrown: unknown;
    try {
      parseFaults(flags);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(InputMistake);
    const written = Object.values(flags).flat().at(-1) as string;
    const { message } = thrown as Error;
    expect(message.startsWith(`${flag}: expected a`)).toBe(true);
    expect(message.endsWith(`, got "${written}"`)).toBe(true);
    expect(message).not.toContain('\n');
  });
});

describe('the fate of a node', () => {
  const fates = (flags: FaultFlags) =>
    Array.from({ length: 10_000 }, (_, node) => nodeFate(parseFaults(flags), new Random(SEED).fork('node').fork(node)));

  it('is to vanish for the configured share, early and late', () => {
    const blocks = fates({ vanish: '5%' }).flatMap(({ vanishAtBlock }) => vanishAtBlock ?? []);
    expect(blocks.length).toBeGreaterThan(420);
    expect(blocks.length).toBeLessThan(580);
    expect(Math.min(...blocks)).toBe(1);
    expect(Math.max(...blocks)).toBeGreaterThan(300);
    expect(Math.max(...blocks)).toBeLessThan(512);
    expect(blocks.every((block) => Number.isInteger(block))).toBe(true);
  });

  it('is to crawl for the configured share, whether or not others vanish', () => {
    const crawling = (flags: FaultFlags): boolean[] => fates(flags).map(({ crawlMs }) => crawlMs === 100);
    const alone = crawling({ crawl: '10%:100ms' });
    expect(alone.filter(Boolean).length).toBeGreaterThan(900);
    expect(alone.filter(Boolean).length).toBeLessThan(1100);
    expect(crawling({ crawl: '10%:100ms', vanish: '50%' })).toEqual(alone);
  });

  it('is the same with the same seed, and draws no random number of the node', () => {
    const random = new Random(SEED).fork('node').fork(3);
    const plan = parseFaults({ vanish: '100%', crawl: '50%:1s' });
    const fate = nodeFate(plan, random);
    expect(nodeFate(plan, random)).toEqual(fate);
    expect(random.word()).toBe(new Random(SEED).fork('node').fork(3).word());
  });

  it('without faults is to boot', () => {
    expect(nodeFate(NO_FAULTS, new Random(1))).toEqual({ vanishAtBlock: undefined, crawlMs: 0 });
  });
});

/** A node's link with faults, and its peer without faults. */
interface Wire {
  readonly clock: VirtualClock;
  readonly peer: RawPeer;
  readonly raw: RawLink;
  readonly counts: FaultCounts;
  readonly close: () => Promise<void>;
}

async function wire(flags: FaultFlags, seed = SEED, local = 'node'): Promise<Wire> {
  const clock = new VirtualClock();
  const network = new MemoryNetwork(clock, 1);
  const counts = createFaultCounts();
  const engine = withFaults(network.engine(), parseFaults(flags), new Random(seed), counts);
  const peer = await RawPeer.open(network.engine(), 'server');
  const raw = await RawLink.open(engine, { local, peer: peer.local, peerPort: 'fixed' });
  return { clock, peer, raw, counts, close: () => engine.close() };
}

/** A packet that no fault script targets. */
function numbered(number: number): Uint8Array {
  return Uint8Array.of(0, OPCODE.ACK, number >> 8, number & 0xff);
}

function numbersIn(contents: readonly number[][]): number[] {
  return contents.map(([, , high = 0, low = 0]) => (high << 8) | low);
}

/** Sends many packets at once in one direction. @returns the numbers of the packets that arrived. */
async function flood(way: 'in' | 'out', flags: FaultFlags, seed = SEED): Promise<{ numbers: number[]; wire: Wire }> {
  const made = await wire(flags, seed);
  const { clock, peer, raw } = made;
  for (let sent = 0; sent < SENDS; sent++) {
    if (way === 'out') raw.link.control(numbered(sent), 4);
    else peer.send(raw.local, ...numbered(sent));
  }
  clock.run();
  return { numbers: numbersIn((way === 'out' ? peer : raw).inbox.contents), wire: made };
}

describe.each(['in', 'out'] as const)('packets on their way %s', (way) => {
  const back = way === 'in' ? 'out' : 'in';

  it('are lost in the configured share, and counted', async () => {
    const { numbers, wire: made } = await flood(way, { loss: `${way}:5%` });
    expect(made.counts).toEqual({ ...NOTHING, lost: SENDS - numbers.length });
    expect(made.counts.lost / SENDS).toBeGreaterThan(0.045);
    expect(made.counts.lost / SENDS).toBeLessThan(0.055);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  });

  it('are doubled in the configured share, each copy right after its original', async () => {
    const { numbers, wire: made } = await flood(way, { duplicate: `${way}:5%` });
    expect(made.counts).toEqual({ ...NOTHING, duplicated: numbers.length - SENDS });
    expect(made.counts.duplicated / SENDS).toBeGreaterThan(0.045);
    expect(made.counts.duplicated / SENDS).toBeLessThan(0.055);
    expect(numbers.filter((number, at) => number === numbers[at - 1])).toHaveLength(made.counts.duplicated);
  });

  it('are overtaken by the next one in the configured share, and none is lost', async () => {
    const { numbers, wire: made } = await flood(way, { reorder: `${way}:5%` });
    const overtaken = numbers.filter((number, at) => number < (numbers[at - 1] ?? 0));
    expect(made.counts).toEqual({ ...NOTHING, reordered: overtaken.length });
    expect(overtaken.length / SENDS).toBeGreaterThan(0.042);
    expect(overtaken.length / SENDS).toBeLessThan(0.055);
    expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: SENDS }, (_, number) => number));
    expect(made.clock.now()).toBe(0);
  });

  it('are not held back forever if no packet comes to overtake them', async () => {
    const made = await wire({ reorder: `${way}:100%` });
    if (way === 'out') made.raw.link.control(numbered(7), 4);
    else made.peer.send(made.raw.local, ...numbered(7));
    const { inbox } = way === 'out' ? made.peer : made.raw;
    made.clock.run(19);
    expect(inbox.contents).toEqual([]);
    made.clock.run(25);
    expect(numbersIn(inbox.contents)).toEqual([7]);
  });

  it('are not affected by the faults of the other direction', async () => {
    const { numbers, wire: made } = await flood(way, { loss: `${back}:50%`, delay: `${back}:5ms` });
    expect(numbers).toHaveLength(SENDS);
    expect(made.counts).toEqual(NOTHING);
    expect(made.clock.now()).toBe(0);
  });

  it('are delayed within the span, in order, and counted', async () => {
    const made = await wire({ delay: `${way}:2ms..50ms` });
    const arrivals: number[] = [];
    const { inbox } = way === 'out' ? made.peer : made.raw;
    for (let sent = 0; sent < 500; sent++) {
      made.clock.wake(sent * 3, () => {
        if (way === 'out') made.raw.link.control(numbered(sent), 4);
        else made.peer.send(made.raw.local, ...numbered(sent));
      });
    }
    while (made.clock.step()) while (arrivals.length < inbox.contents.length) arrivals.push(made.clock.now());
    const waits = arrivals.map((at, sent) => at - sent * 3);
    expect(numbersIn(inbox.contents)).toEqual(Array.from({ length: 500 }, (_, number) => number));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(2);
    expect(Math.max(...waits)).toBeLessThanOrEqual(50);
    expect(new Set(waits).size).toBeGreaterThan(15);
    expect(made.counts).toEqual({ ...NOTHING, delayed: 500 });
  });

  it('are lost when a thousand are already on their way, so that memory is bounded', async () => {
    const { numbers, wire: made } = await flood(way, { delay: `${way}:5ms` });
    expect(numbers).toHaveLength(1024);
    expect(made.counts).toEqual({ ...NOTHING, delayed: 1024, lost: SENDS - 1024 });
  });

  it('have the same fate with the same seed, and a different one with another seed', async () => {
    const flags: FaultFlags = { loss: '3%', duplicate: '3%', reorder: '3%' };
    const first = await flood(way, flags);
    const again = await flood(way, flags);
    const other = await flood(way, flags, SEED + 1);
    expect(again.numbers).toEqual(first.numbers);
    expect(again.wire.counts).toEqual(first.wire.counts);
    expect(other.numbers).not.toEqual(first.numbers);
  });
});

describe('an engine with faults', () => {
  it('is the plain engine if packets have no faults', () => {
    const engine = new MemoryNetwork(new VirtualClock(), 1).engine();
    for (const flags of [{}, { vanish: '5%', crawl: '5%:1s' }, { loss: '0%', delay: '0' }]) {
      const plan = parseFaults(flags);
      expect(isFaultless(plan)).toBe(true);
      expect(withFaults(engine, plan, new Random(1))).toBe(engine);
    }
    expect(withFaults(engine, parseFaults({ lose: ['oack'] }), new Random(1))).not.toBe(engine);
  });

  it('passes on untouched packets without a copy', async () => {
    const { clock, network, engine } = bare({ loss: '0.000001%', lose: ['ack 9'] });
    const peer = await network.engine().listen({ address: 'server', port: 1 }, () => {});
    const heard: Uint8Array[] = [];
    const receiver: LinkReceiver = {
      onDatagram: (bytes) => heard.push(bytes),
      onUnreachable: () => {},
      onUnreadable: () => {},
    };
    const link = await engine.link({ local: 'node', peer: peer.local, peerPort: 'fixed' }, receiver);
    const bytes = numbered(7);
    network.send(bytes, peer.local, link.local);
    clock.run();
    expect(heard[0]).toBe(bytes);
  });

  it('gives each node its own faults, independent of its neighbors', async () => {
    const alone = await lostOf(['a', 'a']);
    const among = await lostOf(['b', 'a', 'c', 'b', 'a']);
    expect(among['a']).toEqual(alone['a']);
    expect(among['b']![0]).not.toEqual(among['a']![0]);
    expect(alone['a']![0]).not.toEqual(alone['a']![1]);
  });

  it('reports strangers and closed ports as the engine does', async () => {
    const { clock, network, engine } = bare({ loss: 'out:0.001%' });
    const peer = await network.engine().listen({ address: 'server', port: 1 }, () => {});
    const strange: number[] = [];
    let unreachable = 0;
    const link = await engine.link(
      { local: 'node', peer: peer.local, peerPort: 'learn' },
      {
        onDatagram: () => {},
        onUnreachable: () => unreachable++,
        onUnreadable: () => {},
        onStranger: (_bytes, length) => strange.push(length),
      },
    );
    network.send(numbered(1), peer.local, link.local);
    network.send(numbered(2), { address: 'server', port: 2 }, link.local);
    clock.run();
    expect(strange).toEqual([4]);
    await peer.close();
    link.control(numbered(3), 4);
    clock.run();
    expect(unreachable).toBe(1);
  });

  it('drops packets on their way to a link that closes, and delivers those on their way from it', async () => {
    const { clock, peer, raw, counts } = await wire({ delay: '5ms' });
    raw.link.control(numbered(1), 4);
    peer.send(raw.local, ...numbered(2));
    clock.run(3);
    raw.link.close();
    raw.link.close();
    raw.link.control(numbered(3), 4);
    clock.run();
    expect(numbersIn(peer.inbox.contents)).toEqual([1]);
    expect(raw.inbox.contents).toEqual([]);
    expect(counts.delayed).toBe(2);
  });

  it('leaves no timer behind when it is closed', async () => {
    const { clock, peer, raw, close } = await wire({ delay: 'out:5ms', reorder: '50%' });
    for (let sent = 0; sent < 20; sent++) {
      raw.link.control(numbered(sent), 4);
      peer.send(raw.local, ...numbered(sent));
    }
    clock.run(1);
    const heard = raw.inbox.contents.length;
    await close();
    expect(clock.step()).toBe(false);
    expect(peer.inbox.contents).toEqual([]);
    expect(raw.inbox.contents).toHaveLength(heard);
  });
});

interface Bare {
  readonly clock: VirtualClock;
  readonly network: MemoryNetwork;
  readonly engine: Engine;
}

function bare(flags: FaultFlags): Bare {
  const clock = new VirtualClock();
  const network = new MemoryNetwork(clock, 1);
  return { clock, network, engine: withFaults(network.engine(), parseFaults(flags), new Random(SEED)) };
}

/** Numbers of the packets, of 200, that each link loses. Links are opened in turn and send in turn. */
async function lostOf(locals: readonly string[]): Promise<Record<string, number[][]>> {
  const { clock, network, engine } = bare({ loss: '20%' });
  const arrived = new Map<string, Set<number>>();
  const server = await network.engine().listen({ address: 'server', port: 1 }, (bytes, _length, from) => {
    arrived.get(`${from.address}:${from.port}`)!.add(numbersIn([[...bytes]])[0]!);
  });
  const receiver: LinkReceiver = { onDatagram: () => {}, onUnreachable: () => {}, onUnreadable: () => {} };
  const links: Link[] = [];
  for (const local of locals) links.push(await engine.link({ local, peer: server.local, peerPort: 'fixed' }, receiver));
  for (const { local } of links) arrived.set(`${local.address}:${local.port}`, new Set());
  for (let sent = 0; sent < 200; sent++) for (const link of links) link.control(numbered(sent), 4);
  clock.run();
  const lost: Record<string, number[][]> = {};
  for (const { local } of links) {
    const got = arrived.get(`${local.address}:${local.port}`)!;
    const missing = Array.from({ length: 200 }, (_, number) => number).filter((number) => !got.has(number));
    lost[local.address] = [...(lost[local.address] ?? []), missing];
  }
  return lost;
}

describe('packets that are lost by name', () => {
  it('are lost in each transfer, also on the same link', async () => {
    const { clock, peer, raw, counts } = await wire({ lose: ['ack 1', 'data last'] });
    const request = Uint8Array.of(0, OPCODE.RRQ, 0x61, 0, 0x6f, 0);
    const transfer = (): void => {
      raw.link.control(request, request.length);
      // A request repeated before the answer belongs to the same transfer.
      raw.link.control(request, request.length);
      raw.link.control(numbered(1), 4);
      raw.link.control(numbered(1), 4);
      peer.send(raw.local, 0, OPCODE.DATA, 0, 2, 9);
      peer.send(raw.local, 0, OPCODE.DATA, 0, 2, 9);
      clock.run();
    };
    transfer();
    expect(counts.lost).toBe(2);
    transfer();
    expect(counts.lost).toBe(4);
    expect(raw.inbox.contents).toEqual([
      [0, OPCODE.DATA, 0, 2, 9],
      [0, OPCODE.DATA, 0, 2, 9],
    ]);
  });
});
