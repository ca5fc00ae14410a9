/** The driver's own rules, tested with scripted sessions. Whole transfers are in driver-conformance.ts. */
import { beforeEach, describe, expect, test } from 'vitest';
import { allocateCounters, COUNTER, counterRow } from '../../src/engine/counters.ts';
import { Driver } from '../../src/engine/driver.ts';
import type { Job } from '../../src/engine/job.ts';
import { LatencyHistogram } from '../../src/engine/latencies.ts';
import { MemoryNetwork } from '../../src/engine/memory.ts';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';
import type { Engine } from '../../src/engine/types.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import type { Packet } from '../../src/protocol/packet.ts';
import { type Outcome, type Session, type Steps, createTally } from '../../src/session/session.ts';
import { RawPeer } from '../support/datagrams.ts';

/** A session that does what a test scripts; by default, nothing. */
class ScriptedSession implements Session {
  readonly rollover = 0;
  phase = 0;
  readonly tally = createTally();
  deadline = Number.MAX_SAFE_INTEGER;
  outcome: Outcome | undefined;
  /** Times at which onDeadline was called. */
  readonly woken: number[] = [];

  start(_now: number, out: Steps): void {
    out.opening();
  }

  onPacket(_packet: Packet, _now: number, _out: Steps): void {}

  onDeadline(now: number, _out: Steps): void {
    this.woken.push(now);
    this.outcome = 'timeout';
  }

  onUnreachable(): void {
    this.outcome = 'unreachable';
  }

  abort(): void {
    this.outcome = 'aborted';
  }
}

describe('a driver', () => {
  let clock: VirtualClock;
  let network: MemoryNetwork;
  let engine: Engine;
  let peer: RawPeer;
  let counters: Float64Array;
  let driver: Driver;

  beforeEach(async () => {
    clock = new VirtualClock();
    network = new MemoryNetwork(clock, 1);
    engine = network.engine();
    peer = await RawPeer.open(network.engine(), 'peer');
    counters = counterRow(allocateCounters(1), 0);
    driver = new Driver(engine, counters);
  });

  function job(session: Session, more: Partial<Job> = {}): Job {
    return {
      session,
      link: { local: 'here', peer: peer.local, peerPort: 'fixed' },
      opening: Uint8Array.of(0, 6),
      ...more,
    };
  }

  test('wakes a session at its deadline and not before, also when the deadline has moved', async () => {
    const sessions = [500, 20_000, 3].map((deadline) => Object.assign(new ScriptedSession(), { deadline }));
    const reports = sessions.map((session) => driver.run(job(session)));
    await clock.runAsync(2);
    expect(sessions.map(({ woken }) => woken)).toEqual([[], [], []]);
    sessions[0]!.deadline = 900;
    await clock.runAsync(600);
    expect(sessions.map(({ woken }) => woken)).toEqual([[], [], [3]]);
    await clock.runAsync();
    expect(sessions.map(({ woken }) => woken)).toEqual([[900], [20_000], [3]]);
    expect((await Promise.all(reports)).map(({ outcome }) => outcome)).toEqual(['timeout', 'timeout', 'timeout']);
  });

  test('follows a deadline that any packet has moved earlier', async () => {
    const session = Object.assign(new ScriptedSession(), { deadline: 10_000 });
    session.onPacket = () => {
      session.deadline = clock.now() + 7;
    };
    const report = driver.run(job(session));
    await clock.runAsync(100);
    peer.send(peer.inbox.datagrams[0]!.from!, 0, 4, 0, 0);
    await clock.runAsync();
    await report;
    expect(session.woken).toEqual([107]);
  });

  test('leaves no timer behind when its last transfer has ended', async () => {
    const session = Object.assign(new ScriptedSession(), { deadline: 5000 });
    session.onPacket = () => {
      session.outcome = 'complete';
    };
    const report = driver.run(job(session));
    await clock.runAsync(10);
    peer.send(peer.inbox.datagrams[0]!.from!, 0, 4, 0, 0);
    await clock.runAsync(11);
    expect((await report).outcome).toBe('complete');
    expect(driver.size).toBe(0);
    expect(clock.step()).toBe(false);
    // The next transfer sets a timer again.
    const next = Object.assign(new ScriptedSession(), { deadline: 100 });
    void driver.run(job(next));
    await clock.runAsync();
    expect(next.woken).toEqual([100]);
  });

  test('reports a transfer that gets no port as aborted, with the reason', async () => {
    engine.link = () => Promise.reject(Object.assign(new Error('bind EMFILE'), { code: 'EMFILE' }));
    expect(await driver.run(job(new ScriptedSession()))).toMatchObject({ outcome: 'aborted', fault: 'bind EMFILE' });
    expect(driver.size).toBe(0);
  });

  test.each(['start', 'onPacket', 'onDeadline', 'onUnreachable', 'abort'] as const)(
    'a throw in %s of one session ends that one with its fault, and no other',
    async (method) => {
      const faulty = Object.assign(new ScriptedSession(), { deadline: 50 });
      faulty[method] = () => {
        throw new Error('a bug of ours');
      };
      const good = Object.assign(new ScriptedSession(), { deadline: 50 });
      const reports = [driver.run(job(faulty)), driver.run(job(good))];
      await clock.runAsync(10);
      if (method === 'onPacket') for (const { from } of peer.inbox.datagrams) peer.send(from!, 0, 4, 0, 0);
      if (method === 'onUnreachable') {
        await peer.port.close();
        // The kernel reports a refused packet only in answer to a send.
        network.tap = undefined;
        network.send(Uint8Array.of(0), peer.inbox.datagrams[0]!.from!, peer.local);
      }
      await clock.runAsync(20);
      if (method === 'abort') driver.abortAll();
      await clock.runAsync();
      const [first, second] = await Promise.all(reports);
      expect(first?.outcome).toBe('aborted');
      expect(first?.fault).toMatch(/a bug of ours/);
      expect(second).toMatchObject({ outcome: method === 'abort' ? 'aborted' : 'timeout', fault: undefined });
      expect(driver.size).toBe(0);
    },
  );

  test('a throw in a supervision, or in a getter of a session, also ends only that transfer', async () => {
    const fail = (): never => {
      throw new Error('a bug of ours');
    };
    let rung = true;
    driver = new Driver(engine, counters, { doorbell: () => rung });
    const odd = new ScriptedSession();
    Object.defineProperty(odd, 'deadline', { get: fail });
    const reports = [
      driver.run(job(new ScriptedSession(), { supervision: { onProgress: fail, attend: () => {} } })),
      driver.run(job(new ScriptedSession(), { supervision: { onProgress: () => {}, attend: fail } })),
      driver.run(job(odd)),
    ];
    const good = Object.assign(new ScriptedSession(), { deadline: 300 });
    const last = driver.run(job(good));
    await clock.runAsync(100);
    rung = false;
    for (const report of await Promise.all(reports)) {
      expect(report.outcome).toBe('aborted');
      expect(report.fault).toMatch(/a bug of ours/);
    }
    await clock.runAsync();
    expect(await last).toMatchObject({ outcome: 'timeout', fault: undefined });
    expect(good.woken).toEqual([300]);
  });

  test('asks supervisions within ten milliseconds after the doorbell has rung, and only then', async () => {
    let rung = false;
    driver = new Driver(engine, counters, {
      doorbell: () => {
        const was = rung;
        rung = false;
        return was;
      },
    });
    const attended: number[] = [];
    const session = Object.assign(new ScriptedSession(), { deadline: 60_000 });
    const supervision = {
      onProgress: () => {},
      attend: (now: number, out: Steps) => {
        attended.push(now);
        if (now > 500) session.abort();
        else out.opening();
      },
    };
    const report = driver.run(job(session, { supervision }));
    await clock.runAsync(100);
    attended.length = 0;
    peer.inbox.datagrams.length = 0;
    await clock.runAsync(300);
    expect(attended).toEqual([]);
    rung = true;
    await clock.runAsync(400);
    expect(attended).toHaveLength(1);
    expect(attended[0]).toBeLessThanOrEqual(310);
    expect(peer.inbox.contents).toEqual([[0, 6]]);
    await clock.runAsync(600);
    rung = true;
    await clock.runAsync(1000);
    expect((await report).outcome).toBe('aborted');
    expect(clock.step()).toBe(false);
  });

  test('reports progress to supervisions now and then, and a new phase at once, and counts the time of a transfer until its last', async () => {
    const progress: number[] = [];
    const session = Object.assign(new ScriptedSession(), { deadline: 9000 });
    session.onPacket = ({ block }) => {
      session.tally.blocks = block;
      if (block === 3) session.phase = 1;
    };
    const supervision = { onProgress: (at: number) => progress.push(at), attend: () => {} };
    const report = driver.run(job(session, { supervision }));
    await clock.runAsync(0);
    const link = peer.inbox.datagrams[0]!.from!;
    for (const [at, block] of [
      [100, 1],
      [120, 1],
      [140, 2],
      [150, 3],
      [180, 4],
      [220, 5],
    ] as const) {
      await clock.runAsync(at);
      peer.send(link, 0, 4, 0, block);
    }
    await clock.runAsync();
    expect(await report).toMatchObject({ outcome: 'timeout', durationMs: 220, blocks: 5 });
    expect(progress).toEqual([0, 100, 150, 220, 220]);
  });

  test('counts what arrives, what of it is malformed, stale, or sent again', async () => {
    const session = Object.assign(new ScriptedSession(), { deadline: 1000 });
    session.onPacket = () => {
      session.tally.stale++;
      session.tally.retransmits += 2;
    };
    const report = driver.run(job(session));
    await clock.runAsync(1);
    const link = peer.inbox.datagrams[0]!.from!;
    for (const bytes of [[], [0], [1, 4, 0, 0], [0, 9, 0, 0], [0, 4, 0], [0, 4, 0, 1], [0, 4, 0, 1]]) {
      peer.send(link, ...bytes);
    }
    await clock.runAsync();
    await report;
    expect(counters[COUNTER.received]).toBe(7);
    expect(counters[COUNTER.malformed]).toBe(5);
    expect(counters[COUNTER.stale]).toBe(2);
    expect(counters[COUNTER.retransmits]).toBe(4);
    expect(counters[COUNTER.duplicateAcks]).toBe(2);
  });

  test('counts DATA that is sent again, stale packets that are no ACKs, and DATA that comes', async () => {
    const session = Object.assign(new ScriptedSession(), { deadline: 1000 });
    const blocks = [1, 2, 2, 1, 3];
    session.onPacket = (_packet, _now, out) => {
      session.tally.stale++;
      const block = blocks.shift();
      if (block !== undefined) out.data(block, 0, 4);
    };
    const report = driver.run(job(session, { content: engine.attach(shareBytes(Uint8Array.of(1, 2, 3, 4))) }));
    await clock.runAsync(1);
    const link = peer.inbox.datagrams[0]!.from!;
    for (const opcode of [4, 4, 4, 4, 4, 3, 3]) peer.send(link, 0, opcode, 0, 1);
    await clock.runAsync();
    await report;
    expect(counters[COUNTER.dataSent]).toBe(5);
    expect(counters[COUNTER.dataRetransmitted]).toBe(2);
    expect(counters[COUNTER.stale]).toBe(7);
    expect(counters[COUNTER.duplicateAcks]).toBe(5);
    expect(counters[COUNTER.dataReceived]).toBe(2);
  });

  test('records each measured round trip once', async () => {
    const roundTrips = new LatencyHistogram([1, 10, 100]);
    driver = new Driver(engine, counters, { roundTrips });
    const session = Object.assign(new ScriptedSession(), { deadline: 1000 });
    const measured = [0, -1, 7, 300];
    session.onPacket = () => {
      session.tally.roundTripMs = measured.shift() ?? session.tally.roundTripMs;
    };
    const report = driver.run(job(session));
    await clock.runAsync(1);
    const link = peer.inbox.datagrams[0]!.from!;
    for (let count = 0; count < 6; count++) peer.send(link, 0, 4, 0, 1);
    await clock.runAsync();
    await report;
    expect(roundTrips.counts()).toEqual({ boundsMs: [1, 10, 100], counts: [1, 1, 0, 1], sumMs: 307 });
  });
});
