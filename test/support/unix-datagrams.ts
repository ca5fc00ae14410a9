/** A Unix datagram socket, as a service manager has. It uses koffi because Node.js offers none. */
import { createRequire } from 'node:module';
import { onTestFinished } from 'vitest';

const require = createRequire(import.meta.url);

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MAX_BYTES = 4096;

export class UnixDatagrams {
  readonly #fd: number;
  readonly #receive: (fd: number, into: Uint8Array) => Promise<number>;

  /** @param path path of the socket; after an `@`, the name of an abstract socket. */
  constructor(path: string) {
    const koffi = require('koffi') as typeof import('koffi');
    const libc = koffi.load('libc.so.6');
    const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`);
    const address = Buffer.concat([new Uint8Array(new Uint16Array([AF_UNIX]).buffer), name]);
    this.#fd = libc.func('int socket(int, int, int)')(AF_UNIX, SOCK_DGRAM, 0) as number;
    const bound = libc.func('int bind(int, void *, unsigned int)')(this.#fd, address, address.length) as number;
    if (bound !== 0) throw new Error(`can't bind ${path}`);
    const shut = libc.func('int shutdown(int, int)');
    const close = libc.func('int close(int)');
    const receive = libc.func('int64_t recv(int, void *, size_t, int)');
    this.#receive = (fd, into) =>
      new Promise((resolve, reject) => {
        // The call blocks, so it runs on a thread of its own.
        receive.async(fd, into, into.length, 0, (error: Error | null, length: number) => {
          if (error === null) resolve(length);
          else reject(error);
        });
      });
    // The shutdown ends a pending recv().
    onTestFinished(() => {
      shut(this.#fd, 2);
      close(this.#fd);
    });
  }

  /** Next datagram, as text. */
  async next(): Promise<string> {
    const into = new Uint8Array(MAX_BYTES);
    const length = await this.#receive(this.#fd, into);
    return Buffer.from(into.subarray(0, length)).toString();
  }

  /** Next datagram that begins with `beginning`. */
  async until(beginning: string): Promise<string> {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      const text = await this.next();
      if (text.startsWith(beginning)) return text;
    }
  }
}
