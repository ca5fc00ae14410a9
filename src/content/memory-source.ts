/**
 * A source of names and bytes in memory, for embedding and simulations. Does no IO and never waits, so on virtual time
 * an answer takes no time.
 */
import { type MemoryHandle, shareBytes } from '../bytes/shared-bytes.ts';
import { validatorsOf } from './etag.ts';
import { textPath } from './name.ts';
import { shareNetascii } from './shared-netascii.ts';
import type { Answer, BootRequest, Source } from './types.ts';

export class MemorySource implements Source {
  readonly #files: ReadonlyMap<string, Uint8Array>;
  // Keyed by array, not by name: a replaced array is new content, and the copies of a removed one are collected with
  // it.
  readonly #copies = {
    octet: new WeakMap<Uint8Array, MemoryHandle>(),
    netascii: new WeakMap<Uint8Array, MemoryHandle>(),
  };

  /**
   * @param files clean names (`boot/grub.cfg`) to bytes. Names may be added, replaced and removed at any time; the
   *   bytes are copied on the first request and must not change.
   */
  constructor(files: ReadonlyMap<string, Uint8Array>) {
    this.#files = files;
  }

  open(request: BootRequest): Answer {
    const name = textPath(request.filename);
    if (typeof name !== 'string') return name;
    const bytes = this.#files.get(name);
    if (bytes === undefined) return { kind: 'missing' };
    const handle = this.#share(bytes, request.mode);
    return { kind: 'content', handle, label: name, validators: validatorsOf(handle), release: () => {} };
  }

  #share(bytes: Uint8Array, mode: BootRequest['mode']): MemoryHandle {
    const copies = this.#copies[mode];
    let handle = copies.get(bytes);
    if (handle === undefined) {
      handle = mode === 'netascii' ? shareNetascii(bytes) : shareBytes(bytes);
      copies.set(bytes, handle);
    }
    return handle;
  }
}
