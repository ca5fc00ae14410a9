/** Hostile heads of HTTP requests, from a seed. */
import { escapes } from './hostile.ts';
import type { Random } from './random.ts';

const FIELDS = [
  'Host: x\r\nRange: bytes=0-\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n',
  'Host: x\r\nRange: bytes=1-2\r\nIf-Range: "x"\r\n\r\n',
  'Host: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n',
  'Connection: close\r\n\r\n',
  '\r\n',
];
const MOST_NOISE_BYTES = 200;
/** More than a head may have. */
const LARGE_BYTES = 9000;

/** Makes heads that ask for names outside the root, and then damages them. */
export class HostileHeads {
  readonly #names: readonly string[];

  /** @param root path of the server's root. @param secret name of a file next to it. */
  constructor(root: string, secret: string) {
    this.#names = ['../small', 'small', ...escapes(root, secret)];
  }

  /** Returns all that one client sends. */
  next(random: Random): Buffer {
    if (random.chance(0.05)) return Buffer.from(random.bytes(random.between(0, MOST_NOISE_BYTES)));
    const name = random.pick(this.#names);
    const large = random.chance(0.01) ? `X: ${'x'.repeat(LARGE_BYTES)}\r\n` : '';
    const bytes = Buffer.from(`GET /${name} HTTP/1.1\r\n${large}${random.pick(FIELDS)}`, 'latin1');
    const most = random.chance(0.5) ? 0 : 4;
    for (let changes = random.between(0, most); changes > 0; changes--) {
      bytes[random.between(0, bytes.length - 1)] = random.between(0, 255);
    }
    return random.chance(0.25) ? bytes.subarray(0, random.between(0, bytes.length - 1)) : bytes;
  }
}
