import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readingsOf } from '../../src/content/name.ts';
import { nameOfTarget } from '../../src/http/request-target.ts';

describe('the name in a request target', () => {
  it.each([
    ['/boot/grub.cfg', 'boot/grub.cfg'],
    ['//boot///grub.cfg', 'boot/grub.cfg'],
    ['/boot/grub.cfg?mac=1/2', 'boot/grub.cfg'],
    ['http://192.0.2.1:8080/boot/grub.cfg', 'boot/grub.cfg'],
    ['http://192.0.2.1//boot/grub.cfg?x', 'boot/grub.cfg'],
    ['http://192.0.2.1', ''],
    ['/', ''],
    ['', ''],
    ['/a%20b%2Fc%2fd', 'a b/c/d'],
    ['/a%2520b', 'a%20b'],
    ['/%e4', '\xe4'],
    ['/\xc3\xa4', '\xc3\xa4'],
    ['/what%3fever', 'what?ever'],
    ['/../etc/passwd', '../etc/passwd'],
    ['/%2e%2e/etc/passwd', '../etc/passwd'],
    ['/a#b', 'a#b'],
  ])('%s gives %j', (target, name) => {
    expect(nameOfTarget(target)).toBe(name);
  });

  it.each(['/%', '/%4', '/%zz', '/a%00b', '*', 'example.org:80', 'boot/grub.cfg', '/%%41'])('%s has none', (target) => {
    expect(nameOfTarget(target)).toBe(undefined);
  });

  it('is the same for any encoding of it', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 255 }), { minLength: 1 }), (codes) => {
        const name = String.fromCharCode(...codes);
        const target = `/${codes.map((code) => `%${code.toString(16).padStart(2, '0')}`).join('')}`;
        expect(nameOfTarget(target)).toBe(name.replaceAll(/\/{2,}/g, '/').replace(/^\//, ''));
      }),
    );
  });

  it('leads out of the root in no spelling of two dots', () => {
    for (const up of ['..', '%2e%2e', '.%2E', '%2e.']) {
      for (const slash of ['/', '%2f', '%5c', '\\']) {
        const name = nameOfTarget(`/a${slash}${up}${slash}${up}${slash}etc/passwd`);
        expect(name === undefined ? undefined : readingsOf(name)).toMatchObject({ kind: 'denied' });
      }
    }
  });
});
