/**
 * Notes in the store which versions must stay although no pin refers to them: versions requested by explicit name, and
 * versions named in rendered configs, which a node may read a day later. Writes the first note before the first reply,
 * and later ones as rarely as collection allows. Knows names of versions; no nodes, files or configs.
 */
import type { UseNote } from '../store/records.ts';
import type { Store } from '../store/store.ts';
import type { PinPolicies } from './pin-policies.ts';
import type { SteadyTime } from './steady-time.ts';

/** Interval between two notes of a version; a quarter of the time that a note holds, if that is shorter. */
const NOTE_AGAIN_MS = 60_000;
/**
 * A reply waits for the new note of a rendered config when the last one is older than this: a note holds for a day
 * (roots.ts), and most of that must be left for the config to be read.
 */
const RELIED_ON_MS = 3_600_000;

/** The last note of a version for one of its two times. */
interface Note {
  /** The noted time, by SteadyTime. */
  notedAt: number;
  noting: Promise<boolean> | undefined;
}

interface Use extends Note {
  readonly channel: string;
  usedAt: number;
  /** Number of open transfers. */
  open: number;
}

export class VersionNotes {
  readonly #store: Pick<Store, 'note'>;
  readonly #policies: PinPolicies;
  readonly #time: Pick<SteadyTime, 'toWall'>;
  readonly #onFailure: (error: unknown) => void;
  /** By version name; retain() drops those of versions that are gone. */
  readonly #uses = new Map<string, Use>();
  readonly #renderings = new Map<string, Note>();

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
   * Notes a request for a file of the version by explicit name.
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
    if (now - use.notedAt > this.#everyMs(use)) void this.#note(name, 'usedAt', use, now);
    // The reply need not wait for the next note while the last one still holds for at least half its time.
    return settled(use, now, this.#holdsMs(channel) / 2);
  }

  /**
   * Notes that a config names the version.
   *
   * @returns false when the version is gone; a promise when the reply must wait for the note.
   */
  rendered(name: string, now: number): boolean | Promise<boolean> {
    let rendering = this.#renderings.get(name);
    if (rendering === undefined) {
      rendering = { notedAt: Number.NEGATIVE_INFINITY, noting: undefined };
      this.#renderings.set(name, rendering);
    }
    if (now - rendering.notedAt > NOTE_AGAIN_MS) void this.#note(name, 'renderedAt', rendering, now);
    return settled(rendering, now, RELIED_ON_MS);
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
      if (use.usedAt <= use.notedAt || now - use.notedAt <= this.#everyMs(use)) continue;
      void this.#note(name, 'usedAt', use, use.usedAt);
    }
  }

  /** Forgets versions that no longer exist. */
  retain(exists: (name: string) => boolean): void {
    for (const notes of [this.#uses, this.#renderings]) {
      for (const name of notes.keys()) if (!exists(name)) notes.delete(name);
    }
  }

  #everyMs({ channel }: Use): number {
    return Math.min(NOTE_AGAIN_MS, this.#holdsMs(channel) / 4);
  }

  /** Returns how long a note of a use keeps a version from being collected, in milliseconds: as long as a pin. */
  #holdsMs(channel: string): number {
    return this.#policies.of(channel).pinIdleMs;
  }

  /** Writes one of the version's times; a write under way is joined. @returns false when the version is gone. */
  #note(name: string, field: keyof UseNote, note: Note, at: number): Promise<boolean> {
    note.noting ??= this.#write(name, field, at)
      .then((exists) => {
        if (exists) note.notedAt = at;
        return exists;
      })
      .catch((error: unknown) => {
        // A boot does not wait for a store that can't be written to.
        this.#onFailure(error);
        return true;
      })
      .finally(() => {
        note.noting = undefined;
      });
    return note.noting;
  }

  #write(name: string, field: keyof UseNote, at: number): Promise<boolean> {
    return this.#store.note(({ versions, useNotes }) => {
      if (versions.get(name) === undefined) return false;
      const time = this.#time.toWall(at);
      useNotes.put(name, { usedAt: time, ...useNotes.get(name), [field]: time });
      return true;
    });
  }
}

/** Returns true when the note can be relied on, or when no newer one is being written. */
function settled({ notedAt, noting }: Note, now: number, reliedOnMs: number): boolean | Promise<boolean> {
  return now - notedAt > reliedOnMs && noting !== undefined ? noting : true;
}
