/** Where a boot stopped, and the likely cause: one story of a node for each rule. */
import { describe, expect, it } from 'vitest';
import type { NodeId } from '../../src/boot-set/node/node-identity.ts';
import { IGNORED, type Ignored } from '../../src/server/types.ts';
import { unansweredBetween } from '../../src/storm/unanswered.ts';
import { TROUBLE, type NodeReport } from '../../src/live/wire.ts';
import { ObservedWorld } from './world.ts';

const NODE = '10.0.0.5';

function reportOf(world: ObservedWorld, id: NodeId = `ip:${NODE}`): NodeReport {
  return world.state.node(NODE, [id]);
}

/** Verdict on a node after a story. */
function told(story: (world: ObservedWorld) => void): NodeReport['verdict'] {
  const world = new ObservedWorld();
  story(world);
  return reportOf(world).verdict;
}

describe('the verdict on a boot', () => {
  it.each<[string, (world: ObservedWorld) => void, string, string, RegExp]>([
    ['nobody has heard of', () => {}, 'done', 'requests', /^No request from 10\.0\.0\.5 is remembered\.$/],
    [
      'that waits for a session',
      (world) => world.progress(world.send(NODE, 'linux'), 0, { state: 'queued' }),
      'waiting',
      'server',
      /^linux waits for a free session/,
    ],
    [
      'whose config is being made',
      (world) => {
        world.progress(world.send(NODE, 'grub.cfg'), 0, { state: 'resolving' });
        world.pass(2000);
      },
      'waiting',
      'files',
      /^grub\.cfg is being looked up or made, for 2\.0 s\.$/,
    ],
    [
      'that loads',
      (world) => world.progress(world.send(NODE, 'linux'), 410_000),
      'loading',
      'nodes',
      /^It is loading linux: 41 % of 1\.00 MB\.$/,
    ],
    [
      'whose answers get lost',
      (world) => {
        const sending = world.send(NODE, 'pxelinux.0');
        world.progress(sending, 0, { state: 'unproven' });
        world.repeat(NODE, 'pxelinux.0', sending.id);
        world.repeat(NODE, 'pxelinux.0', sending.id);
        world.pass(6000);
      },
      'stuck',
      'network',
      /^No sign for 6\.0 s that our first reply for pxelinux\.0 has arrived, though it asked 3 times\.$/,
    ],
    [
      'that is lost on the way back, when it is over',
      (world) => world.end(world.send(NODE, 'pxelinux.0'), 'timeout', { bytes: 0 }),
      'failed',
      'network',
      /^No sign came that our first reply for pxelinux\.0 has arrived\.$/,
    ],
    [
      'whose large packets get lost',
      (world) => {
        world.progress(world.send(NODE, 'linux'), 0);
        world.pass(5000);
      },
      'stuck',
      'network',
      /^It took our options for linux, but no block has arrived for 5\.0 s\.$/,
    ],
    [
      'whose large packets got lost, when it is over',
      (world) => {
        const sending = world.send(NODE, 'linux');
        world.pass(90_000);
        world.end(sending, 'timeout', { bytes: 0, durationMs: 1 });
      },
      'failed',
      'network',
      /^It took our options for linux, but no block has arrived/,
    ],
    [
      'that falls silent at the first block of a file, after larger ones have reached it',
      (world) => {
        world.fetch(NODE, 'linux');
        world.progress(world.send(NODE, 'initrd.img'), 0);
        world.pass(5000);
      },
      'stuck',
      'nodes',
      /^It took our options for initrd\.img, but no block has arrived for 5\.0 s\.$/,
    ],
    [
      'that is silent for less than it takes to be stuck',
      (world) => {
        world.progress(world.send(NODE, 'linux'), 500_000);
        world.pass(4000);
      },
      'silent',
      'nodes',
      /^It fell silent 4\.0 s ago at 50 % of linux\.$/,
    ],
    [
      'that fell silent and was given up',
      (world) => {
        const sending = world.send(NODE, 'linux');
        world.progress(sending, 700_000);
        world.pass(60_000);
        world.end(sending, 'timeout');
      },
      'failed',
      'nodes',
      /^It fell silent after 700 kB of 1\.00 MB of linux\.$/,
    ],
    [
      'out of memory',
      (world) =>
        world.end(world.send(NODE, 'initrd.img'), 'clientError', {
          bytes: 400_000,
          errorCode: 3,
          errorText: 'no \x1b[2J',
        }),
      'failed',
      'nodes',
      /^It gave up initrd\.img after 400 kB of 1\.00 MB, with error 3 \(“no \\x1b\[2J”\)\.$/,
    ],
    [
      'whose port is closed',
      (world) => world.end(world.send(NODE, 'linux'), 'unreachable', { bytes: 100_000 }),
      'failed',
      'nodes',
      /^It closed its port in the middle of linux after 100 kB of 1\.00 MB\.$/,
    ],
    [
      'that the server ended',
      (world) => world.end(world.send(NODE, 'linux'), 'aborted', { bytes: 1, fault: 'The file was cut short' }),
      'failed',
      'server',
      /^The server ended linux .*: The file was cut short\.$/,
    ],
    [
      'that asked for the size alone',
      (world) => {
        world.end(world.send(NODE, 'grubx64.efi'), 'probe', { bytes: 0 });
        world.pass(20_000);
      },
      'done',
      'nodes',
      /^It asked for the size of grubx64\.efi and never for the file\.$/,
    ],
    [
      'that found no config',
      (world) => {
        world.fetch(NODE, 'pxelinux.0');
        for (const name of ['01-52-54-00-00-00-01', '0A000005', 'default']) world.refuse(NODE, `pxelinux.cfg/${name}`);
        world.pass(12_000);
      },
      'stopped',
      'files',
      /^None of the last 3 names that it tried exists; the last was pxelinux\.cfg\/default, and it asked for nothing after that\.$/,
    ],
    [
      'that is still searching',
      (world) => {
        world.fetch(NODE, 'pxelinux.0');
        world.refuse(NODE, 'pxelinux.cfg/0A000005');
        world.pass(1000);
      },
      'between',
      'files',
      /^pxelinux\.cfg\/0A000005 does not exist here\.$/,
    ],
    [
      'that may not have a file',
      (world) => {
        world.refuse(NODE, 'secret', 2, 'for nobody');
        world.pass(12_000);
      },
      'stopped',
      'files',
      /^secret was refused: not allowed: for nobody\.$/,
    ],
    [
      'whose loader did not start',
      (world) => {
        world.fetch(NODE, 'grubx64.efi');
        world.pass(20_000);
      },
      'done',
      'nodes',
      /^grubx64\.efi was sent whole, and it asked for nothing after that\.$/,
    ],
    [
      'that got all it wanted',
      (world) => {
        for (const name of ['grubx64.efi', 'grub/grub.cfg', 'linux', 'initrd.img']) world.fetch(NODE, name);
        world.pass(20_000);
      },
      'done',
      'after',
      /^initrd\.img, the last of 4 files, was sent whole, and it asked for nothing after that\.$/,
    ],
    [
      'whose last ACK never came, as with many loaders',
      (world) => {
        world.progress(world.send(NODE, 'linux'), 999_000, { state: 'lastBlockSent' });
        world.pass(9000);
      },
      'loading',
      'nodes',
      /^It is loading linux: 99 %/,
    ],
  ])('%s', (_, story, state, area, headline) => {
    const verdict = told(story);
    expect([verdict.state, verdict.area]).toEqual([state, area]);
    expect(verdict.headline).toMatch(headline);
    // Good or bad, every verdict comes with a sentence about its usual meaning.
    expect(verdict.meaning).toMatch(/^[A-Z].{15,}[.)]$/);
    expect(TROUBLE.has(verdict.state) && verdict.meaning.includes('Nothing is wrong')).toBe(false);
  });

  it('says when one boot was given two versions of a channel', () => {
    const verdict = told((world) => {
      world.fetch(NODE, 'rack/linux', { origin: 'bootSet', set: { channel: 'rack', version: 4 } });
      world.fetch(NODE, 'rack/initrd.img', { origin: 'bootSet', set: { channel: 'rack', version: 5 } });
    });
    expect(verdict.meaning).toMatch(
      /^It was given files of rack-4 and rack-5 in one boot: kernel and initrd may not fit/,
    );
  });

  it('counts how often it has begun anew', () => {
    const verdict = told((world) => {
      for (let times = 0; times < 4; times++) {
        world.fetch(NODE, 'pxelinux.0');
        world.refuse(NODE, 'pxelinux.cfg/default');
        world.pass(30_000);
      }
    });
    expect(verdict.meaning).toMatch(/It has begun anew 3 times before and came no further then either\.$/);
  });
});

describe('the verdict on a transfer that the server ended', () => {
  it.each<[string | undefined, number, string, RegExp]>([
    ['The file changed while it was being read', 500, 'files', /wrote to the file while the server read it/],
    ['The file could not be read to its end', 500, 'files', /^The disk or the file system gave an error/],
    ['The content became unreadable', 500, 'files', /^The file was cut short while it was sent/],
    ['Nobody answered, and others needed its place', 0, 'network', /on the way back.*\(halfOpen\)/],
    ['TypeError: no', 500, 'server', /^That is a fault of the server itself/],
    [undefined, 0, 'server', /being stopped, or the node had answered nothing while other requests waited/],
    [undefined, 500, 'server', /being stopped, or the transfer was slower than minRate/],
  ])('says its cause: %s, after %i bytes', (fault, bytes, area, meaning) => {
    const verdict = told((world) => world.end(world.send(NODE, 'linux'), 'aborted', { bytes, fault }));
    expect(verdict).toMatchObject({ state: 'failed', area });
    expect(verdict.meaning).toMatch(meaning);
  });
});

describe('the verdict on a node that was left unanswered', () => {
  function toldOf(reason: Ignored): NodeReport['verdict'] {
    return told((world) => {
      world.ignore(NODE, 'pxelinux.0', reason);
      world.pass(12_000);
    });
  }

  it.each<[Ignored, string, RegExp]>([
    ['client', 'server', /Only the networks in the setting clients get answers/],
    ['source', 'requests', /port of a service that answers whatever it gets/],
    ['draining', 'server', /being stopped.*\(drain\)/],
    ['queueFull', 'server', /\(queue\).*\(sessions\)/],
    ['expired', 'server', /\(sessions\).*\(dataPorts\)/],
    ['addressFull', 'server', /\(sessionsPerAddress\).*sharedNetworks/],
    ['prefixFull', 'server', /sessionsPerNetwork4.*sessionsPerNetwork6/],
    ['unanswered', 'network', /\(halfOpen\).*\(halfOpenPerNetwork\).*\(halfOpenPerAddress\)/],
    ['unreachable', 'network', /no route leads there/],
    ['busy', 'files', /no memory for it \(memoryLimit\)/],
  ])('names its own reason, not the load of the server: %s', (reason, area, meaning) => {
    const verdict = toldOf(reason);
    expect(verdict).toMatchObject({ state: 'stopped', area });
    expect(verdict.headline).toMatch(/^Its request for pxelinux\.0 was left unanswered: [a-z ,/]+\.$/);
    expect(verdict.headline).not.toContain(`unanswered: ${reason}`);
    expect(verdict.meaning).toMatch(meaning);
  });

  it('names every setting that the report of a storm names for the same reason', () => {
    const none = { startedAt: 1, byReason: new Map<string, number>() };
    const all = { startedAt: 1, byReason: new Map(IGNORED.map((reason) => [reason, 1])) };
    const missing = unansweredBetween(none, all)!.flatMap(({ reason, settings }) =>
      settings
        .map((flag) => flag.slice(2).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase()))
        .filter((key) => !new RegExp(`\\b${key}\\b`).test(toldOf(reason as Ignored).meaning))
        .map((key) => `${reason}: ${key}`),
    );
    expect(missing).toEqual([]);
  });
});

describe('the boots of a node', () => {
  it('begin with a loader after a kernel, with their first name asked again, and after two minutes', () => {
    const world = new ObservedWorld();
    const boot = (names: readonly string[]): void => {
      for (const name of names) world.fetch(NODE, name);
    };
    boot(['grubx64.efi', 'grub/grub.cfg', 'linux', 'initrd.img']);
    boot(['grubx64.efi', 'grub/grub.cfg']);
    boot(['grubx64.efi']);
    world.pass(150_000);
    boot(['grub/grub.cfg', 'linux']);
    const files = reportOf(world).boots.map(({ steps }) =>
      steps.map((step) => (step.step === 'ask' ? step.file : 'gap')),
    );
    expect(files).toEqual([
      ['grub/grub.cfg', 'linux'],
      ['grubx64.efi'],
      ['grubx64.efi', 'grub/grub.cfg'],
      ['grubx64.efi', 'grub/grub.cfg', 'linux', 'initrd.img'],
    ]);
  });

  it('are told step by step, with the pauses between', () => {
    const world = new ObservedWorld();
    world.end(world.send(NODE, 'grubx64.efi'), 'probe', { bytes: 0, durationMs: 0 });
    world.fetch(NODE, 'grubx64.efi', { size: 1_500_000 }, 400);
    world.pass(14_000);
    world.refuse(NODE, 'grub/x86_64-efi/fs.lst');
    const rendered = world.send(NODE, 'grub/grub.cfg', { origin: 'rendered', size: 700 });
    world.repeat(NODE, 'grub/grub.cfg', rendered.id);
    world.progress(rendered, 700, { retransmits: 2 });
    world.end(rendered);
    const [boot] = reportOf(world).boots;
    expect(boot!.steps).toMatchObject([
      { step: 'ask', file: 'grubx64.efi', answer: 'size', kind: 'loader' },
      { step: 'ask', answer: 'sent', size: 1_500_000, tookMs: 401, firstReplyMs: 1, options: 'blksize=1468' },
      { step: 'gap', tookMs: expect.closeTo(14_000, -1) as number },
      { step: 'ask', answer: 'refused', what: 'no such file' },
      { step: 'ask', answer: 'sent', origin: 'rendered', repeats: 1, retransmits: 2, kind: 'config' },
    ]);
    expect(boot).toMatchObject({ bytes: 1_500_000 + 700, retransmits: 2, versions: [] });
  });

  it('are found by MAC, also where DHCP gave the node another address in between', () => {
    const world = new ObservedWorld();
    world.fetch('10.0.0.5', 'pxelinux.cfg/01-52-54-00-00-00-09');
    world.pass(300_000);
    world.fetch('10.0.0.77', 'pxelinux.cfg/01-52-54-00-00-00-09');
    world.fetch('10.0.0.6', 'pxelinux.cfg/01-52-54-00-00-00-0a');
    const report = reportOf(world, 'mac:52:54:00:00:00:09');
    expect(report.addresses).toEqual(['10.0.0.77', '10.0.0.5']);
    expect(report.boots).toHaveLength(2);
  });
});
