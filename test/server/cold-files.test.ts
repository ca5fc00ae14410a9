/** Files that have not been read yet, on slow storage, as after a power cut: on virtual time. */
import { describe, expect, it } from 'vitest';
import { allocateCounters, counterRow } from '../../src/engine/counters.ts';
import { Driver } from '../../src/engine/driver.ts';
import { encodeReadRequest, MAX_CONTROL } from '../../src/protocol/encode.ts';
import { Receiver } from '../../src/session/receiver.ts';
import type { Outcome } from '../../src/session/session.ts';
import type { TftpProfile } from '../../src/storm/plan/profile.ts';
import { TFTP_PROFILES } from '../../src/storm/plan/profiles.ts';
import { seededBytes } from '../support/content.ts';
import { SlowDisk, type SlowDiskOptions } from './slow-disk.ts';
import { SERVER, World, type WorldOptions } from './world.ts';

const MIB = 1024 ** 2;

interface Cold {
  readonly world: World;
  readonly disk: SlowDisk;
}

async function cold(disk: SlowDiskOptions, options: WorldOptions = {}): Promise<Cold> {
  const source = new SlowDisk(disk);
  const world = await World.start({ ...options, source });
  source.clock = world.clock;
  return { world, disk: source };
}

interface Got {
  readonly outcome: Outcome;
  readonly bytes: Buffer;
  readonly at: number;
  readonly retransmits: number;
  readonly errorText: string;
}

/** A node that sends one request, with the options and the patience of its firmware. */
async function download({ world }: Cold, local: string, filename: string, profile: TftpProfile): Promise<Got> {
  const engine = world.network.engine();
  const driver = new Driver(engine, counterRow(allocateCounters(1), 0));
  const opening = new Uint8Array(MAX_CONTROL);
  const asked = profile.options.map(({ name, value }) => ({ spelling: name, value }));
  const wish = Object.fromEntries(
    profile.options.map(({ name, value }) => [name, name === 'tsize' ? true : Number(value)]),
  );
  const length = encodeReadRequest(opening, filename, 'octet', asked);
  const parts: { bytes: Buffer; offset: number }[] = [];
  const { manners } = profile;
  const report = await driver.run({
    session: new Receiver({ wish, seed: 1, patienceMs: 0, lingerMs: 0, manners }),
    link: { local, peer: SERVER, peerPort: 'learn' },
    opening: opening.subarray(0, length),
    keep: (bytes, start, end, offset) => void parts.push({ bytes: Buffer.from(bytes.subarray(start, end)), offset }),
  });
  const bytes = Buffer.concat(parts.map((part) => part.bytes));
  const { outcome, retransmits, errorText } = report;
  return { outcome, bytes, at: world.clock.now(), retransmits, errorText };
}

/** Compares without toEqual(), which takes seconds for each MiB. */
function against(content: Uint8Array, { outcome, bytes }: Got): { outcome: Outcome; isSame: boolean } {
  return { outcome, isSame: bytes.equals(content) };
}

const WHOLE = { outcome: 'complete', isSame: true };

const PROFILE_LIST = [...TFTP_PROFILES.values()];
const IPXE = TFTP_PROFILES.get('ipxe')!;

describe('a cold file', () => {
  it('of 200 MiB at 8 MB/s is answered at once, and so are 200 others', async () => {
    const rack = await cold({ bytesPerS: 8_000_000 }, { limits: { sessions: 300 } });
    const [large, small] = [new Uint8Array(200 * MIB), new Uint8Array(MIB)];
    const clients = Array.from({ length: 200 }, (_, index) => {
      rack.disk.files.set(`kernel-${index}`, index === 0 ? large : small);
      return rack.world.client(`10.0.1.${index}`);
    });
    for (const [index, client] of clients.entries()) client.ask(`kernel-${index}`, { blksize: 1468, tsize: 0 });
    await rack.world.pass(50);
    expect(clients.map(({ texts }) => texts)).toEqual(
      clients.map((_, index) => [`OACK blksize=1468 tsize=${index === 0 ? 200 * MIB : MIB}`]),
    );
  });

  it('is answered with DATA 1 as soon as its beginning has been read, where no option is asked for', async () => {
    const { world, disk } = await cold({ bytesPerS: 1_000_000 });
    disk.files.set('kernel', seededBytes(1, 10 * MIB));
    const client = world.client();
    client.ask('kernel');
    await world.pass(60);
    expect(client.texts).toEqual([]);
    await world.pass(20);
    expect(client.texts).toEqual(['DATA 1 +512']);
    expect(Buffer.from(seededBytes(1, 10 * MIB)).indexOf(client.last.bytes.subarray(4))).toBe(0);
  });

  it('costs only the reading of its beginning for a forged request', async () => {
    const { world, disk } = await cold({ bytesPerS: 100_000_000, limitBytes: 4 * MIB });
    disk.files.set('large', new Uint8Array(3 * MIB));
    disk.files.set('other', new Uint8Array(100_000));
    for (let port = 1; port <= 60; port++) world.client('10.0.0.66', port).ask('large', { blksize: 1468 });
    await world.pass(5000);
    expect(disk.read.get('large')).toBe(65_536);
    expect(disk.cache.stats()).toMatchObject({ heldBytes: 65_536, loads: 1 });
    const client = world.client();
    client.ask('other', { blksize: 1468 });
    await world.pass(10);
    expect(client.texts).toEqual(['OACK blksize=1468']);
    await world.pass(70_000);
    expect(disk.read.get('large')).toBe(65_536);
    expect(world.held).toBe(0);
  });

  it('of almost all the memory, asked for by forged requests, does not block other files', async () => {
    const { world, disk } = await cold({ bytesPerS: 100_000_000, limitBytes: 4 * MIB });
    disk.files.set('large', new Uint8Array(3.9 * MIB));
    disk.files.set('other', new Uint8Array(200_000));
    for (let second = 0; second < 5; second++) {
      for (let forged = 0; forged < 6; forged++) {
        world.client(`10.66.${second}.${forged}`).ask('large', { blksize: 1468 });
        // oxlint-disable-next-line no-await-in-loop -- time passes.
        await world.pass(160);
      }
      const node = world.client(`10.0.1.${second}`);
      node.ask('other', { blksize: 1468 });
      // Nodes before it, which do not answer either here, give way after 250 ms.
      // oxlint-disable-next-line no-await-in-loop -- time passes.
      await world.pass(300);
      expect(node.texts).toEqual(['OACK blksize=1468']);
    }
  });

  it('is read once, in 1.05 times the time that the disk takes, for a hundred nodes with any firmware', async () => {
    const rack = await cold({ bytesPerS: 50_000 }, { faults: { delayMs: 1 } });
    const content = seededBytes(3, MIB + 17);
    rack.disk.files.set('kernel', content);
    const nodes = Array.from({ length: 100 }, (_, index) =>
      download(rack, `10.0.1.${index}`, 'kernel', PROFILE_LIST[index % PROFILE_LIST.length]!),
    );
    await rack.world.pass(25_000);
    const got = await Promise.all(nodes);
    for (const [index, node] of got.entries()) {
      const { name } = PROFILE_LIST[index % PROFILE_LIST.length]!;
      expect({ name, ...against(content, node) }).toEqual({ name, ...WHOLE });
    }
    expect(rack.disk.read.get('kernel')).toBe(content.length);
    expect(Math.max(...got.map(({ at }) => at))).toBeLessThan(1.05 * (content.length / 50));
    // The wait for content caused no retransmission.
    expect(rack.world.transfers.map(({ retransmits }) => retransmits)).toEqual(got.map(() => 0));
    expect(rack.disk.cache.stats()).toMatchObject({ heldBytes: 0, idleBytes: content.length });
  }, 120_000);

  it('on a disk that hangs costs only its own transfers, which end after their patience', async () => {
    const rack = await cold({ bytesPerS: 8_000_000 });
    rack.disk.files.set('stuck', seededBytes(1, MIB));
    rack.disk.files.set('sound', seededBytes(2, MIB));
    rack.disk.hung.add('stuck');
    const patient: TftpProfile = { ...IPXE, manners: { ...IPXE.manners, data: { ...IPXE.manners.data, sends: 1000 } } };
    const stuck = download(rack, '10.0.1.1', 'stuck', patient);
    const sound = download(rack, '10.0.1.2', 'sound', IPXE);
    await rack.world.pass(5000);
    expect(await sound).toMatchObject({ outcome: 'complete' });
    await rack.world.pass(90_000);
    expect(await stuck).toMatchObject({ outcome: 'clientError', errorText: 'Timed out' });
    expect(rack.world.transfers.map(({ outcome }) => outcome)).toEqual(['complete', 'timeout']);
    expect(rack.world.held).toBe(0);
  });

  it('on a disk that fails ends with an error, and is read again for the next request', async () => {
    const rack = await cold({ bytesPerS: 1_000_000 });
    rack.disk.files.set('kernel', seededBytes(1, MIB));
    const first = download(rack, '10.0.1.1', 'kernel', IPXE);
    await rack.world.pass(200);
    rack.disk.broken.add('kernel');
    await rack.world.pass(200);
    const { outcome, errorText } = await first;
    expect({ outcome, errorText }).toEqual({ outcome: 'clientError', errorText: 'Content lost' });
    expect(rack.world.transfers[0]).toMatchObject({
      outcome: 'aborted',
      fault: 'The file could not be read to its end',
    });
    rack.disk.broken.clear();
    const next = download(rack, '10.0.1.1', 'kernel', IPXE);
    await rack.world.pass(2000);
    expect(against(seededBytes(1, MIB), await next)).toEqual(WHOLE);
  });
});

describe('a file that is changed while it is sent for the first time', () => {
  it('ends all its transfers with ERROR 0, and the next ones get the new file: never a mixture', async () => {
    const rack = await cold({ bytesPerS: 1_000_000 });
    rack.disk.files.set('kernel', seededBytes(1, MIB));
    const nodes = [1, 2, 3].map((node) => download(rack, `10.0.1.${node}`, 'kernel', IPXE));
    await rack.world.pass(500);
    rack.disk.files.set('kernel', seededBytes(2, MIB));
    await rack.world.pass(1000);
    for (const node of await Promise.all(nodes)) {
      expect(node.errorText).toBe('File changed');
      expect(node.bytes.length).toBeLessThan(MIB);
    }
    expect(rack.world.transfers.map(({ fault }) => fault)).toEqual(
      nodes.map(() => 'The file changed while it was being read'),
    );
    const next = download(rack, '10.0.1.1', 'kernel', IPXE);
    await rack.world.pass(2000);
    expect(against(seededBytes(2, MIB), await next)).toEqual(WHOLE);
  });

  it('never sends the last byte of an untrusted copy', async () => {
    const rack = await cold({ bytesPerS: 1_000_000 });
    rack.disk.files.set('kernel', seededBytes(1, 100_000));
    const node = download(rack, '10.0.1.1', 'kernel', IPXE);
    await rack.world.pass(90);
    rack.disk.files.set('kernel', seededBytes(2, 100_000));
    await rack.world.pass(1000);
    const got = await node;
    expect(got.errorText).toBe('File changed');
    expect(got.bytes.length).toBeLessThanOrEqual(65_536);
  });
});

describe('files without enough memory', () => {
  it('are sent piece by piece: one that is larger than the limit, and many at once', async () => {
    const rack = await cold({ bytesPerS: 20_000_000, limitBytes: 4 * MIB });
    const contents = Array.from({ length: 12 }, (_, index) =>
      seededBytes(index + 1, index === 0 ? 6 * MIB : MIB + index),
    );
    const nodes = contents.map((content, index) => {
      rack.disk.files.set(`file-${index}`, content);
      return download(rack, `10.0.1.${index}`, `file-${index}`, PROFILE_LIST[index % PROFILE_LIST.length]!);
    });
    let most = 0;
    const watch = (): void => {
      const { heldBytes, idleBytes } = rack.disk.cache.stats();
      most = Math.max(most, heldBytes + idleBytes);
      if (rack.world.clock.now() < 60_000) rack.world.clock.wake(rack.world.clock.now() + 10, watch);
    };
    watch();
    await rack.world.pass(60_000);
    for (const [index, got] of (await Promise.all(nodes)).entries()) {
      expect({ index, ...against(contents[index]!, got) }).toEqual({ index, ...WHOLE });
    }
    expect(most).toBeLessThanOrEqual(4 * MIB);
    expect(rack.world.held).toBe(0);
  }, 120_000);

  it('lose nothing and mix nothing up where packets are lost', async () => {
    const faults = { loss: 0.05, duplicate: 0.02, reorder: 0.05, reorderMs: 4, delayMs: 1 };
    const rack = await cold({ bytesPerS: 2_000_000, limitBytes: 300_000 }, { seed: 7, faults });
    const content = seededBytes(9, MIB);
    rack.disk.files.set('kernel', content);
    const windowed: TftpProfile = { ...IPXE, options: [...IPXE.options, { name: 'windowsize', value: '64' }] };
    const node = download(rack, '10.0.1.1', 'kernel', windowed);
    await rack.world.pass(120_000);
    expect(against(content, await node)).toEqual(WHOLE);
  });
});
