/** Shared values are checked when they are read, and the scripts in Lua do what their twins on virtual time do. */
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  CLAIM_ADDRESS,
  decodeClaim,
  decodePins,
  decodeValue,
  encodeClaim,
  encodePins,
  encodeValue,
  OFFER,
  READ_ADDRESS,
  TAKE_OVER,
  takenOver,
} from '../../../src/boot-set/boot/shared-record.ts';
import { VirtualClock } from '../../../src/engine/virtual-clock.ts';
import { openRedis, type RedisCommand, type RedisLink } from '../../../src/redis/redis-link.ts';
import { parseRedisAddress } from '../../../src/redis/redis-url.ts';
import { Random } from '../../support/random.ts';
import { hasRedis, RedisServer } from '../../support/redis-server.ts';
import { SHARED_SCRIPTS } from '../../support/shared-scripts.ts';
import { VirtualRedis } from '../../support/virtual-redis.ts';

const PIN = {
  channel: 'hall/install',
  digest: 'ab'.repeat(32),
  stage: 1,
  createdAt: 1_700_000_000_000,
  address: '192.0.2.7',
  provisional: false,
} as const;
const NODE = { address: '192.0.2.7', pins: [PIN] };
const ROW: readonly unknown[] = ['hall/install', PIN.digest, 1, PIN.createdAt, '192.0.2.7', 0];

async function linkToRedis(): Promise<RedisLink> {
  const server = await RedisServer.start();
  const link = openRedis({ address: parseRedisAddress(`redis://127.0.0.1:${server.port}`)!, prefix: 'hall' });
  onTestFinished(() => link.close());
  await new Promise<void>((resolve) => link.onState((state) => state === 'up' && resolve()));
  return link;
}

describe('shared pins', () => {
  it('come back as they were written, whatever the order of their channels', () => {
    const other = { ...PIN, channel: 'a', stage: 0, provisional: true } as const;
    expect(decodePins(encodePins(NODE))).toEqual(NODE);
    expect(encodePins({ ...NODE, pins: [PIN, other] })).toBe(encodePins({ ...NODE, pins: [other, PIN] }));
    expect(decodePins(encodePins({ address: '', pins: [] }))).toEqual({ address: '', pins: [] });
    const text = encodeValue(3, 'aabbccdd', 60_000, encodePins(NODE));
    const value = decodeValue([text, 45_000])!;
    expect(value).toMatchObject({ number: 3, holder: 'aabbccdd', usedAgoMs: 15_000 });
    expect(takenOver(value, 'aabbccdd')).toBe(value);
    expect(takenOver(value, 'ee')).toMatchObject({ number: 4, text: text.replace('3 aabbccdd', '4 ee') });
  });

  it.each([
    '',
    'null',
    '[1,2]',
    JSON.stringify(['192.0.2.7', [ROW.with(0, 'x'.repeat(201))]]),
    JSON.stringify(['192.0.2.7', [ROW.with(1, '../../etc/passwd')]]),
    JSON.stringify(['192.0.2.7', [ROW.with(2, 2)]]),
    JSON.stringify(['192.0.2.7', [ROW.with(3, -1)]]),
    JSON.stringify(['192.0.2.7', [ROW.with(4, 'hall')]]),
    JSON.stringify(['192.0.2.7', [ROW, ROW]]),
    JSON.stringify(['hall', [ROW]]),
    JSON.stringify(['', [ROW]]),
    JSON.stringify(['192.0.2.7', Array.from({ length: 33 }, (_, at) => ROW.with(0, `c${at}`))]),
  ])('are refused when nobody wrote them so: %s', (text) => {
    expect(decodePins(text)).toBeUndefined();
  });

  it('are of no server when the value has another form', () => {
    for (const text of ['x', '1 aabbccdd 0 []', '1 AABBCCDD 5 []', `1 aabbccdd 5 ${'x'.repeat(20_000)}`]) {
      expect(decodeValue([text, 1])).toMatchObject({ text, holder: '', pins: '' });
    }
    expect(decodeValue(null)).toBeUndefined();
  });

  it('include who uses an address', () => {
    const claim = { ids: ['mac:52:54:00:12:34:56', 'serial:12345678'], bySelf: true };
    expect(decodeClaim(encodeClaim(claim))).toEqual(claim);
    expect(decodeClaim(encodeClaim({ ids: [], bySelf: true }))).toEqual({ ids: [], bySelf: false });
    for (const text of ['+', '+ ip:192.0.2.7', '+ mac:52:54:00:12:34:56 mac:52:54:00:12:34:57', '+ mac:x y', null]) {
      expect(decodeClaim(text)).toBeUndefined();
    }
  });

  it.runIf(hasRedis)('are written past values that are too long or of another type, which are not sent', async () => {
    const link = await linkToRedis();
    const keys = ['list', 'long', 'fine'].map((name) => link.key(name));
    await link.batch([
      ['LPUSH', keys[0]!, 'x'],
      ['SET', keys[1]!, `1 aabbccdd 60000 ${'x'.repeat(1_000_000)}`],
    ]);
    const addresses = [];
    // oxlint-disable-next-line no-await-in-loop -- one after the other.
    for (const key of keys) addresses.push(await link.run(['EVAL', READ_ADDRESS, 1, key], 5000));
    expect(addresses).toEqual([
      ['', -1],
      ['', -1],
      [null, -2],
    ]);
    const wanted = encodeValue(1, 'aabbccdd', 60_000, encodePins(NODE));
    const taken = ['EVAL', TAKE_OVER, 3, ...keys, 'aabbccdd'];
    expect(await link.run(taken, 5000)).toEqual([expect.any(String), [['', 0], ['', 0], null]]);
    const offered = ['EVAL', OFFER, 3, ...keys, ...keys.flatMap(() => ['', wanted, 60_000])];
    expect(await link.run(offered, 5000)).toEqual([expect.any(String), [0, 0, 0]]);
    const now = [wanted, expect.any(Number)];
    expect(await link.run(taken, 5000)).toEqual([expect.any(String), [now, now, now]]);
  });

  it.runIf(hasRedis)('change in redis-server as they do on virtual time', async () => {
    const link = await linkToRedis();
    const random = new Random(24);
    const virtual = new VirtualRedis({ clock: new VirtualClock(), random, scripts: SHARED_SCRIPTS });
    // Times to live pass in one of them: only what does not depend on them is compared.
    const shown = (answer: unknown): string => {
      const found = Array.isArray(answer) ? (answer[1] as unknown[]) : answer;
      return JSON.stringify(Array.isArray(found) ? found.map((one) => (Array.isArray(one) ? one[0] : one)) : found);
    };
    const answerOf = (command: RedisCommand): unknown => {
      try {
        return virtual.execute(command);
      } catch (error) {
        return error;
      }
    };
    const keys = ['a', 'b', 'c'].map((name) => link.key(name));
    const values = Array.from({ length: 4 }, (_, at) =>
      encodeValue(at, at % 2 ? 'aa11bb22' : 'cc33', 60_000, `[${at}]`),
    );
    values.push('', 'not a value', '9999999999999999 aa 5 []', '1 aa 0 []', `1 aa 5 ${'x'.repeat(20_000)}`);
    for (let round = 0; round < 400; round++) {
      const some = keys.slice(0, random.between(1, 3));
      const command = random.pick<RedisCommand>([
        ['EVAL', TAKE_OVER, some.length, ...some, random.pick(['aa11bb22', 'dd44'])],
        [
          'EVAL',
          OFFER,
          some.length,
          ...some,
          ...some.flatMap(() => [random.pick(values), random.pick(values), 60_000]),
        ],
        ['EVAL', CLAIM_ADDRESS, 1, link.key('at'), random.pick(['?', '+ mac:aa']), 50_000 + 10_000 * round],
        ['GET', random.pick(keys)],
        ['DEL', random.pick(keys)],
        ['HSET', random.pick(keys), 'field', 'of another type'],
      ]);
      // oxlint-disable-next-line no-await-in-loop -- each command changes what the next one finds.
      const [answer] = await link.batch([command], 5000);
      expect({ round, answer: shown(answer) }).toEqual({ round, answer: shown(answerOf(command)) });
    }
  });
});
