import { describe, expect, it } from 'vitest';
import { decodeRequest } from '../../src/protocol/request.ts';
import { RequestReader } from '../../src/server/request-reader.ts';
import { seededBytes } from '../support/content.ts';

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

describe('RequestReader', () => {
  it('returns one object for equal bytes, even from another buffer', () => {
    const reader = new RequestReader();
    const first = reader.read(bytesOf('\0\x01linux\0octet\0'), 14);
    expect(first).toMatchObject({ operation: 'read', filename: 'linux', mode: 'octet', text: 'linux\0octet' });
    expect(reader.read(bytesOf('\0\x01linux\0octet\0and more'), 14)).toBe(first);
  });

  it('keeps what it was given apart from the buffer, which the next datagram overwrites', () => {
    const reader = new RequestReader();
    const buffer = bytesOf('\0\x01linux\0octet\0');
    const first = reader.read(buffer, buffer.length);
    buffer.write('\0\x01other\0octet\0', 'latin1');
    expect(reader.read(buffer, buffer.length)).toMatchObject({ filename: 'other' });
    expect(reader.read(bytesOf('\0\x01linux\0octet\0'), 14)).toEqual(first);
  });

  it('gives what a decoder gives, however many requests share a place', () => {
    const reader = new RequestReader();
    const noise = seededBytes(7, 40_000);
    for (let round = 0; round < 2; round++) {
      for (let number = 0; number < 2000; number++) {
        const name = noise.subarray(number * 20, number * 20 + (number % 20));
        const tail = number % 7 === 0 ? '\0octet' : '\0octet\0blksize\0\x31468\0';
        const bytes = Buffer.concat([bytesOf('\0\x01'), name, bytesOf(tail)]);
        const read = reader.read(bytes, bytes.length);
        const { text: _, ...fields } = typeof read === 'string' ? { text: '', malformed: read } : read;
        const decoded = decodeRequest(bytes, bytes.length);
        expect(fields).toEqual(typeof decoded === 'string' ? { malformed: decoded } : decoded);
      }
    }
  });

  it('tells requests apart that differ in one option', () => {
    const reader = new RequestReader();
    const texts = ['\x31468', '\x31469', ''].map((value) => {
      const bytes = bytesOf(`\0\x01linux\0octet\0blksize\0${value}\0`);
      const request = reader.read(bytes, bytes.length);
      return typeof request === 'string' ? request : request.text;
    });
    expect(new Set(texts).size).toBe(3);
  });
});
