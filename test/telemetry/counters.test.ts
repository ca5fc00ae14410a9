/**
 * The metrics of a server against the report of the storm it went through: on virtual time, where only deliberate
 * faults can make the two differ.
 */
import { describe, expect, it } from 'vitest';
import { blockCount } from '../../src/protocol/block.ts';
import { readPlan } from '../../src/storm/plan/read-plan.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { version, virtualStorm } from '../support/virtual-storm.ts';
import { SERVER } from '../server/world.ts';
import { MeteredWorld, type Samples } from './metered-world.ts';

const FILES = {
  'shimx64.efi': seededBytes(SEED, 90_000),
  'grub/grub.cfg': seededBytes(SEED + 1, 300),
  linux: seededBytes(SEED + 2, 143_200),
  'initrd.img': seededBytes(SEED + 3, 400_000),
};
const EXPECTED = [version('', new Map(Object.entries(FILES)))];
/** Block size that each profile requests. */
const BLKSIZE = { edk2: 1468, grub: 1024, ipxe: 1432 } as const;
const PLAN = readPlan(
  `name: boot
stages:
  - { name: loader, profile: edk2, file: shimx64.efi }
  - { name: config, profile: grub, search: ['grub/grub.cfg-{mac}', 'grub/none', grub/grub.cfg] }
  - { name: kernel, profile: ipxe, file: linux }
  - { name: initrd, profile: ipxe, file: initrd.img }
`,
  'plan.yaml',
);
const NODES = 40;
/** Number of blocks that one node fetches. */
const BLOCKS =
  blockCount(FILES['shimx64.efi'].length, BLKSIZE.edk2) +
  blockCount(FILES['grub/grub.cfg'].length, BLKSIZE.grub) +
  blockCount(FILES.linux.length, BLKSIZE.ipxe) +
  blockCount(FILES['initrd.img'].length, BLKSIZE.ipxe);

/** Finished transfers by outcome, without outcomes that did not occur. */
function outcomesOf(samples: Samples): Record<string, number> {
  const found = [...samples].filter(([name, count]) => name.startsWith('reveille_transfers_total{') && count > 0);
  return Object.fromEntries(found.map(([name, count]) => [/outcome="(\w+)"/.exec(name)![1]!, count] as const));
}

describe('the counters of a server', { timeout: 60_000 }, () => {
  it('agree with the storm to the last byte, block and outcome where nothing is lost', async () => {
    const world = await MeteredWorld.start(FILES);
    const { network } = world;
    const report = await virtualStorm({ network, server: SERVER, plan: PLAN, expected: EXPECTED, nodes: NODES });
    expect(report).toMatchObject({ completed: NODES, failed: 0, wrong_bytes: 0, violations: [] });
    const samples = await world.scrape();
    const count = (name: string): number | undefined => samples.get(`reveille_${name}`);
    expect(count('data_packets_sent_total')).toBe(NODES * BLOCKS);
    expect(report.data_packets).toBe(NODES * BLOCKS);
    expect(count('data_sent_bytes_total{protocol="tftp"}')).toBe(report.bytes);
    expect(count('data_packets_retransmitted_total')).toBe(0);
    const files = report.stages.reduce((sum, stage) => sum + stage.files, 0);
    const misses = report.stages.reduce((sum, stage) => sum + stage.misses, 0);
    // The UEFI of each node asks for the size first.
    expect(outcomesOf(samples)).toEqual({ complete: files, probe: NODES });
    expect(count('transfers_started_total{origin="file",protocol="tftp"}')).toBe(files + NODES);
    expect(count('refusals_total{reason="not_found",code="1",protocol="tftp"}')).toBe(misses);
    expect(misses).toBe(2 * NODES);
    expect(count('requests_total{protocol="tftp"}')).toBe(files + NODES + misses);
    expect(count('first_reply_seconds_count')).toBe(files + NODES);
    expect(count('transfer_duration_seconds_count{protocol="tftp"}')).toBe(files);
    expect(count('transfers_active{protocol="tftp"}')).toBe(0);
    expect(count('nodes_booting')).toBe(0);
  });

  it.each([11, 12, 13])('agree on blocks and outcomes where blocks are lost on the way (seed %i)', async (seed) => {
    const world = await MeteredWorld.start(FILES);
    const report = await virtualStorm({
      network: world.network,
      server: SERVER,
      plan: PLAN,
      expected: EXPECTED,
      nodes: NODES,
      seed,
      faults: { loss: 'in:2%' },
    });
    expect(report).toMatchObject({ completed: NODES, failed: 0, wrong_bytes: 0 });
    expect(report.injected.lost_data).toBeGreaterThan(100);
    const samples = await world.scrape();
    const sent = samples.get('reveille_data_packets_sent_total')!;
    expect(sent).toBe(report.data_packets + report.injected.lost_data);
    // Without retransmissions, every block was sent exactly once.
    expect(sent - samples.get('reveille_data_packets_retransmitted_total')!).toBe(NODES * BLOCKS);
    expect(samples.get('reveille_data_packets_retransmitted_total')).toBeGreaterThanOrEqual(report.injected.lost_data);
    const { complete = 0, completeUnconfirmed = 0, ...others } = outcomesOf(samples);
    expect(complete + completeUnconfirmed).toBe(report.stages.reduce((sum, stage) => sum + stage.files, 0));
    expect(Object.keys(others)).toEqual(['probe']);
  });

  it('agree on outcomes where nodes vanish', async () => {
    const world = await MeteredWorld.start(FILES);
    const faults = { vanish: '30%', loss: '1%' };
    const { network } = world;
    const report = await virtualStorm({
      network,
      server: SERVER,
      plan: PLAN,
      expected: EXPECTED,
      nodes: NODES,
      faults,
    });
    expect(report.injected.vanished_nodes).toBeGreaterThan(3);
    // The server gives up on the vanished nodes within this time.
    await world.pass(700_000);
    const samples = await world.scrape();
    const ended = outcomesOf(samples);
    const files = report.stages.reduce((sum, stage) => sum + stage.files, 0);
    expect((ended['complete'] ?? 0) + (ended['completeUnconfirmed'] ?? 0)).toBeGreaterThanOrEqual(files);
    const sum = Object.values(ended).reduce((total, count) => total + count, 0);
    expect(sum).toBe(samples.get('reveille_transfers_started_total{origin="file",protocol="tftp"}'));
    expect(samples.get('reveille_transfers_active{protocol="tftp"}')).toBe(0);
  });
});
