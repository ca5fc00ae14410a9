/** The messages between keeper and server: what is read back, and what is refused. */
import { describe, expect, it } from 'vitest';
import { decodeMessage, encodeMessage, MAX_ENTRIES, type Message } from '../../src/keeper/protocol.ts';

describe('a message', () => {
  it.each<Message>([
    { type: 'hello', version: 1 },
    { type: 'welcome', version: 1, standby: true },
    { type: 'hold', keys: [0, 7], labels: ['tftp 192.0.2.1:69', ''] },
    { type: 'drop', keys: [7] },
    { type: 'take' },
    { type: 'handOver' },
    { type: 'handedOver' },
    { type: 'forget' },
    { type: 'complete', history: { deaths: 2, deathsAtOnce: 1, upgrades: 1, cause: 'SIGKILL' } },
    { type: 'ready' },
  ])('of type $type arrives as it was sent', (message) => {
    expect(decodeMessage(encodeMessage(message))).toEqual(message);
  });

  it('of another version is read as far as its version', () => {
    expect(decodeMessage('{"type":"welcome","version":9,"history":["other"],"more":1}')).toMatchObject({ version: 9 });
    expect(decodeMessage('{"type":"hello","version":9,"more":1}')).toEqual({ type: 'hello', version: 9 });
  });

  it.each([
    ['no JSON', 'hold'],
    ['no object', '7'],
    ['null', 'null'],
    ['an unknown type', '{"type":"give"}'],
    ['no version', '{"type":"hello"}'],
    ['keys that are no numbers', '{"type":"drop","keys":["1"]}'],
    ['a negative key', '{"type":"drop","keys":[-1]}'],
    ['too many keys', JSON.stringify({ type: 'drop', keys: Array.from({ length: MAX_ENTRIES + 1 }, (_, key) => key) })],
    ['fewer labels than keys', '{"type":"hold","keys":[1,2],"labels":["a"]}'],
    ['an endless label', JSON.stringify({ type: 'hold', keys: [1], labels: ['a'.repeat(1000)] })],
  ])('with %s is refused', (_, text) => {
    expect(decodeMessage(text)).toBeUndefined();
  });
});
