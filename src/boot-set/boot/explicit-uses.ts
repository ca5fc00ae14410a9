/**
 * Notes in the store which versions are in use by explicit name, where no pin records it: before the first reply, and
 * then as rarely as collection allows. Knows names of versions; no nodes and no files.
 */
import type { Store } from '../store/store.ts';
import type { PinPolicies } from './pin-policies.ts';
import type { SteadyTime } from './steady-time.ts';

/** A use is noted again after this time, or after a quarter of the time that a note holds, if that is shorter. */
const NOTE_AGAIN_MS = 60_000;

interface Use {
  readonly channel: string;
  notedAt: number;
  usedAt: number;
  /** Number of open transfers. */
  open: number;
  noting: Promise<boolean> | undefined;
}

export class ExplicitUses {
  readonly #store: Pick<Store, 'note'>;
  readonly #policies: PinPolicies;
  readonly #time: Pick<SteadyTime, 'toWall'>;
  readonly #onFailure: (error: unknown) => void;
  /** Uses by version name; retain() drops those of versions that are gone. */
  readonly #uses = new Map<string, Use>();

  constructor(
    store: Pick<Store, 'note'>,
    policies: PinPolicies,
    time: Pick<SteadyTime, 'toWall'>,
    onFailure: (error: unknown) => void,
  ) {
    this.#store = store;
    this.#policies = policies;
    this.#time = time;
    this.#onFailure = onFailure;
  }

  /**
   * Notes a request for a file of the version.
   *
   * @returns false when the version is gone; a promise when the reply must wait for the note.
   */
  use({ name, channel }: { name: string; channel: string }, now: number): boolean | Promise<boolean> {
    let use = this.#uses.get(name);
    if (use === undefined) {
      use = { channel, notedAt: Number.NEGATIVE_INFINITY, usedAt: now, open: 0, noting: undefined };
      this.#uses.set(name, use);
    }
    use.usedAt = now;
    const age = now - use.notedAt;
    if (age > this.#everyMs(use)) void this.#note(name, use, now);
    // A note younger than half the time it holds protects the version until the next one is written.
    return age > this.#holdsMs(channel) / 2 && use.noting !== undefined ? use.noting : true;
  }

  opened(name: string): void {
    const use = this.#uses.get(name);
    if (use !== undefined) use.open++;
  }

  closed(name: string, now: number): void {
    const use = this.#uses.get(name);
    if (use === undefined) return;
    use.open--;
    use.usedAt = now;
  }

  /** Renews the notes of versions in use whose note is getting old. */
  flush(now: number): void {
    for (const [name, use] of this.#uses) {
      if (use.open > 0) use.usedAt = now;
      if (use.usedAt > use.notedAt && now - use.notedAt > this.#everyMs(use)) void this.#note(name, use, use.usedAt);
    }
  }

  /** Forgets versions that no longer exist. */
  retain(exists: (name: string) => boolean): void {
    for (const name of this.#uses.keys()) if (!exists(name)) this.#uses.delete(name);
  }

  #everyMs({ channel }: Use): number {
    return Math.min(NOTE_AGAIN_MS, this.#holdsMs(channel) / 4);
  }

  /** Returns how long a note keeps a version from being collected, in milliseconds: as long as a pin. */
  #holdsMs(channel: string): number {
    return this.#policies.of(channel).pinIdleMs;
  }

  #note(name: string, use: Use, usedAt: number): Promise<boolean> {
    use.noting ??= this.#write(name, usedAt)
      .then((exists) => {
        if (exists) use.notedAt = usedAt;
        return exists;
      })
      .catch((error: unknown) => {
        // A boot does not wait for a store that can't be written to.
        this.#onFailure(error);
        return true;
      })
      .finally(() => {
        use.noting = undefined;
      });
    return use.noting;
  }

  #write(name: string, usedAt: number): Promise<boolean> {
    return this.#store.note(({ versions, useNotes }) => {
      if (versions.get(name) === undefined) return false;
      useNotes.put(name, { ...useNotes.get(name), usedAt: this.#time.toWall(usedAt) });
      return true;
    });
  }
}
