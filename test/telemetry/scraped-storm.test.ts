/** The built command under a storm by the built command, on real sockets: its metrics against the storm's report. */
import { expect, it } from 'vitest';
import { blockCount } from '../../src/protocol/block.ts';
import { BOOT, INITRD, KERNEL, rightFiles, storm } from '../cli/storm-fixture.ts';
import { Reveille } from '../support/reveille.ts';

const NODES = 60;
/** Block size that iPXE requests. */
const BLKSIZE = 1432;

it('the metrics of a server agree with the storm that it went through', { timeout: 60_000 }, async () => {
  const root = rightFiles();
  const args = ['serve', root, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--no-hint'];
  const server = new Reveille(args, {});
  const [, port, admin] = await server.saying(/"addresses":\["127\.0\.0\.1:(\d+)"\],"admin":"([^"]+)"/);
  const scrape = async (): Promise<Map<string, number>> => {
    const text = await (await fetch(`http://${admin}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith('reveille_'));
    return new Map(
      lines.map((line) => line.split(' ') as [string, string]).map(([name, value]) => [name, Number(value)]),
    );
  };
  const before = await scrape();
  const options = ['--nodes', String(NODES), '--profile', 'ipxe', ...BOOT, '--file', 'gone'];
  const { report } = await storm(Number(port), options);
  // Each node fails at the last file, which does not exist.
  expect(report).toMatchObject({ failed: NODES, bytes: NODES * (KERNEL.length + INITRD.length) });
  // The reports of the last transfers may still be on their way to the main thread.
  await expect.poll(async () => (await scrape()).get('reveille_transfers_active{protocol="tftp"}')).toBe(0);
  const samples = await scrape();
  const count = (name: string): number => samples.get(`reveille_${name}`)!;
  const ended = (outcome: string): number =>
    count(`transfers_total{outcome="${outcome}",origin="file",protocol="tftp"}`);
  const [sent, again] = [count('data_packets_sent_total'), count('data_packets_retransmitted_total')];
  expect(sent - again).toBe(NODES * (blockCount(KERNEL.length, BLKSIZE) + blockCount(INITRD.length, BLKSIZE)));
  // On a busy machine timers may have run out. Copies of last blocks no longer reach an open port.
  expect(sent - report.data_packets).toBeGreaterThanOrEqual(0);
  expect(sent - report.data_packets).toBeLessThanOrEqual(again);
  expect(again > 0 || count('data_sent_bytes_total{protocol="tftp"}') === report.bytes).toBe(true);
  expect(ended('complete') + ended('completeUnconfirmed')).toBe(2 * NODES);
  expect(count('refusals_total{reason="not_found",code="1",protocol="tftp"}')).toBe(NODES);
  expect(count('transfers_started_total{origin="file",protocol="tftp"}')).toBe(2 * NODES);
  expect(count('first_reply_seconds_count')).toBe(2 * NODES);
  expect(count('block_turnaround_seconds_count')).toBeGreaterThan(0);
  expect(count('round_trip_seconds_count')).toBeGreaterThan(0);
  expect([...samples.keys()]).toEqual([...before.keys()]);
  server.process.kill('SIGTERM');
  expect((await server.ended).code).toBe(0);
});
