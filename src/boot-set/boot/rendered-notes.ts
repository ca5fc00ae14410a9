/**
 * Which versions configs have been made for, as notes in the store: what a config names must be there when it is read,
 * which may be a day later. Knows names of versions; neither nodes nor configs.
 */
import type { Store } from '../store/store.ts';
import type { SteadyTime } from './steady-time.ts';

/** A version is noted again after so long. The note holds for a day (roots.ts), so this takes little from it. */
const NOTE_AGAIN_MS = 60_000;
/** A note that is older than this is no longer relied on while a new one is written. */
const RELIED_ON_MS = 3_600_000;

interface Note {
  notedAt: number;
  noting: Promise<boolean> | undefined;
}

export class RenderedNotes {
  readonly #store: Pick<Store, 'note'>;
  readonly #time: Pick<SteadyTime, 'toWall'>;
  readonly #onFailure: (error: unknown) => void;
  /** By version, for those that there are: dropped with them by retain(). */
  readonly #notes = new Map<string, Note>();

  constructor(store: Pick<Store, 'note'>, time: Pick<SteadyTime, 'toWall'>, onFailure: (error: unknown) => void) {
    this.#store = store;
    this.#time = time;
    this.#onFailure = onFailure;
  }

  /** A config names the version. @returns a promise when its reply must wait; false: the version is no more. */
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

  /** Forgets versions that are no more. */
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
      // A boot is not held up for a store that can't write.
      this.#onFailure(error);
      return true;
    } finally {
      note.noting = undefined;
    }
  }
}
