import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Conditions, secondsOfDate, select } from '../../src/http/conditions.ts';

const MODIFIED = 'Sun, 06 Nov 1994 08:49:37 GMT';
const EARLIER = 'Sun, 06 Nov 1994 08:49:36 GMT';
const LATER = 'Sun, 06 Nov 1994 08:49:38 GMT';
const CONTENT = { size: 1000, etag: 'abc', modifiedMs: Date.parse(MODIFIED) + 400 };
const WHOLE = { status: 200, from: 0, to: 1000 };
const get = (conditions: Conditions): object => select('GET', conditions, CONTENT);

describe('an HTTP date', () => {
  it.each([
    [MODIFIED, 784_111_777],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 784_111_777],
    ['Sun Nov  6 08:49:37 1994', 784_111_777],
    ['Sun, 6 Nov 1994 08:49:37 GMT', undefined],
    ['Sun, 06 Nov 1994 08:49:37 +0100', undefined],
    ['Sun, 99 Xyz 1994 08:49:37 GMT', undefined],
    ['"abc"', undefined],
    ['0', undefined],
  ])('%s', (text, seconds) => {
    expect(secondsOfDate(text)).toBe(seconds);
  });
});

describe('a range', () => {
  it.each([
    ['bytes=0-', 0, 1000],
    ['bytes=0-0', 0, 1],
    ['bytes=999-', 999, 1000],
    ['bytes=10-19', 10, 20],
    ['bytes=10-99999', 10, 1000],
    ['bytes=-10', 990, 1000],
    ['bytes=-99999', 0, 1000],
    ['BYTES=5-5', 5, 6],
    ['bytes=10-99999999999999999999999', 10, 1000],
  ])('%s', (range, from, to) => {
    expect(get({ range })).toEqual({ status: 206, from, to });
  });

  it.each(['bytes=1000-', 'bytes=1000-2000', 'bytes=-0', 'bytes=99999999999999999999-'])(
    '%s is past the end',
    (range) => {
      expect(get({ range })).toEqual({ status: 416 });
    },
  );

  it.each(['bytes=0-1,5-6', 'lines=1-2', 'bytes=5-2', 'bytes=-', 'bytes=a-b', 'bytes', 'bytes=1-2-3'])(
    '%s gives the whole',
    (range) => {
      expect(get({ range })).toEqual(WHOLE);
    },
  );

  it('of an empty file is past its end', () => {
    for (const range of ['bytes=0-', 'bytes=-5'])
      expect(select('GET', { range }, { size: 0 })).toEqual({ status: 416 });
  });

  it('is ignored for HEAD', () => {
    expect(select('HEAD', { range: 'bytes=5-6' }, CONTENT)).toEqual(WHOLE);
  });

  it('lies within the content whatever is asked', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^bytes=[0-9, -]{0,12}$/), fc.integer({ min: 0, max: 2000 }), (range, size) => {
        const chosen = select('GET', { range }, { size });
        const { from, to } = 'from' in chosen ? chosen : { from: 0, to: 0 };
        expect(from >= 0 && from <= to && to <= size).toBe(true);
        expect(chosen.status !== 206 || from < to).toBe(true);
      }),
    );
  });
});

describe('conditions', () => {
  it.each<[string, Conditions, number]>([
    ['If-None-Match with the tag', { ifNoneMatch: '"abc"' }, 304],
    ['If-None-Match with the tag as weak, in a list', { ifNoneMatch: '"x", W/"abc"' }, 304],
    ['If-None-Match with a star', { ifNoneMatch: '*' }, 304],
    ['If-None-Match with another tag', { ifNoneMatch: '"x"' }, 200],
    ['If-None-Match wins over a date', { ifNoneMatch: '"x"', ifModifiedSince: LATER }, 200],
    ['If-Modified-Since, the same second', { ifModifiedSince: MODIFIED }, 304],
    ['If-Modified-Since, later', { ifModifiedSince: LATER }, 304],
    ['If-Modified-Since, earlier', { ifModifiedSince: EARLIER }, 200],
    ['If-Modified-Since, no date', { ifModifiedSince: 'yesterday' }, 200],
    ['If-Match with the tag', { ifMatch: '"x", "abc"' }, 200],
    ['If-Match with a star', { ifMatch: '*' }, 200],
    ['If-Match with the tag as weak', { ifMatch: 'W/"abc"' }, 412],
    ['If-Match with another tag', { ifMatch: '"x"' }, 412],
    ['If-Match with no tag', { ifMatch: 'abc' }, 412],
    ['If-Match wins over a date', { ifMatch: '"abc"', ifUnmodifiedSince: EARLIER }, 200],
    ['If-Unmodified-Since, the same second', { ifUnmodifiedSince: MODIFIED }, 200],
    ['If-Unmodified-Since, earlier', { ifUnmodifiedSince: EARLIER }, 412],
    ['If-Match before If-None-Match', { ifMatch: '"x"', ifNoneMatch: '"abc"' }, 412],
    ['If-Range with the tag', { range: 'bytes=5-', ifRange: '"abc"' }, 206],
    ['If-Range with the tag as weak', { range: 'bytes=5-', ifRange: 'W/"abc"' }, 200],
    ['If-Range with another tag', { range: 'bytes=5-', ifRange: '"x"' }, 200],
    ['If-Range with the date', { range: 'bytes=5-', ifRange: MODIFIED }, 206],
    ['If-Range with a later date', { range: 'bytes=5-', ifRange: LATER }, 200],
    ['If-Range with another tag, past the end', { range: 'bytes=5000-', ifRange: '"x"' }, 200],
    ['If-Match and a range', { ifMatch: '"abc"', range: 'bytes=5-' }, 206],
    ['a range past the end of what is known', { ifNoneMatch: '"abc"', range: 'bytes=5000-' }, 304],
  ])('%s', (_, conditions, status) => {
    expect(get(conditions)).toMatchObject({ status });
  });

  it('of a content without validators do not fail on dates, and match no tag', () => {
    const bare = { size: 10 };
    expect(select('GET', { ifUnmodifiedSince: EARLIER }, bare)).toMatchObject({ status: 200 });
    expect(select('GET', { ifModifiedSince: LATER }, bare)).toMatchObject({ status: 200 });
    expect(select('GET', { ifMatch: '"abc"' }, bare)).toEqual({ status: 412 });
    expect(select('GET', { range: 'bytes=1-', ifRange: '"undefined"' }, bare)).toMatchObject({ status: 200 });
    expect(select('GET', { range: 'bytes=1-', ifRange: MODIFIED }, bare)).toMatchObject({ status: 200 });
  });
});
