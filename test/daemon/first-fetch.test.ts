import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { exampleFile, firstFetch } from '../../src/daemon/first-fetch.ts';
import { folder } from '../support/reveille.ts';

const LOOPBACK = [{ address: '127.0.0.1', port: 6969 }];

describe('the command to try', () => {
  it('fetches the kernel of the example rack', async () => {
    const rack = fileURLToPath(new URL('../../examples/rack', import.meta.url));
    expect(await firstFetch(LOOPBACK, [], rack)).toBe('Try: curl -o linux tftp://127.0.0.1:6969/boot/linux');
  });

  it('has a second line for HTTP, which needs no certificate to be trusted', async () => {
    const root = folder();
    writeFileSync(join(root, 'a'), 'x');
    const plain = { address: '0.0.0.0', port: 8080, isSecure: false };
    const secure = { address: '127.0.0.1', port: 443, isSecure: true };
    expect(await firstFetch(LOOPBACK, [secure, plain], root)).toBe(
      'Try: curl -o a tftp://127.0.0.1:6969/a\n or: curl -o a http://127.0.0.1:8080/a',
    );
    expect(await firstFetch(LOOPBACK, [secure], root)).toBe('Try: curl -o a tftp://127.0.0.1:6969/a');
  });

  it('leaves out the port that is the default', async () => {
    const root = folder();
    writeFileSync(join(root, 'a'), 'x');
    expect(await firstFetch([{ address: '192.0.2.1', port: 69 }], [], root)).toBe('Try: curl -o a tftp://192.0.2.1/a');
  });

  it.each([
    [['192.0.2.1', '127.0.0.1'], '127.0.0.1'],
    [['0.0.0.0'], '127.0.0.1'],
    [['::'], '[::1]'],
    [['::1', '192.0.2.1'], '192.0.2.1'],
    [['fe80::1%eth0', '2001:db8::1'], '[2001:db8::1]'],
  ])('of a server at %j goes to %s', async (addresses, host) => {
    const root = folder();
    writeFileSync(join(root, 'a'), 'x');
    const listening = addresses.map((address) => ({ address, port: 69 }));
    expect(await firstFetch(listening, [], root)).toBe(`Try: curl -o a tftp://${host}/a`);
  });

  it('is not given when there is nothing to fetch', async () => {
    const root = folder();
    mkdirSync(join(root, 'boot'));
    writeFileSync(join(root, 'empty'), '');
    writeFileSync(join(root, '.hidden'), 'x');
    writeFileSync(join(root, 'a; rm -rf b'), 'x');
    symlinkSync('/etc/passwd', join(root, 'link'));
    expect(await exampleFile(root)).toBeUndefined();
    expect(await exampleFile(join(root, 'none'))).toBeUndefined();
    expect(await firstFetch(LOOPBACK, [], root)).toBeUndefined();
    expect(await firstFetch([], [], root)).toBeUndefined();
  });
});
