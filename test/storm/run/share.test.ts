/** A thread's share of a storm on virtual time: every profile, faults, versions, stops, and the same seed twice. */
import { describe, expect, it } from 'vitest';
import { MemoryNetwork } from '../../../src/engine/memory.ts';
import { VirtualClock } from '../../../src/engine/virtual-clock.ts';
import type { ExpectedVersion } from '../../../src/storm/run/expected.ts';
import type { FaultFlags } from '../../../src/storm/plan/fault-plan.ts';
import { TFTP_PROFILES } from '../../../src/storm/plan/profiles.ts';
import { planFromFiles } from '../../../src/storm/plan/read-plan.ts';
import type { StormReport } from '../../../src/storm/report.ts';
import { SEED, seededBytes } from '../../support/content.ts';
import { MiniServer } from '../../support/mini-server.ts';
import { version, virtualStorm } from '../../support/virtual-storm.ts';

const FILES: ReadonlyMap<string, Uint8Array> = new Map([
  ['linux', seededBytes(SEED, 60_000)],
  ['initrd.img', seededBytes(SEED + 1, 150_000)],
]);

interface World {
  readonly profile?: string;
  readonly nodes?: number;
  readonly seed?: number;
  readonly faults?: FaultFlags;
  readonly expected?: readonly ExpectedVersion[];
  readonly everyMs?: number;
  /** Names that nodes fetch. Default: all files. */
  readonly files?: readonly string[];
  /** Called once a second with the counts of resent packets. */
  readonly watch?: (resent: { readonly client: number; readonly server: number }) => void;
  /** Time at which the storm is stopped. */
  readonly stopAt?: number;
}

async function storm(world: World = {}): Promise<Omit<StormReport, 'slo'>> {
  const { profile = 'ipxe', files, expected = [version('', FILES)], ...rest } = world;
  const clock = new VirtualClock();
  const network = new MemoryNetwork(clock, 1, { delayMs: 1 });
  const server = await new MiniServer(network.engine(), FILES).listen('10.0.0.1');
  const plan = planFromFiles({ profile, files: files ?? [...FILES.keys()] });
  return virtualStorm({ network, server, plan, expected, ...rest });
}

describe('a share of a storm', { timeout: 60_000 }, () => {
  it.each([...TFTP_PROFILES.keys()])('boots nodes with the manners of %s, every byte compared', async (profile) => {
    const report = await storm({ profile, nodes: 5 });
    expect(report.failures).toEqual([]);
    expect(report).toMatchObject({ completed: 5, failed: 0, unfinished: 0, wrong_bytes: 0, violations: [] });
    expect(report.stages.map(({ files, completed }) => [files, completed])).toEqual([
      [5, 5],
      [5, 5],
    ]);
    expect(report.curve.completed.at(-1)).toBe(5);
    expect(report.curve.bytes.reduce((sum, bytes) => sum + bytes, 0)).toBe(report.bytes);
  });

  it('is the same storm with the same seed, and another with another', async () => {
    const world: World = { faults: { loss: '2%', duplicate: '1%', vanish: '20%', crawl: '20%:30ms' }, nodes: 20 };
    const [first, again, other] = [await storm(world), await storm(world), await storm({ ...world, seed: 6 })];
    expect(again).toEqual(first);
    expect(other.injected).not.toEqual(first.injected);
    expect(first.injected.lost).toBeGreaterThan(0);
    expect(first.injected.vanished_nodes).toBeGreaterThan(0);
    expect(first.completed + first.failed + first.injected.vanished_nodes).toBe(20);
    expect(first.wrong_bytes).toBe(0);
    // Losses and duplicates that the storm itself injects do not count against the server.
    expect(first.violations).toEqual([]);
  });

  it('counts requests that had no answer in time: those asked again, and those given up', async () => {
    const lost = await storm({ nodes: 3, files: ['linux'], faults: { lose: ['rrq x2'] } });
    expect(lost).toMatchObject({ completed: 3, failed: 0, unanswered_requests: 6 });
    const silent = await storm({ nodes: 3, files: ['linux'], faults: { lose: ['rrq x99'] } });
    const sends = TFTP_PROFILES.get('ipxe')!.manners.request.sends;
    expect(silent).toMatchObject({ completed: 0, failed: 3, unanswered_requests: 3 * sends });
    // A node that waits for data has had an answer to its request.
    const gap = await storm({ nodes: 3, files: ['linux'], faults: { lose: ['ack 5'] } });
    expect(gap).toMatchObject({ completed: 3, unanswered_requests: 0 });
  });

  it('counts from the moment a node was due', async () => {
    const report = await storm({ nodes: 10, everyMs: 500 });
    expect(report.duration_s).toBeGreaterThan(4.5);
    expect(report.finish_s!.max).toBeLessThan(2);
  });

  it('says so when files are of another version, and when they are of none', async () => {
    const other = new Map(FILES).set('initrd.img', seededBytes(SEED + 9, 150_000));
    const strange = new Map(FILES).set('linux', seededBytes(SEED + 8, 60_000));
    const right = await storm({ expected: [version('1', FILES), version('2', other)] });
    expect(right).toMatchObject({ wrong_bytes: 0, mixed_versions: 0 });
    // The kernel belongs only to version 2, the initrd only to version 3.
    const three = new Map(strange).set('initrd.img', FILES.get('initrd.img')!);
    const mixed = await storm({ expected: [version('2', other), version('3', three)], nodes: 4 });
    expect(mixed).toMatchObject({ wrong_bytes: 0, mixed_versions: 4, completed: 4 });
    const wrong = await storm({ expected: [version('', strange)], nodes: 4 });
    expect(wrong).toMatchObject({ wrong_bytes: 4, mixed_versions: null });
    expect(wrong.violations).toMatchObject([{ id: 'wrong-bytes', count: 4 }]);
    expect(wrong.violations[0]!.example).toContain('node 1, linux: linux');
  });

  it('does not blame the server for copies that its own reordering caused', async () => {
    for (const profile of ['edk2', 'shim', 'windows']) {
      const report = await storm({ profile, nodes: 10, faults: { reorder: '5%' } });
      expect(report, `${profile}, seed 5`).toMatchObject({ completed: 10, violations: [] });
      expect(report.injected.reordered).toBeGreaterThan(10);
    }
  });

  it('counts a node that failed after it had got two versions as mixed', async () => {
    const other = new Map(FILES).set('initrd.img', seededBytes(SEED + 9, 150_000));
    const strange = new Map(FILES).set('linux', seededBytes(SEED + 8, 60_000));
    const versions = [version('1', other), version('2', strange)];
    const report = await storm({ expected: versions, nodes: 2, files: ['linux', 'initrd.img', 'gone'] });
    expect(report).toMatchObject({ completed: 0, failed: 2, mixed_versions: 2 });
    expect(report.violations).toMatchObject([{ id: 'mixed-versions', example: 'node 1, initrd.img: initrd.img' }]);
  });

  it('says how many files had nothing to be compared with', async () => {
    const report = await storm({ expected: [version('', new Map([['linux', FILES.get('linux')!]]))], nodes: 3 });
    expect(report).toMatchObject({ completed: 3, wrong_bytes: 0, files_not_compared: 3 });
    expect(await storm()).toMatchObject({ files_not_compared: 0 });
  });

  it('reports wrong bytes of a file that it left before its end', async () => {
    const strange = new Map(FILES).set('linux', seededBytes(SEED + 8, 60_000));
    const report = await storm({ expected: [version('', strange)], nodes: 10, faults: { vanish: '100%' } });
    expect(report.stages[0]!.files).toBeLessThan(10);
    expect(report.wrong_bytes).toBe(10);
  });

  it('shows retransmissions while a transfer is running', async () => {
    const seen: number[] = [];
    await storm({ nodes: 3, faults: { loss: '100%' }, profile: 'ipxe', watch: ({ client }) => seen.push(client) });
    expect(seen.filter((count) => count > 0 && count < 15).length).toBeGreaterThan(2);
  });

  it('ends when it is stopped, without failed nodes', async () => {
    const report = await storm({ nodes: 10, everyMs: 1000, stopAt: 3050 });
    expect(report).toMatchObject({ failed: 0, failures: [] });
    expect(report.completed).toBe(3);
    expect(report.unfinished).toBe(7);
    expect(report.duration_s).toBeLessThan(6);
  });
});
