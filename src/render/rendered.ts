/**
 * Keeps rendered texts, so that a boot gets the same one again: GRUB asks twice, PXELINUX after 110 ms. Identical
 * concurrent requests share one rendering. Bounded in bytes; knows no routes and renders nothing itself.
 */
import { LRUCache } from 'lru-cache';
import { shareNetascii } from '../content/shared-netascii.ts';
import { attachShared, type MemoryHandle } from '../bytes/shared-bytes.ts';
import type { Failed } from './jobs.ts';
import { ENTRY_BYTES, KEPT_BYTES, KEPT_IDLE_MS, KEPT_MS } from './limits.ts';

export class Text {
  readonly octet: MemoryHandle;
  #netascii: MemoryHandle | undefined;

  constructor(octet: MemoryHandle) {
    this.octet = octet;
  }

  get netascii(): MemoryHandle {
    this.#netascii ??= shareNetascii(attachShared(this.octet).bytes);
    return this.#netascii;
  }
}

export type Made =
  | { readonly kind: 'made'; readonly text: Text; readonly isStale: boolean }
  | { readonly kind: 'none' }
  | Failed;

interface Kept {
  readonly client: string;
  readonly boot: string;
  readonly made: Extract<Made, { kind: 'made' }>;
  readonly madeAt: number;
  usedAt: number;
}

export class Rendered {
  readonly #now: () => number;
  readonly #kept: LRUCache<string, Kept>;
  readonly #making = new Map<string, { readonly boot: string; readonly made: Promise<Made> }>();
  /** Keys of kept texts by client. */
  readonly #ofClient = new Map<string, Set<string>>();

  constructor(now: () => number) {
    this.#now = now;
    this.#kept = new LRUCache({
      maxSize: KEPT_BYTES,
      sizeCalculation: ({ made }, key) => ENTRY_BYTES + key.length + made.text.octet.length,
      dispose: ({ client }, key) => {
        const keys = this.#ofClient.get(client);
        keys?.delete(key);
        if (keys?.size === 0) this.#ofClient.delete(client);
      },
    });
  }

  get size(): number {
    return this.#kept.size;
  }

  get bytes(): number {
    return this.#kept.calculatedSize;
  }

  /**
   * Returns the text kept for `key` in that boot, or the result of `make`, which must not reject. Only texts are kept.
   *
   * @returns the result; `isShared` is true when it was kept or already being made.
   */
  async get(
    key: string,
    client: string,
    boot: string,
    make: () => Promise<Made>,
  ): Promise<{ readonly made: Made; readonly isShared: boolean }> {
    const now = this.#now();
    const kept = this.#kept.get(key);
    if (kept?.boot === boot && now - kept.usedAt <= KEPT_IDLE_MS && now - kept.madeAt <= KEPT_MS) {
      kept.usedAt = now;
      return { made: kept.made, isShared: true };
    }
    const making = this.#making.get(key);
    if (making?.boot === boot) return { made: await making.made, isShared: true };
    const entry = { boot, made: make() };
    this.#making.set(key, entry);
    const made = await entry.made;
    const isLatest = this.#making.get(key) === entry;
    if (isLatest) this.#making.delete(key);
    if (isLatest && made.kind === 'made' && !made.isStale)
      this.#keep(key, { client, boot, made, madeAt: now, usedAt: this.#now() });
    return { made, isShared: false };
  }

  /** Forgets a client's texts when it begins a new boot. */
  forget(client: string): void {
    for (const key of this.#ofClient.get(client) ?? []) this.#kept.delete(key);
  }

  #keep(key: string, kept: Kept): void {
    // Deleted first: replacing the entry would call dispose after the new key was noted.
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    if (!this.#kept.has(key)) return;
    const keys = this.#ofClient.get(kept.client);
    if (keys === undefined) this.#ofClient.set(kept.client, new Set([key]));
    else keys.add(key);
  }
}
