/** The live state: changes add up to snapshots, rows are listed by rank, and each area reports its state. */
import { describe, expect, it } from 'vitest';
import { EventStream } from '../../src/live/event-stream.ts';
import { LiveStore } from '../../src/live/live-store.ts';
import { troubleGroups } from '../../src/live/trouble-groups.ts';
import { withoutNode } from '../../src/observe/problems.ts';
import { subnetOf } from '../../src/observe/subnet.ts';
import type { Area, LiveChange, NodeRow } from '../../src/live/wire.ts';
import { kindOfFile } from '../../src/live/words.ts';
import { httpFigures, serverStats } from '../support/reveille.ts';
import { Random } from '../support/random.ts';
import { ObservedWorld, type Sending } from './world.ts';

function row(world: ObservedWorld, id: string): NodeRow | undefined {
  return world.state.snapshot().nodes.find((one) => one.id === id);
}

function area(world: ObservedWorld, wanted: Area): { state: string; headline: string; detail: string } {
  return world.state.snapshot().areas.find((one) => one.area === wanted)!;
}

describe('changes', () => {
  it('bring a reader to the same state as a snapshot, whatever happens meanwhile', () => {
    const random = new Random(7);
    const world = new ObservedWorld();
    const store = new LiveStore();
    world.fetch('10.0.0.1', 'linux');
    world.state.tick();
    let changes = 0;
    world.state.follow(
      (snapshot) => store.begin(snapshot),
      (change) => {
        changes++;
        expect(store.apply(change)).toBe(true);
      },
    );
    const running: Sending[] = [];
    for (let second = 0; second < 200; second++) {
      const address = `10.0.${random.between(0, 2)}.${random.between(0, 7)}`;
      if (random.chance(0.33)) running.push(world.send(address, `file-${random.between(0, 3)}`));
      for (const sending of running)
        if (random.between(0, 3) > 0)
          world.progress(sending, Math.min(sending.start.size, sending.view.bytes + 50_000));
      if (running.length > 0 && random.between(0, 3) === 0)
        world.end(
          running.splice(random.between(0, running.length - 1), 1)[0]!,
          random.between(0, 4) === 0 ? 'timeout' : 'complete',
        );
      if (random.between(0, 5) === 0) world.refuse(address, `missing-${random.between(0, 2)}`);
      if (random.between(0, 39) === 0) world.pass(random.between(0, 19) * 60_000);
      world.pass(1000);
      const { nodes, chart, now: _, ...whole } = world.state.snapshot();
      const { nodes: __, chart: known, now: ___, ...other } = store.whole!;
      expect([...store.rows.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
        nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
      );
      expect(known).toEqual(chart.slice(-600));
      expect(other).toEqual(whole);
    }
    expect(changes).toBeGreaterThanOrEqual(200);
  });

  it('omit nodes that have not changed', () => {
    const world = new ObservedWorld();
    for (let node = 0; node < 50; node++) world.fetch(`10.0.0.${node}`, 'linux');
    const moving = world.send('10.0.1.1', 'initrd.img');
    world.pass(20_000);
    const changes: LiveChange[] = [];
    world.state.follow(
      () => {},
      (change) => void changes.push(change),
    );
    world.pass(1000);
    world.now += 900;
    world.progress(moving, 500_000);
    world.pass(100);
    expect(changes[1]!.changed).toEqual([
      { id: '10.0.1.1', state: 'loading', percent: 50, rate: expect.any(Number) as number, silent: 0, why: '' },
    ]);
    expect(changes[1]).not.toHaveProperty('channels');
    expect(changes[1]).not.toHaveProperty('cache');
  });
});

describe('a node', () => {
  it('is listed as silent after 3 s without progress, stuck after 5 s, and not before', () => {
    const world = new ObservedWorld();
    const sending = world.send('10.0.0.5', 'linux');
    world.progress(sending, 100_000);
    const states: string[] = [];
    for (let second = 0; second < 6; second++) {
      world.pass(1000);
      states.push(row(world, '10.0.0.5')!.state);
    }
    expect(states).toEqual(['loading', 'loading', 'silent', 'silent', 'stuck', 'stuck']);
    expect(world.state.snapshot().figures.trouble).toBe(1);
    world.progress(sending, 200_000);
    world.pass(1000);
    expect(row(world, '10.0.0.5')).toMatchObject({ state: 'loading', why: '', percent: 20 });
  });

  it('shows its rate, its progress and its retransmissions', () => {
    const world = new ObservedWorld();
    world.state.follow(
      () => {},
      () => {},
    );
    const sending = world.send('10.0.0.5', 'boot/initrd.img', {
      set: { channel: 'rack', version: 7 },
      origin: 'bootSet',
    });
    for (let second = 1; second <= 4; second++) {
      world.progress(sending, second * 100_000, { retransmits: second });
      world.pass(1000);
    }
    expect(row(world, '10.0.0.5')).toMatchObject({
      state: 'loading',
      file: 'boot/initrd.img',
      kind: 'initrd',
      version: 'rack-7',
      percent: 40,
      rate: 100_000,
      retransmits: 4,
      groups: { subnet: '10.0.0.0/24' },
    });
  });

  it('leaves the list five minutes after it was done, and fifteen after it stopped', () => {
    const world = new ObservedWorld();
    world.fetch('10.0.0.1', 'initrd.img');
    world.refuse('10.0.0.2', 'nothing');
    world.pass(4 * 60_000);
    expect(world.state.snapshot().nodes.map(({ id, state }) => [id, state])).toEqual([
      ['10.0.0.1', 'done'],
      ['10.0.0.2', 'stopped'],
    ]);
    world.pass(2 * 60_000);
    expect(world.state.snapshot().nodes.map(({ id }) => id)).toEqual(['10.0.0.2']);
    world.pass(10 * 60_000);
    expect(world.state.snapshot().nodes).toEqual([]);
  });

  it('has the name and the labels of the inventory, and racks come before subnets', () => {
    const world = new ObservedWorld({
      known: (ids) => {
        const number = Number(/\.(\d+)$/.exec(ids.at(-1)!)![1]);
        return number > 20
          ? undefined
          : {
              name: `node-${number}`,
              mac: ['52:54:00:00:00:01'],
              labels: { serial: `s${number}`, role: 'compute', rack: String(number % 4) },
            };
      },
    });
    for (let node = 1; node <= 20; node++) world.fetch(`10.0.0.${node}`, 'linux');
    const snapshot = world.state.snapshot();
    expect(snapshot.groupings).toEqual(['rack', 'role', 'subnet']);
    expect(snapshot.nodes[4]).toMatchObject({
      name: 'node-5',
      mac: '52:54:00:00:00:01',
      groups: { rack: '1', subnet: '10.0.0.0/24' },
    });
  });

  it('is one of at most 5,000 that are listed, those in trouble first', () => {
    const world = new ObservedWorld();
    for (let node = 0; node < 6000; node++) world.fetch(`10.${node >> 8}.${node & 255}.1`, 'linux', {}, 0);
    const stuck = world.send('10.23.111.1', 'initrd.img');
    world.progress(stuck, 10);
    world.pass(20_000);
    const { nodes, figures } = world.state.snapshot();
    expect(nodes).toHaveLength(5000);
    expect(figures.unlisted).toBe(1000);
    expect(nodes[0]).toMatchObject({ id: '10.23.111.1', state: 'stuck' });
  });
});

describe('the places to look at', () => {
  it('are quiet before the first request', () => {
    const world = new ObservedWorld();
    world.pass(2000);
    expect(world.state.snapshot().areas.map(({ area: name, state }) => [name, state])).toEqual([
      ['requests', 'quiet'],
      ['server', 'quiet'],
      ['network', 'quiet'],
      ['files', 'fine'],
      ['nodes', 'quiet'],
    ]);
    world.ready = false;
    expect(area(world, 'requests')).toMatchObject({ state: 'bad', headline: 'not listening' });
  });

  it('report that requests have stopped', () => {
    const world = new ObservedWorld();
    world.fetch('10.0.0.1', 'linux');
    world.pass(90_000);
    expect(area(world, 'requests')).toMatchObject({ state: 'quiet', headline: 'none for 90 s' });
  });

  it.each<[string, Area, Parameters<typeof serverStats>[0], string, RegExp]>([
    ['requests lost on arrival', 'requests', { requestDropsTotal: 12 }, 'bad', /^12 packets dropped on arrival$/],
    ['a worker lost', 'server', { workersLostTotal: 1, transfersResumedTotal: 12 }, 'bad', /^1 thread lost$/],
    ['a thread of HTTP lost', 'server', { http: httpFigures({ threadsLostTotal: 1 }) }, 'bad', /^1 thread lost$/],
    [
      'requests given up',
      'server',
      { ignoredTotal: { expired: 3, queueFull: 2 } },
      'bad',
      /^5 requests left unanswered$/,
    ],
    [
      'files that HTTP clients wait for in vain',
      'files',
      { http: httpFigures({ overloadedTotal: 3 }) },
      'bad',
      /^3 requests for unavailable files$/,
    ],
    ['files that cannot be read', 'files', { ignoredTotal: { busy: 4 } }, 'bad', /^4 requests for unavailable files$/],
  ])('report %s for a minute', (_, where, change, state, headline) => {
    const world = new ObservedWorld();
    world.pass(3000);
    world.stats = serverStats(change);
    world.pass(2000);
    expect(area(world, where)).toMatchObject({ state, headline: expect.stringMatching(headline) as string });
    world.pass(70_000);
    expect(area(world, where).state).not.toBe('bad');
  });

  it('report the death of the server before for a minute, and count deaths and upgrades from then on', () => {
    const world = new ObservedWorld({ history: () => ({ deaths: 2, upgrades: 1, cause: 'SIGKILL' }) });
    world.pass(3000);
    expect(area(world, 'server')).toMatchObject({ state: 'bad', headline: 'died just now' });
    expect(area(world, 'server').detail).toContain('died (SIGKILL)');
    world.pass(60_000);
    expect(area(world, 'server').state).not.toBe('bad');
    expect(world.state.snapshot().server).toMatchObject({ deaths: 2, upgrades: 1 });
  });

  it.each([
    [50, 'fine'],
    [300, 'watch'],
    [900, 'bad'],
  ])('judge %i retransmissions of 10,000 packets as %s', (retransmits, state) => {
    const world = new ObservedWorld();
    world.pass(2000);
    const { packets } = world.stats;
    world.stats = serverStats({
      packets: { ...packets, dataSent: 10_000, retransmits, dataRetransmitted: retransmits },
    });
    world.pass(2000);
    expect(area(world, 'network').state).toBe(state);
  });

  it('report first replies that are slower than the patience of the quickest loader', () => {
    const world = new ObservedWorld();
    for (let node = 0; node < 50; node++)
      world.end(world.send(`10.0.0.${node}`, 'grub.cfg'), 'complete', { firstReplyMs: 400 });
    world.pass(1000);
    expect(area(world, 'server')).toMatchObject({
      state: 'watch',
      headline: expect.stringMatching(/^first replies take (?:39|40)\d ms$/) as string,
    });
  });

  it('report the file at which nodes stop, not those that loaders merely try', () => {
    const world = new ObservedWorld();
    for (let node = 1; node <= 5; node++) {
      world.refuse(`10.0.0.${node}`, `pxelinux.cfg/01-52-54-00-00-00-0${node}`);
      world.refuse(`10.0.0.${node}`, 'pxelinux.cfg/default');
      if (node === 5) world.fetch('10.0.0.5', 'linux');
    }
    world.pass(20_000);
    expect(area(world, 'files')).toMatchObject({
      state: 'bad',
      headline: '4 nodes stopped at one file',
      detail: 'pxelinux.cfg/default: no such file.',
    });
    expect(world.state.snapshot().problems).toMatchObject([
      { file: 'pxelinux.cfg/default', count: 5, stopped: 4 },
      { file: 'pxelinux.cfg/01-{mac}', count: 5, stopped: 0 },
    ]);
  });
});

describe('the charts', () => {
  it('show what was sent in each second, and first replies in the second in which they were sent', () => {
    const world = new ObservedWorld();
    world.pass(1000);
    const long = world.send('10.0.0.1', 'initrd.img');
    const { packets } = world.stats;
    world.stats = serverStats({ packets: { ...packets, dataBytesSent: 5_000_000 } });
    world.pass(1000);
    world.pass(10_000);
    world.progress(long, 1_000_000);
    world.end(long, 'complete', { firstReplyMs: 20, durationMs: 11_000 });
    const { chart } = world.state.snapshot();
    expect(chart).toHaveLength(12);
    expect(chart.map(({ bytesPerS }) => bytesPerS)).toEqual([0, 5_000_000, ...Array.from({ length: 10 }, () => 0)]);
    expect(chart.map(({ firstReplyP99 }) => firstReplyP99 !== null)).toEqual([
      true,
      ...Array.from({ length: 11 }, () => false),
    ]);
    expect(chart[0]!.firstReplyP99).toBeCloseTo(20, -1);
  });

  it('keep ten minutes', () => {
    const world = new ObservedWorld();
    world.pass(700_000);
    expect(world.state.snapshot().chart).toHaveLength(600);
  });
});

describe('words', () => {
  it.each([
    ['pxelinux.0', 'loader'],
    ['EFI/BOOT/BOOTX64.EFI', 'loader'],
    ['shimx64.efi', 'loader'],
    ['undionly.kpxe', 'loader'],
    ['grub/grub.cfg-01-52-54-00-00-00-01', 'config'],
    ['pxelinux.cfg/C0A80001', 'config'],
    ['52-54-00-12-34-56.ipxe', 'config'],
    ['rack/install-3/vmlinuz-6.1.0-18-amd64', 'kernel'],
    ['boot/linux', 'kernel'],
    ['bzImage', 'kernel'],
    ['initrd.img-6.1', 'initrd'],
    ['initramfs-linux.img', 'initrd'],
    ['grub/x86_64-efi/normal.mod', 'module'],
    ['ldlinux.c32', 'module'],
    ['motd', 'file'],
  ])('call %s a %s', (file, kind) => {
    expect(kindOfFile(file)).toBe(kind);
  });

  it.each([
    ['pxelinux.cfg/01-52-54-00-12-34-56', 'pxelinux.cfg/01-{mac}'],
    ['pxelinux.cfg/C0A8', 'pxelinux.cfg/{hexip}'],
    ['grub/grub.cfg-C0A80001', 'grub/grub.cfg-{hexip}'],
    ['x/4c4c4544-0042-3510-8052-b4c04f4a3132', 'x/{uuid}'],
    ['by-ip/192.0.2.7/config', 'by-ip/{ip}/config'],
    ['boot/linux-6.1.0-18', 'boot/linux-6.1.0-18'],
  ])('replace the parts of %s that differ between nodes: %s', (file, common) => {
    expect(withoutNode(file)).toBe(common);
  });

  it.each([
    ['192.0.2.77', '192.0.2.0/24'],
    ['2001:db8:0:7::12', '2001:db8:0:7::/64'],
    ['2001:db8::12', '2001:db8::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
  ])('count %s to %s', (address, subnet) => {
    expect(subnetOf(address)).toBe(subnet);
  });

  it('put nodes of one group together', () => {
    const world = new ObservedWorld();
    for (let node = 1; node <= 40; node++) {
      world.progress(world.send(`10.0.0.${node}`, 'initrd.img'), node * 20_000);
      world.now += 37;
    }
    world.pass(130_000);
    const groups = troubleGroups(world.state.snapshot().nodes);
    expect(groups.map(({ rows }) => rows.length)).toEqual([40]);
  });
});

describe('an event stream', () => {
  it('is the same in pieces of any size', () => {
    const text =
      ': hello\r\nevent: snapshot\ndata: {"a":1}\n\ndata: one\ndata: two\n\nevent: nothing\n\nevent:change\ndata:{"b":"ä"}\n\n';
    const expected = [
      { event: 'snapshot', data: '{"a":1}' },
      { event: 'message', data: 'one\ntwo' },
      { event: 'change', data: '{"b":"ä"}' },
    ];
    for (let size = 1; size <= text.length; size++) {
      const events: unknown[] = [];
      const stream = new EventStream((event) => void events.push(event));
      for (let at = 0; at < text.length; at += size) stream.push(text.slice(at, at + size));
      expect(events).toEqual(expected);
    }
  });
});
