/** Files on a simulated disk with a fixed rate, which serves one read after the other on virtual time. */
import { allocateShared, type MemoryHandle } from '../../src/bytes/shared-bytes.ts';
import { BufferCache } from '../../src/content/buffer-cache.ts';
import type { HeldBytes, Unloaded } from '../../src/content/buffer-cache-types.ts';
import type { Reading } from '../../src/content/file-reading.ts';
import { FileSupply, RING_BYTES } from '../../src/content/file-supply.ts';
import { holdRing, lacksMemory } from '../../src/content/held-ring.ts';
import type { Answer, BootRequest, Source } from '../../src/content/types.ts';
import type { Clock } from '../../src/engine/types.ts';

export interface SlowDiskOptions {
  readonly bytesPerS: number;
  /** Memory limit for contents, in bytes. Default: no limit. */
  readonly limitBytes?: number;
}

export class SlowDisk implements Source {
  readonly files = new Map<string, Uint8Array>();
  /** Names of files whose reads never end. */
  readonly hung = new Set<string>();
  /** Names of files whose reads fail. */
  readonly broken = new Set<string>();
  /** Number of bytes read from each file. */
  readonly read = new Map<string, number>();
  readonly cache: BufferCache;
  clock: Clock | undefined;
  readonly #bytesPerS: number;
  #freeAt = 0;

  constructor({ bytesPerS, limitBytes }: SlowDiskOptions) {
    this.#bytesPerS = bytesPerS;
    this.cache = new BufferCache(limitBytes === undefined ? {} : { limitBytes });
  }

  open({ filename }: BootRequest): Answer | Promise<Answer> {
    const bytes = this.files.get(filename);
    if (bytes === undefined) return { kind: 'missing' };
    return this.#hold(filename, bytes);
  }

  async #hold(name: string, bytes: Uint8Array): Promise<Answer> {
    let held: HeldBytes | Unloaded = await this.cache.acquire(
      name,
      async () => {
        const supply = this.#supply(name, bytes, false);
        return { handle: supply.handle, supply, discard: () => supply.stop(), idles: true };
      },
      0,
      bytes.length,
    );
    if (lacksMemory(held)) held = await holdRing(this.cache, async () => this.#supply(name, bytes, true));
    if (held.kind !== 'held') return held;
    return { kind: 'content', handle: held.handle, supply: held.supply, label: name, release: held.release };
  }

  #supply(name: string, bytes: Uint8Array, isRing: boolean): FileSupply {
    const reading = new DiskReading(this, name, bytes, isRing ? RING_BYTES : bytes.length);
    return new FileSupply({ reading, size: bytes.length, isRing, clock: () => this.clock!.now() });
  }

  /** Resolves when the disk has read that many bytes of the file, after all earlier reads. */
  async give(name: string, bytes: number): Promise<void> {
    if (this.hung.has(name)) await new Promise(() => {});
    if (this.broken.has(name)) throw Object.assign(new Error('EIO: failed'), { code: 'EIO', syscall: 'read' });
    const clock = this.clock!;
    this.#freeAt = Math.max(this.#freeAt, clock.now()) + (bytes / this.#bytesPerS) * 1000;
    const doneAt = this.#freeAt;
    await new Promise<void>((resolve) => void clock.wake(doneAt, resolve));
    this.read.set(name, (this.read.get(name) ?? 0) + bytes);
  }
}

class DiskReading implements Reading {
  readonly handle: MemoryHandle;
  readonly #disk: SlowDisk;
  readonly #name: string;
  readonly #bytes: Uint8Array;
  readonly #into: Uint8Array;
  #position = 0;

  constructor(disk: SlowDisk, name: string, bytes: Uint8Array, length: number) {
    const { handle, bytes: into } = allocateShared(length);
    this.handle = handle;
    this.#into = into;
    this.#disk = disk;
    this.#name = name;
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#bytes.length;
  }

  async next(at: number, length: number): Promise<number> {
    const part = this.#bytes.subarray(this.#position, this.#position + length);
    await this.#disk.give(this.#name, part.length);
    this.#into.set(part, at);
    this.#position += part.length;
    return part.length;
  }

  isUnchanged(): Promise<boolean> {
    return Promise.resolve(this.#disk.files.get(this.#name) === this.#bytes);
  }

  async close(): Promise<void> {}

  cancel(): void {}

  free(): void {
    // A reader that still uses the memory now sees bytes that no file contains.
    this.#into.fill(0xee, 0, Math.min(this.#into.length, 1024 ** 2));
  }
}
