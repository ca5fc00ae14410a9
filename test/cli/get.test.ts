import { describe, expect, it } from 'vitest';
import type { FetchResult } from '../../src/client/fetch.ts';
import { failureOf } from '../../src/cli/get.ts';
import { OUTCOMES } from '../../src/session/session.ts';

function result(change: Partial<FetchResult>): FetchResult {
  return {
    outcome: 'complete',
    startedAt: 0,
    durationMs: 1,
    blocks: 1,
    bytes: 5,
    retransmits: 0,
    stale: 0,
    timeouts: 0,
    errorCode: undefined,
    errorText: '',
    fault: undefined,
    tsize: undefined,
    settled: undefined,
    violation: undefined,
    ...change,
  };
}

describe('why a download failed', () => {
  it.each([
    [{ outcome: 'refused', errorCode: 1, errorText: 'File not found' }, 'the server refused: error 1: File not found'],
    [{ outcome: 'refused', errorCode: 2, errorText: '' }, 'the server refused: error 2'],
    [
      { outcome: 'clientError', errorCode: 0, errorText: '\x1b[2J' },
      'the server gave up after 5 bytes: error 0: \\x1b[2J',
    ],
    [{ outcome: 'timeout', bytes: 0 }, 'no answer'],
    [{ outcome: 'timeout' }, 'no more data after 5 bytes'],
    [{ outcome: 'unreachable' }, 'nobody listens on that port'],
    [{ outcome: 'aborted' }, 'stopped'],
    [{ outcome: 'aborted', violation: 'tsize \n is odd' }, 'the server violated the protocol: tsize \\x0a is odd'],
    [{ outcome: 'complete', tsize: 6 }, 'the server announced 6 bytes and sent 5'],
  ] satisfies [Partial<FetchResult>, string][])('%j reads: %s', (change, text) => {
    expect(failureOf(result(change), 'octet')).toBe(text);
  });

  it('is undefined when all bytes arrived', () => {
    expect(failureOf(result({}), 'octet')).toBeUndefined();
    expect(failureOf(result({ tsize: 5 }), 'octet')).toBeUndefined();
    expect(failureOf(result({ tsize: 6 }), 'netascii')).toBeUndefined();
  });

  it('exists for every outcome but completion', () => {
    const failed = OUTCOMES.filter((outcome) => failureOf(result({ outcome }), 'octet') !== undefined);
    expect(OUTCOMES.filter((outcome) => !failed.includes(outcome))).toEqual(['complete', 'completeUnconfirmed']);
  });
});
