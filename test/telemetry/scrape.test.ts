/** The cost of a scrape, and that its size does not grow with the network. */
import { describe, expect, it } from 'vitest';
import { threadCpuSeconds } from '../../src/pool/thread-vitals.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { MeteredWorld } from './metered-world.ts';

const MAX_MS = 20;
const TRANSFERS = 5000;
const TURNS = 15;

/** Distinct addresses for more than ten thousand clients. */
function addressOf(client: number): string {
  return `10.${1 + (client >> 16)}.${(client >> 8) & 255}.${client & 255}`;
}

describe('a scrape', { timeout: 60_000 }, () => {
  it('shows as many series after ten thousand clients and names as before the first', async () => {
    const world = await MeteredWorld.start({ 'boot/linux': seededBytes(SEED, 100) });
    const before = [...(await world.scrape()).keys()].filter((name) => name.startsWith('reveille_'));
    for (let client = 0; client < 10_000; client++) {
      const node = world.world.client(addressOf(client), 2000 + (client % 1000));
      node.ask(`pxelinux.cfg/${client}`);
      if (client % 100 === 0) node.ask('../out', {}, 'octet', client % 200 === 0 ? 'read' : 'write');
      if (client % 10 !== 0) continue;
      node.ask('boot/linux', { blksize: 8 + client });
      await world.pass(2);
      node.ack(0);
      await world.pass(2);
      if (client % 20 === 0) node.error(3);
      else node.ack(1);
      await world.pass(2);
      node.close();
    }
    await world.pass(20_000);
    const samples = await world.scrape();
    expect(samples.get('reveille_requests_total{protocol="tftp"}')).toBe(11_100);
    expect(samples.get('reveille_refusals_total{reason="not_found",code="1",protocol="tftp"}')).toBeGreaterThan(8000);
    expect(
      samples.get('reveille_transfers_total{outcome="clientError",origin="file",protocol="tftp"}'),
    ).toBeGreaterThan(100);
    expect(samples.get('reveille_transfers_total{outcome="complete",origin="file",protocol="tftp"}')).toBeGreaterThan(
      100,
    );
    expect([...samples.keys()].filter((name) => name.startsWith('reveille_'))).toEqual(before);
  });

  it(`costs the main thread at most ${MAX_MS} ms with ${TRANSFERS} transfers running`, async () => {
    const world = await MeteredWorld.start({ linux: seededBytes(SEED, 100_000) });
    for (let client = 0; client < TRANSFERS; client++) {
      const node = world.world.client(addressOf(client));
      node.ask('linux', { blksize: 1000 });
      await world.pass(client % 100 === 0 ? 1 : 0);
      node.ack(0);
    }
    // The transfers stand still long enough to count as stuck.
    await world.pass(5500);
    const samples = await world.scrape();
    expect(samples.get('reveille_transfers_active{protocol="tftp"}')).toBe(TRANSFERS);
    expect(samples.get('reveille_nodes_booting')).toBe(TRANSFERS);
    expect(samples.get('reveille_transfers_stuck')).toBe(TRANSFERS);
    const costs: number[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      const before = threadCpuSeconds()!;
      await world.metrics.registry.metrics();
      costs.push(1000 * (threadCpuSeconds()! - before));
    }
    // The cost is processor time rather than elapsed time, because other processes may need the processor.
    const median = costs.toSorted((one, other) => one - other)[TURNS >> 1]!;
    expect(median).toBeGreaterThan(0);
    expect(median).toBeLessThanOrEqual(MAX_MS);
  });
});
