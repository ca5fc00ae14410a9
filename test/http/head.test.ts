import { describe, expect, it } from 'vitest';
import { contentHead, plainHead } from '../../src/http/head.ts';

const CONTENT = { size: 1000, etag: 'abc', modifiedMs: Date.parse('Sun, 06 Nov 1994 08:49:37 GMT') };
const lines = ({ fields }: { fields: readonly string[] }): string[] =>
  fields.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${fields[index + 1]}`] : []));

describe('the head of an answer', () => {
  it('has every field of a whole content, spelled as clients look for them', () => {
    expect(lines(contentHead('boot/BOOTX64.EFI', { status: 200, from: 0, to: 1000 }, CONTENT))).toEqual([
      'Content-Length: 1000',
      'Content-Type: application/efi',
      'Accept-Ranges: bytes',
      'ETag: "abc"',
      'Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT',
    ]);
  });

  it('names the range', () => {
    expect(lines(contentHead('linux', { status: 206, from: 10, to: 20 }, { size: 1000 }))).toEqual([
      'Content-Length: 10',
      'Content-Range: bytes 10-19/1000',
      'Accept-Ranges: bytes',
    ]);
  });

  it.each([
    ['x.iso', 'application/vnd.efi-iso'],
    ['x.img', 'application/vnd.efi-img'],
  ])('has the type of %s', (name, type) => {
    expect(lines(contentHead(name, { status: 200, from: 0, to: 1 }, { size: 1 }))).toContain(`Content-Type: ${type}`);
  });

  it('has the size for a range past the end', () => {
    expect(lines(contentHead('x', { status: 416 }, CONTENT))).toEqual([
      'Content-Length: 0',
      'Content-Range: bytes */1000',
    ]);
  });

  it('has no length for 304, whose length would be that of a body', () => {
    expect(lines(contentHead('x.efi', { status: 304 }, CONTENT))).toEqual([
      'ETag: "abc"',
      'Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT',
    ]);
  });

  it('names the allowed methods, and the time after which to ask again', () => {
    expect(lines(plainHead(405))).toEqual(['Content-Length: 0', 'Allow: GET, HEAD']);
    expect(lines(plainHead(503))).toEqual(['Content-Length: 0', 'Retry-After: 1']);
    for (const status of [400, 403, 404] as const) expect(lines(plainHead(status))).toEqual(['Content-Length: 0']);
  });
});
