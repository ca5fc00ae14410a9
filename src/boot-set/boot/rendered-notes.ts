/**
 * Notes in the store which versions rendered configs name: such a version must still exist when the config is read,
 * possibly a day later. Knows names of versions; no nodes and no configs.
 */
import type { Store } from '../store/store.ts';
import type { SteadyTime } from './steady-time.ts';

/**
 * Interval after which a version is noted again. The note holds for a day (roots.ts), so the delay costs little of
 * that.
 */
const NOTE_AGAIN_MS = 60_000;
/** A reply waits for the new note when the last one is older than this. */
const RELIED_ON_MS = 3_600_000;

interface Note {
  notedAt: number;
  noting: Promise<boolean> | undefined;
}

export class RenderedNotes {
  readonly #store: Pick<Store, 'note'>;
  readonly #time: Pick<SteadyTime, 'toWall'>;
  readonly #onFailure: (error: unknown) => void;
  /** Notes by version name; retain() drops those of versions that are gone. */
  readonly #notes = new Map<string, Note>();

  constructor(store: Pick<Store, 'note'>, time: Pick<SteadyTime, 'toWall'>, onFailure: (error: unknown) => void) {
    this.#store = store;
    this.#time = time;
    this.#onFailure = onFailure;
  }

  /**
   * Notes that a config names the version.
   *
   * @returns a promise when the reply must wait for the note; false when the version is gone.
   */
  rendered(name: string, now: number): boolean | Promise<boolean> {
    let note = this.#notes.get(name);
    if (note === undefined) {
      note = { notedAt: Number.NEGATIVE_INFINITY, noting: undefined };
      this.#notes.set(name, note);
    }
    const age = now - note.notedAt;
    if (age > NOTE_AGAIN_MS) note.noting ??= this.#write(name, note, now);
    return age > RELIED_ON_MS && note.noting !== undefined ? note.noting : true;
  }

  /** Forgets versions that no longer exist. */
  retain(exists: (name: string) => boolean): void {
    for (const name of this.#notes.keys()) if (!exists(name)) this.#notes.delete(name);
  }

  async #write(name: string, note: Note, now: number): Promise<boolean> {
    try {
      const exists = await this.#store.note(({ versions, useNotes }) => {
        if (versions.get(name) === undefined) return false;
        const renderedAt = this.#time.toWall(now);
        useNotes.put(name, { usedAt: renderedAt, ...useNotes.get(name), renderedAt });
        return true;
      });
      if (exists) note.notedAt = now;
      return exists;
    } catch (error) {
      // A boot does not wait for a store that can't be written to.
      this.#onFailure(error);
      return true;
    } finally {
      note.noting = undefined;
    }
  }
}
