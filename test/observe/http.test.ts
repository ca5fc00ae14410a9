/** Verdicts, timelines and lists of nodes that load over HTTP, or over both protocols. */
import { describe, expect, it } from 'vitest';
import { reportText } from '../../src/cli/views/node-report-text.ts';
import type { BootStep, NodeReport } from '../../src/live/wire.ts';
import { LOCAL, ObservedWorld } from './world.ts';

const NODE = '10.0.0.5';
/** Words that only make sense for TFTP. */
const TFTP_WORDS = /port other than 69|port 69|TFTP|acknowledged|options|retransmi|maxBlksize|blksize|session/;

type Story = (world: ObservedWorld) => void;

function reportOf(story: Story): NodeReport {
  const world = new ObservedWorld();
  story(world);
  return world.state.node(NODE, [`ip:${NODE}`]);
}

function asksOf(report: NodeReport): Extract<BootStep, { step: 'ask' }>[] {
  return report.boots.flatMap(({ steps }) => steps).filter((step) => step.step === 'ask');
}

describe('the verdict on a boot over HTTP', () => {
  it.each<[string, Story, string, string, RegExp]>([
    [
      'that is loading a file',
      (world) => world.progress(world.sendHttp(NODE, 'linux'), 410_000),
      'loading',
      'nodes',
      /^It is loading linux: 41 % of 1\.00 MB\.$/,
    ],
    [
      'whose config is being rendered',
      (world) => {
        world.progress(world.sendHttp(NODE, 'boot.ipxe'), 0, { state: 'resolving' });
        world.pass(2000);
      },
      'waiting',
      'files',
      /^boot\.ipxe has been looked up or rendered for 2\.0 s\.$/,
    ],
    [
      'that takes nothing',
      (world) => {
        world.progress(world.sendHttp(NODE, 'linux'), 0);
        world.pass(6000);
      },
      'stuck',
      'network',
      /^For 6\.0 s it has taken no part of linux\.$/,
    ],
    [
      'that has taken nothing until the end',
      (world) => {
        const sending = world.sendHttp(NODE, 'linux');
        world.pass(120_000);
        world.end(sending, 'timeout', { bytes: 0 });
      },
      'failed',
      'network',
      /^It took no part of linux\.$/,
    ],
    [
      'that went silent',
      (world) => {
        world.progress(world.sendHttp(NODE, 'linux'), 500_000);
        world.pass(6000);
      },
      'stuck',
      'nodes',
      /^It went silent 6\.0 s ago at 50 % of linux\.$/,
    ],
    [
      'whose client closed the connection',
      (world) => {
        const sending = world.sendHttp(NODE, 'initrd.img');
        world.progress(sending, 400_000);
        world.end(sending, 'clientError', { errorText: 'Connection closed' });
      },
      'failed',
      'nodes',
      /^It closed the connection in the middle of initrd\.img after 400 kB of 1\.00 MB\.$/,
    ],
    [
      'that asked for a size alone',
      (world) => {
        world.end(world.sendHttp(NODE, 'image.iso'), 'probe', { bytes: 0 });
        world.pass(20_000);
      },
      'done',
      'nodes',
      /^It asked about image\.iso without its bytes, and asked for nothing after that\.$/,
    ],
    [
      'for a name that does not exist',
      (world) => {
        world.answer(NODE, 'boot.ipxe', 404);
        world.pass(20_000);
      },
      'stopped',
      'files',
      /^boot\.ipxe does not exist here, and it asked for nothing after that\.$/,
    ],
    [
      'for a name that is not allowed',
      (world) => {
        world.answer(NODE, 'secret', 403, 'outside the root');
        world.pass(20_000);
      },
      'stopped',
      'files',
      /^secret was refused: not allowed: outside the root\.$/,
    ],
    [
      'with a method that would change something',
      (world) => world.answer(NODE, 'linux', 405, 'a method other than GET and HEAD'),
      'between',
      'files',
      /^linux was refused: only GET and HEAD are allowed; this server is read-only\.$/,
    ],
    [
      'that got a 503',
      (world) => {
        world.drop(NODE, 'linux', 'busy');
        world.pass(20_000);
      },
      'stopped',
      'files',
      /^Its request for linux was answered with 503: the file could not be read/,
    ],
    [
      'that did not wait for the answer',
      (world) => world.drop(NODE, 'linux', 'unanswered'),
      'between',
      'nodes',
      /^Its request for linux was left unanswered: its connection ended before the answer began\.$/,
    ],
    [
      'that the stop of the server ended',
      (world) => {
        const sending = world.sendHttp(NODE, 'linux');
        world.end(sending, 'aborted', { bytes: 1000, fault: 'The server stopped' });
      },
      'failed',
      'server',
      /^The server ended linux after 1\.00 kB of 1\.00 MB: The server stopped\.$/,
    ],
    [
      'that a lost thread ended',
      (world) => {
        const sending = world.sendHttp(NODE, 'linux');
        world.end(sending, 'aborted', { bytes: 0, fault: 'Its thread was lost' });
      },
      'failed',
      'server',
      /^The server ended linux after 0 B of 1\.00 MB: Its thread was lost\.$/,
    ],
    [
      'that is complete',
      (world) => {
        const sending = world.sendHttp(NODE, 'initrd.img');
        world.end(sending);
        world.pass(30_000);
      },
      'done',
      'after',
      /^initrd\.img was sent completely, and it asked for nothing after that\.$/,
    ],
  ])('%s', (_, story, state, area, headline) => {
    const { verdict } = reportOf(story);
    expect(verdict).toMatchObject({ state, area, headline: expect.stringMatching(headline) as string });
    expect(verdict.meaning).not.toMatch(TFTP_WORDS);
    expect(verdict.meaning).not.toContain('bug');
  });

  it('says what of a file was sent when its client asked for a part', () => {
    const report = reportOf((world) => world.end(world.sendHttp(NODE, 'linux'), 'complete', { bytes: 1000 }));
    expect(report.verdict.headline).toContain('was sent in part (1.00 kB of 1.00 MB)');
    expect(reportText(report, 100)).toContain('linux: 1.00 kB of 1.00 MB in ');
  });
});

describe('a boot over both protocols', () => {
  const mixed: Story = (world) => {
    world.fetch(NODE, 'undionly.kpxe');
    world.answer(NODE, 'config/5.ipxe', 404);
    const sending = world.sendHttp(NODE, 'linux');
    world.progress(sending, 1_000_000);
    world.end(sending);
  };

  it('is one boot, whose steps say which of them was HTTP', () => {
    const report = reportOf(mixed);
    expect(report.boots.length).toBe(1);
    expect(asksOf(report).map(({ protocol, file, answer }) => [protocol, file, answer])).toEqual([
      ['tftp', 'undionly.kpxe', 'sent'],
      ['http', 'config/5.ipxe', 'refused'],
      ['http', 'linux', 'sent'],
    ]);
    const lines = reportText(report, 100).split('\n');
    expect(lines.find((line) => line.includes('undionly'))).toMatch(/ in [^,]+, blksize=1468$/);
    expect(lines.find((line) => line.includes('5.ipxe'))).toMatch(/: no such file, HTTP$/);
    expect(lines.find((line) => line.includes('✓ linux'))).toMatch(/: 1\.00 MB in [^,]+, HTTP$/);
  });

  it('keeps requests apart that come from one port of UDP and of TCP', () => {
    const report = reportOf((world) => {
      // The world counts ports from 2001 on.
      const client = { address: NODE, port: 2001 };
      world.get(NODE, 'linux', client.port);
      const sending = world.send(NODE, 'grub.cfg');
      const answer = { kind: 'not_found', code: 404, reason: 'no such file' } as const;
      world.state.onRefusal({ protocol: 'http', client, local: LOCAL, filename: 'linux', ...answer });
      world.end(sending);
    });
    expect(asksOf(report).map(({ file, answer }) => [file, answer])).toEqual([
      ['linux', 'refused'],
      ['grub.cfg', 'sent'],
    ]);
  });

  it('keeps a request that another one follows on its connection', () => {
    const report = reportOf((world) => {
      const first = world.sendHttp(NODE, 'linux');
      const second = world.sendHttp(NODE, 'initrd.img');
      world.end(first);
      world.end(second);
    });
    expect(asksOf(report).map(({ answer }) => answer)).toEqual(['sent', 'sent']);
    const still = reportOf((world) => {
      world.sendHttp(NODE, 'linux');
      world.end(world.sendHttp(NODE, 'initrd.img'));
    });
    expect(asksOf(still).map(({ answer }) => answer)).toEqual(['sending', 'sent']);
  });

  it('counts in the list of nodes, its problems and the addresses', () => {
    const world = new ObservedWorld();
    world.http = [{ address: '0.0.0.0', port: 80, isSecure: false }];
    world.progress(world.sendHttp(NODE, 'linux'), 500_000);
    world.drop('10.0.0.6', 'initrd.img', 'busy');
    world.end(world.sendHttp('10.0.0.7', 'image.iso'), 'clientError', { bytes: 10 });
    const { nodes, figures, problems, server } = world.state.snapshot();
    expect(server.http).toEqual(['http://0.0.0.0']);
    expect(figures).toMatchObject({ booting: 1, active: 1 });
    expect(nodes.find(({ id }) => id === NODE)).toMatchObject({ state: 'loading', percent: 50, retransmits: 0 });
    expect(problems.map(({ what }) => what).toSorted()).toEqual([
      'answered with 503: the file could not be read, or there was not enough memory for it',
      'the node closed the connection',
    ]);
  });
});
