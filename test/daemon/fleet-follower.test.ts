/** Tests of the questions that a follower asks a registry in this process; each test ends the downloads itself. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { VerbEnd } from '../../src/admin/api.ts';
import { FollowedChannel } from '../../src/daemon/followed-channel.ts';
import { FleetFollower, type FleetFollowerOptions } from '../../src/daemon/fleet-follower.ts';
import { parseReference } from '../../src/registry/reference.ts';
import { Registry } from '../../src/registry/registry.ts';
import { FakeRegistry } from '../registry/fixture.ts';

const SOON = { timeout: 20_000, interval: 10 };
const DONE: VerbEnd = { code: 0, stdout: '', stderr: '' };

interface Run {
  /** Digest that is pulled. */
  readonly digest: string;
  readonly flag: string;
  readonly signal: AbortSignal | undefined;
  readonly end: (end: VerbEnd) => void;
}

/** A follower that asks every 20 ms for `stable`. */
async function follow(registry: FakeRegistry, more: Partial<FleetFollowerOptions> = {}) {
  const runs: Run[] = [];
  const warnings: string[] = [];
  const channel = { followed: undefined as string | undefined };
  const follower = new FleetFollower({
    follow: [
      { channel: 'install', from: `oci+http://${registry.host}/boot/install:stable`, everyMs: 20, isPromoted: false },
    ],
    onArrived: () => {},
    authFile: undefined,
    caFile: undefined,
    channels: { get: () => channel as never },
    run: (_, args, signal) =>
      new Promise((resolve) => {
        const digest = /sha256:([0-9a-f]{64})/.exec(args.join(' '))![1]!;
        runs.push({ digest, flag: args[0]!, signal, end: resolve });
        signal?.addEventListener('abort', () => resolve({ ...DONE, code: undefined }));
      }),
    onInfo: () => {},
    onWarning: (message, { reason }) => warnings.push(`${message}: ${String(reason)}`),
    ...more,
  });
  onTestFinished(() => follower.stop());
  await follower.start();
  return { follower, runs, warnings, channel };
}

function setOf(version: string): Record<string, Buffer> {
  return { linux: Buffer.from(`kernel ${version}`) };
}

describe('a follower', () => {
  it('ends the download of a version that the tag no longer names, and begins that of the right one', async () => {
    const registry = await FakeRegistry.start();
    const wrong = registry.addSet(setOf('wrong'), 'stable');
    const { runs, channel, warnings } = await follow(registry);
    await vi.waitFor(() => expect(runs.map(({ digest }) => digest)).toEqual([wrong]), SOON);
    const right = registry.addSet(setOf('right'), 'stable');
    await vi.waitFor(() => expect(runs.map(({ digest }) => digest)).toEqual([wrong, right]), SOON);
    expect(runs.map(({ signal }) => signal?.aborted)).toEqual([true, false]);
    channel.followed = right;
    runs[1]!.end(DONE);
    const asked = registry.asked.length;
    await vi.waitFor(() => expect(registry.asked.length).toBeGreaterThan(asked + 3), SOON);
    expect([runs.length, warnings]).toEqual([2, []]);
  });

  it('lets the next download end, however often the tag moves', async () => {
    const registry = await FakeRegistry.start();
    registry.addSet(setOf('1'), 'stable');
    const { runs } = await follow(registry);
    await vi.waitFor(() => expect(runs).toHaveLength(1), SOON);
    registry.addSet(setOf('2'), 'stable');
    await vi.waitFor(() => expect(runs).toHaveLength(2), SOON);
    registry.addSet(setOf('3'), 'stable');
    const asked = registry.asked.length;
    await vi.waitFor(() => expect(registry.asked.length).toBeGreaterThan(asked + 6), SOON);
    expect(runs.map(({ signal }) => signal?.aborted)).toEqual([true, false]);
  });

  it('fetches a version by the digits that configs name, and by no prefix that can be guessed', async () => {
    const registry = await FakeRegistry.start();
    const old = registry.addSet(setOf('old'), '1');
    const now = registry.addSet(setOf('now'), 'stable');
    const { follower, runs, channel } = await follow(registry);
    await vi.waitFor(() => expect(runs).toHaveLength(1), SOON);
    channel.followed = now;
    runs[0]!.end(DONE);
    await vi.waitFor(() => expect(registry.asked.filter((asked) => asked.startsWith('HEAD'))).toHaveLength(2), SOON);
    // The list is complete when the tag is asked for again.
    const asked = registry.asked.length;
    await vi.waitFor(() => expect(registry.asked.length).toBeGreaterThan(asked), SOON);
    expect(follower.awaits(`install@${old.slice(0, 7)}/linux`)).toBe(false);
    expect(follower.awaits(`install@sha256-${old.slice(0, 31)}/linux`)).toBe(false);
    expect(runs).toHaveLength(1);
    expect(follower.awaits(`install@sha256-${old.slice(0, 32)}/linux`)).toBe(true);
    await vi.waitFor(() => expect(runs).toHaveLength(2), SOON);
    expect(runs[1]).toMatchObject({ digest: old, flag: '--stage' });
  });

  it('knows the age of an answer after the clock was set back', async () => {
    const registry = await FakeRegistry.start();
    registry.addSet(setOf('1'), 'stable');
    const { follower, runs } = await follow(registry);
    await vi.waitFor(() => expect(runs).toHaveLength(1), SOON);
    vi.spyOn(Date, 'now').mockReturnValue(0);
    onTestFinished(() => void vi.restoreAllMocks());
    expect(follower.stats().channels[0]!.answeredAgoMs).toBeGreaterThanOrEqual(0);
  });

  it('names the registry when its list of tags is something else, and pulls what the tag names all the same', async () => {
    const registry = await FakeRegistry.start();
    const digest = registry.addSet(setOf('1'), 'stable');
    registry.misbehave = ({ url = '' }, response) => {
      if (!url.includes('/tags/list')) return false;
      response.end('<html>\n');
      return true;
    };
    const { runs, warnings } = await follow(registry);
    await vi.waitFor(() => expect(runs.map((run) => run.digest)).toEqual([digest]), SOON);
    expect(warnings).toEqual([
      `a followed registry cannot be asked: ${registry.host}: the list of tags of "boot/install": expected JSON with tags, got something else`,
    ]);
  });

  it('remembers as many versions as a list has, when the registry names ever new ones and lists nothing', async () => {
    const registry = await FakeRegistry.start();
    const reference = parseReference(`oci+http://${registry.host}/boot/install:stable`);
    const config = { channel: 'install', from: reference.text, everyMs: 1000, isPromoted: false };
    const channel = new FollowedChannel(config, reference, new Registry(reference, {}));
    onTestFinished(() => channel.close());
    registry.misbehave = ({ url = '' }, response) =>
      url.includes('/tags/list') && Boolean(response.writeHead(404).end());
    const digests: string[] = [];
    for (let at = 0; at < 102; at++) {
      digests.push(registry.addSet(setOf(String(at)), 'stable'));
      // oxlint-disable-next-line no-await-in-loop -- one answer after the other.
      await channel.ask().catch(() => {});
    }
    expect([digests[0], digests[1], digests[101]].map((digest) => channel.listed(digest!))).toEqual([
      undefined,
      digests[1],
      digests[101],
    ]);
  });

  it('says once that the registry refuses, and once that it answers again', async () => {
    const registry = await FakeRegistry.start();
    registry.addSet(setOf('1'), 'stable');
    registry.misbehave = (_, response) => Boolean(response.writeHead(403).end());
    const said: string[] = [];
    const { follower, warnings } = await follow(registry, { onInfo: (message) => said.push(message) });
    await vi.waitFor(() => expect(registry.asked.length).toBeGreaterThan(3), SOON);
    expect(warnings).toEqual([expect.stringMatching(/^a followed registry cannot be asked: .*answered 403/)]);
    expect(follower.stats().channels[0]).toMatchObject({ failure: expect.stringContaining('403'), isBehind: false });
    registry.misbehave = (_, response) => Boolean(response.writeHead(404).end());
    await vi.waitFor(() => expect(warnings).toHaveLength(2), SOON);
    expect(warnings[1]).toMatch(/the registry has none of that name$/);
    registry.misbehave = () => false;
    await vi.waitFor(() => expect(said).toEqual(['the followed registry answers again']), SOON);
    expect(follower.stats().channels[0]).toMatchObject({ failure: undefined, isBehind: true });
  });
});
