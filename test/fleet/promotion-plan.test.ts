/** Plans of promotions from what servers announce, and records that anyone may have written to Redis. */
import { describe, expect, it } from 'vitest';
import {
  type ChannelRecordOfServer,
  channelText,
  isBehind,
  MAX_VERSIONS_ANNOUNCED,
  parseChannel,
  parseServer,
  type ServerRecord,
  serverText,
} from '../../src/fleet/announcement.ts';
import { parsePromotion, promotionStep, promotionText } from '../../src/fleet/promotion.ts';
import { planPromotion, type PromotionWish, type ServerChannel } from '../../src/fleet/promotion-plan.ts';
import { seededBytes } from '../support/content.ts';
import { digestOf } from './fleet-world.ts';

const [ONE, TWO] = [digestOf(1), digestOf(2)];
const NOW = 1_700_000_000_000;
const FROM = 'oci://registry.example/boot/install:stable';

function serverRecord(name: string, more: Partial<ServerRecord> = {}): ServerRecord {
  return {
    name,
    run: 'r',
    version: '1.0.0',
    startedAt: NOW,
    channels: 1,
    behind: 0,
    behindNames: [],
    staged: 2,
    pins: 0,
    transfers: 0,
    sessions: 100,
    skewMs: 0,
    isNameTaken: false,
    ...more,
  };
}

function channelWith(
  versions: readonly [number, string][],
  more: Partial<ChannelRecordOfServer> = {},
): ChannelRecordOfServer {
  return {
    current: undefined,
    promoted: undefined,
    follow: undefined,
    versions: versions.map(([number, manifest]) => ({ number, manifest, isNeeded: true })),
    ...more,
  };
}

function on(name: string, channel: ChannelRecordOfServer | undefined, more: Partial<ServerRecord> = {}): ServerChannel {
  return { server: serverRecord(name, more), channel };
}

const both = channelWith([
  [1, ONE],
  [2, TWO],
]);
const swapped = channelWith([
  [1, TWO],
  [2, ONE],
]);

function following(wanted: string | undefined, from = FROM, isPromoted = true): ChannelRecordOfServer {
  return { ...both, follow: { from, wanted, isPromoted } };
}

function plan(servers: readonly ServerChannel[], more: Partial<PromotionWish> = {}, shared = undefined as never) {
  const wish = { channel: 'install', version: undefined, isForced: false, prefix: 'reveille', ...more };
  try {
    return planPromotion(wish, servers, shared, NOW);
  } catch (error) {
    return (error as Error).message;
  }
}

describe('a plan', () => {
  it('takes a version by digest, by its first digits, by number, or the one that the tag names', () => {
    const promotion = { generation: 1, at: NOW, manifest: TWO };
    const servers = [on('a', following(TWO)), on('b', following(TWO))];
    for (const version of [`sha256:${TWO}`, TWO.slice(0, 7).toUpperCase(), '2', 'install-2', undefined]) {
      expect(plan(servers, { version })).toEqual({ promotion, lacking: [] });
    }
  });

  it('promotes the version that the tag names once, and again if it is named', () => {
    const shared = { generation: 7, at: NOW, manifest: TWO } as never;
    const servers = [on('a', following(TWO))];
    const short = TWO.slice(0, 12);
    expect(plan(servers, {}, shared)).toBe(
      `channel "install": sha256:${short}, which the tag names, is promoted already: name a version to promote it again`,
    );
    expect(plan(servers, { version: TWO }, shared)).toMatchObject({ promotion: { generation: 8 } });
  });

  it('counts on from the highest generation that Redis or a server knows, and is never older than it', () => {
    const ahead = { generation: 9, at: NOW + 5000, manifest: ONE };
    const shared = { generation: 7, at: NOW, manifest: ONE } as never;
    const servers = [on('a', { ...both, promoted: ahead }), on('b', both)];
    expect(plan(servers, { version: '2' }, shared)).toEqual({
      promotion: { generation: 10, at: NOW + 5000, manifest: TWO },
      lacking: [],
    });
  });

  it.each([
    ['no server', [], {}, 'no live server announces itself under "reveille": expected servers with the setting pins'],
    ['an unknown channel', [on('a', undefined)], {}, 'channel "install": expected a channel that a live server has'],
    [
      'an unknown digest',
      [on('a', both)],
      { version: 'abcdef0' },
      'channel "install": version sha256:abcdef0: expected a version that a live server has',
    ],
    [
      'an unknown number',
      [on('a', both)],
      { version: 'install-7' },
      'channel "install": version 7: expected a version that a live server has',
    ],
    [
      'a number that means two versions',
      [on('a', both), on('b', swapped)],
      { version: '2' },
      `channel "install": version 2 differs between servers (sha256:${TWO.slice(0, 12)} on a, sha256:${ONE.slice(0, 12)} on b): expected a digest`,
    ],
    [
      'a word',
      [on('a', both)],
      { version: 'latest' },
      'channel "install": expected a version such as 7, install-7 or sha256:3f29c1d0, got "latest"',
    ],
    [
      'no version and no tag',
      [on('a', both)],
      {},
      'channel "install": expected a version, because no live server follows a registry for it',
    ],
    [
      'a tag that has moved for one of them',
      [on('a', following(ONE)), on('b', following(TWO))],
      {},
      `channel "install": the servers have not seen the same tag yet (sha256:${ONE.slice(0, 12)} on a, sha256:${TWO.slice(0, 12)} on b): name the version, or try again`,
    ],
    [
      'a server that lacks the version',
      [on('a', both), on('b', channelWith([[1, ONE]]))],
      { version: TWO },
      `channel "install": sha256:${TWO.slice(0, 12)} is not staged on b: wait, or use --force`,
    ],
    [
      'a server without the channel',
      [on('a', both), on('b', undefined)],
      { version: TWO },
      `channel "install": sha256:${TWO.slice(0, 12)} is not staged on b (b without the channel: another fleet under "reveille"?): wait, or use --force`,
    ],
    [
      'two fleets under one prefix',
      [on('a', following(TWO)), on('b', following(TWO, 'oci://other.example/install:stable'))],
      {},
      `channel "install": follows different tags (${FROM} on a, oci://other.example/install:stable on b): expected one tag, or another pinsPrefix than "reveille" for each fleet`,
    ],
    [
      'a channel that moves by itself',
      [on('a', following(TWO, FROM, false))],
      {},
      'channel "install": moves with its tag on a: expected "move: promoted" in the setting follow',
    ],
    [
      'two servers of one name',
      [on('a', both, { isNameTaken: true })],
      { version: TWO },
      'a: two servers have this name: expected a host name for each server',
    ],
  ])('refuses %s in one line', (_, servers, wish, message) => {
    expect(plan(servers, wish)).toBe(message);
  });

  it('names those that lack the version when it is forced', () => {
    const servers = [on('a', both), on('b', channelWith([[1, ONE]])), on('c', undefined)];
    expect(plan(servers, { version: TWO, isForced: true })).toMatchObject({ lacking: ['b', 'c'] });
  });
});

describe('records in Redis', () => {
  it('are read as they were written', () => {
    const record = serverRecord('host:69', { behind: 1, behindNames: ['install'], skewMs: -12 });
    expect(parseServer(serverText(record), 'host:69')).toEqual(record);
    const channel = following(TWO);
    expect(parseChannel(channelText(channel))).toEqual(channel);
    const promotion = { generation: 3, at: NOW, manifest: ONE };
    expect(parsePromotion(promotionText(promotion))).toEqual(promotion);
  });

  it('are left out when they are anything else', () => {
    const promotion = { generation: 3, at: NOW, manifest: ONE };
    const wrong: unknown[] = [undefined, null, 7, '', '{', '[]', '"x"', '{}', `${' '.repeat(2000)}{}`];
    const promotions = [
      { generation: 0 },
      { generation: 1.5 },
      { at: -1 },
      { at: 8.64e15 + 1 },
      { manifest: '../x' },
      { manifest: ONE.slice(1) },
    ];
    for (const text of [...wrong, ...promotions.map((one) => JSON.stringify({ ...promotion, ...one }))]) {
      expect(parsePromotion(text)).toBeUndefined();
    }
    const servers = [
      { name: 'other' },
      { pins: -1 },
      { startedAt: 8.64e15 + 1 },
      { run: '' },
      { behindNames: [7] },
      { skewMs: '0' },
      { version: 'x'.repeat(400) },
    ];
    wrong.push(serverText(serverRecord('a')).replace('"skewMs":0', '"skewMs":1e999'));
    for (const text of [...wrong, ...servers.map((one) => JSON.stringify({ ...serverRecord('a'), ...one }))]) {
      expect(parseServer(text, 'a')).toBeUndefined();
    }
    for (const text of [
      ...wrong,
      '{"versions":[[1]]}',
      `{"versions":[[1,"${ONE}",1],["x","${ONE}",1]]}`,
      '{"versions":{}}',
    ]) {
      expect(parseChannel(text)).toBeUndefined();
    }
  });

  it('never throw, whatever their bytes are', () => {
    const text = channelText(following(TWO));
    for (let seed = 1; seed <= 300; seed++) {
      const bytes = Buffer.from(text);
      const [at, value] = seededBytes(seed, 2) as unknown as [number, number];
      bytes[(at * bytes.length) >> 8] = value;
      expect(() => parseChannel(bytes.toString('latin1'))).not.toThrow();
    }
  });

  it('list no more versions of a channel than the limit', () => {
    const many = channelWith(Array.from({ length: 600 }, (_, at) => [600 - at, digestOf(at)]));
    expect(parseChannel(channelText(many))?.versions).toHaveLength(MAX_VERSIONS_ANNOUNCED);
  });
});

describe('a server', () => {
  const promotion = { generation: 3, at: NOW, manifest: ONE };

  it('is behind while it serves another generation or another version than the promoted one', () => {
    const channel = { ...both, current: ONE, promoted: promotion };
    expect(isBehind(channel, undefined)).toBe(false);
    expect(isBehind(channel, promotion)).toBe(false);
    expect(isBehind({ ...channel, current: TWO }, promotion)).toBe(true);
    expect(isBehind({ ...channel, promoted: undefined }, promotion)).toBe(true);
    expect(isBehind(channel, { ...promotion, generation: 4 })).toBe(true);
  });

  it.each([
    ['nothing', undefined, undefined],
    ['nothing', promotion, promotion],
    ['move', undefined, promotion],
    ['move', promotion, { ...promotion, generation: 4 }],
    ['move', promotion, { ...promotion, at: NOW + 1 }],
    ['offer', promotion, undefined],
    ['offer', promotion, { ...promotion, generation: 2, at: NOW - 1 }],
    ['offer', promotion, { ...promotion, at: NOW - 1 }],
    ['conflict', promotion, { ...promotion, generation: 2, at: NOW + 1 }],
  ])('%s when it has %o and Redis %o', (step, own, shared) => {
    expect(promotionStep(own, shared, true)).toBe(step);
    expect(promotionStep(own, shared, false)).toBe(step === 'move' ? 'stage' : step);
  });
});
