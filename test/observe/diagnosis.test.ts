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
    [
      'of a node that the server does not remember',
      () => {},
      'done',
      'requests',
      /^No request from 10\.0\.0\.5 is remembered\.$/,
    ],
    [
      'of a node that waits for a session',
      (world) => world.progress(world.send(NODE, 'linux'), 0, { state: 'queued' }),
      'waiting',
      'server',
      /^linux has been waiting for a free session/,
    ],
    [
      'of a node whose config is being rendered',
      (world) => {
        world.progress(world.send(NODE, 'grub.cfg'), 0, { state: 'resolving' });
        world.pass(2000);
      },
      'waiting',
      'files',
      /^grub\.cfg has been looked up or rendered for 2\.0 s\.$/,
    ],
    [
      'of a node that is loading a file',
      (world) => world.progress(world.send(NODE, 'linux'), 410_000),
      'loading',
      'nodes',
      /^It is loading linux: 41 % of 1\.00 MB\.$/,
    ],
    [
      'while replies do not reach the node',
      (world) => {
        const sending = world.send(NODE, 'pxelinux.0');
        world.progress(sending, 0, { state: 'unproven' });
        world.repeat(NODE, 'pxelinux.0', sending.id);
        world.repeat(NODE, 'pxelinux.0', sending.id);
        world.pass(6000);
      },
      'stuck',
      'network',
      /^For 6\.0 s there has been no sign that the first reply for pxelinux\.0 arrived, though it asked 3 times\.$/,
    ],
    [
      'after no reply reached the node',
      (world) => world.end(world.send(NODE, 'pxelinux.0'), 'timeout', { bytes: 0 }),
      'failed',
      'network',
      /^There was no sign that the first reply for pxelinux\.0 arrived\.$/,
    ],
    [
      'while large packets do not reach the node',
      (world) => {
        world.progress(world.send(NODE, 'linux'), 0);
        world.pass(5000);
      },
      'stuck',
      'network',
      /^It acknowledged the options for linux, but has acknowledged no block for 5\.0 s\.$/,
    ],
    [
      'after no large packet reached the node',
      (world) => {
        const sending = world.send(NODE, 'linux');
        world.pass(90_000);
        world.end(sending, 'timeout', { bytes: 0, durationMs: 1 });
      },
      'failed',
      'network',
      /^It acknowledged the options for linux, but has acknowledged no block/,
    ],
    [
      'of a node that goes silent at the first block of a file after larger blocks have reached it',
      (world) => {
        world.fetch(NODE, 'linux');
        world.progress(world.send(NODE, 'initrd.img'), 0);
        world.pass(5000);
      },
      'stuck',
      'nodes',
      /^It acknowledged the options for initrd\.img, but has acknowledged no block for 5\.0 s\.$/,
    ],
    [
      'of a node that has been silent for less time than counts as stuck',
      (world) => {
        world.progress(world.send(NODE, 'linux'), 500_000);
        world.pass(4000);
      },
      'silent',
      'nodes',
      /^It went silent 4\.0 s ago at 50 % of linux\.$/,
    ],
    [
      'of a node that went silent until its transfer timed out',
      (world) => {
        const sending = world.send(NODE, 'linux');
        world.progress(sending, 700_000);
        world.pass(60_000);
        world.end(sending, 'timeout');
      },
      'failed',
      'nodes',
      /^It went silent after 700 kB of 1\.00 MB of linux\.$/,
    ],
    [
      'of a node that ran out of memory',
      (world) =>
        world.end(world.send(NODE, 'initrd.img'), 'clientError', {
          bytes: 400_000,
          errorCode: 3,
          errorText: 'no \x1b[2J',
        }),
      'failed',
      'nodes',
      /^It gave up on initrd\.img after 400 kB of 1\.00 MB, with error 3 \(“no \\x1b\[2J”\)\.$/,
    ],
    [
      'of a node that closed its port',
      (world) => world.end(world.send(NODE, 'linux'), 'unreachable', { bytes: 100_000 }),
      'failed',
      'nodes',
      /^It closed its port in the middle of linux after 100 kB of 1\.00 MB\.$/,
    ],
    [
      'of a transfer that the server ended',
      (world) => world.end(world.send(NODE, 'linux'), 'aborted', { bytes: 1, fault: 'The file was cut short' }),
      'failed',
      'server',
      /^The server ended linux .*: The file was cut short\.$/,
    ],
    [
      'of a node that asked only for the size',
      (world) => {
        world.end(world.send(NODE, 'grubx64.efi'), 'probe', { bytes: 0 });
        world.pass(20_000);
      },
      'done',
      'nodes',
      /^It asked for the size of grubx64\.efi and never asked for the file\.$/,
    ],
    [
      'of a node that found no config',
      (world) => {
        world.fetch(NODE, 'pxelinux.0');
        for (const name of ['01-52-54-00-00-00-01', '0A000005', 'default']) world.refuse(NODE, `pxelinux.cfg/${name}`);
        world.pass(12_000);
      },
      'stopped',
      'files',
      /^None of the last 3 names that it tried exists; the last one was pxelinux\.cfg\/default, and it asked for nothing after that\.$/,
    ],
    [
      'of a node that is still searching',
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
      'of a node whose request was refused',
      (world) => {
        world.refuse(NODE, 'secret', 2, 'for nobody');
        world.pass(12_000);
      },
      'stopped',
      'files',
      /^secret was refused: not allowed: for nobody\.$/,
    ],
    [
      'of a node whose loader did not start',
      (world) => {
        world.fetch(NODE, 'grubx64.efi');
        world.pass(20_000);
      },
      'done',
      'nodes',
      /^grubx64\.efi was sent completely, and it asked for nothing after that\.$/,
    ],
    [
      'of a node that got all files',
      (world) => {
        for (const name of ['grubx64.efi', 'grub/grub.cfg', 'linux', 'initrd.img']) world.fetch(NODE, name);
        world.pass(20_000);
      },
      'done',
      'after',
      /^initrd\.img, the last of 4 files, was sent completely, and it asked for nothing after that\.$/,
    ],
    [
      'of a node whose last ACK never came, as with many loaders',
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

  it('says when one boot got two versions of a channel', () => {
    const verdict = told((world) => {
      world.fetch(NODE, 'rack/linux', { origin: 'bootSet', set: { channel: 'rack', version: 4 } });
      world.fetch(NODE, 'rack/initrd.img', { origin: 'bootSet', set: { channel: 'rack', version: 5 } });
    });
    expect(verdict.meaning).toMatch(/^It got files of rack-4 and rack-5 in one boot: kernel and initrd may not match/);
  });

  it('counts how often the node has started over', () => {
    const verdict = told((world) => {
      for (let times = 0; times < 4; times++) {
        world.fetch(NODE, 'pxelinux.0');
        world.refuse(NODE, 'pxelinux.cfg/default');
        world.pass(30_000);
      }
    });
    expect(verdict.meaning).toMatch(/It has tried 3 times before, and got no further then either\.$/);
  });
});

describe('the verdict on a transfer that the server ended', () => {
  it.each<[string | undefined, number, string, RegExp]>([
    ['The file changed while it was being read', 500, 'files', /wrote to the file while the server read it/],
    ['The file could not be read to its end', 500, 'files', /^The disk or the file system reported an error/],
    ['The content became unreadable', 500, 'files', /^The file was truncated while it was sent/],
    ['The client did not answer, and other transfers needed its place', 0, 'network', /on the path back.*\(halfOpen\)/],
    ['TypeError: no', 500, 'server', /^This is a bug in the server/],
    [undefined, 0, 'server', /being stopped, or the node had not answered while other requests waited/],
    [undefined, 500, 'server', /being stopped, or the transfer was slower than minRate/],
  ])('gives the cause: %s, after %i bytes', (fault, bytes, area, meaning) => {
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
    ['client', 'server', /Only addresses in the networks of the setting clients get answers/],
    ['source', 'requests', /port of a service that answers every datagram/],
    ['draining', 'server', /being stopped.*\(drain\)/],
    ['queueFull', 'server', /\(queue\).*\(sessions\)/],
    ['expired', 'server', /\(sessions\).*\(dataPorts\)/],
    ['addressFull', 'server', /\(sessionsPerAddress\).*sharedNetworks/],
    ['prefixFull', 'server', /sessionsPerNetwork4.*sessionsPerNetwork6/],
    ['unanswered', 'network', /\(halfOpen\).*\(halfOpenPerNetwork\).*\(halfOpenPerAddress\)/],
    ['unreachable', 'network', /there is no route/],
    ['busy', 'files', /not enough memory for it \(memoryLimit\)/],
  ])('explains the reason of the request itself: %s', (reason, area, meaning) => {
    const verdict = toldOf(reason);
    expect(verdict).toMatchObject({ state: 'stopped', area });
    expect(verdict.headline).toMatch(/^Its request for pxelinux\.0 was left unanswered: [A-Za-z ,/]+\.$/);
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
  it('begin with a loader after a kernel, with a repeat of their first name, and after two minutes of silence', () => {
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

  it('are listed step by step, with the pauses between', () => {
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

  it('are found by MAC, even if DHCP gave the node another address in between', () => {
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
