/**
 * A source of files below a root that may be away: not there yet, not mounted, not to be read. What it has not found is
 * certain only while the root can be read; else the client gets no answer and asks again, where ERROR 1 would send it to
 * its disk. Knows the root and no names.
 */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { systemCode } from './system-failure.ts';
import type { Answer, BootRequest, Source } from './types.ts';
import { whenReady } from './when-ready.ts';

/** How long it counts as readable after a look, as long as what was found under a name holds. */
const LOOK_AGAIN_MS = 1000;

type Told = (message: string, detail: Readonly<Record<string, unknown>>) => void;

export interface ReadableRootOptions {
  readonly root: string;
  /** The files below it. */
  readonly source: Source;
  /** Milliseconds since some moment; never steps back. */
  readonly clock: () => number;
  /** Told once when the root is found to be away, and once more after it was back. */
  readonly onWarning: Told;
  /** Told once when it can be read after that. */
  readonly onBack: Told;
}

export class ReadableRoot implements Source {
  readonly #options: ReadableRootOptions;
  #looking: Promise<string | undefined> | undefined;
  /** Whether somebody has been told that it is away, and not yet that it is back. */
  #isToldAway = false;
  #away: string | undefined = 'the root has not been looked at yet';
  #readableAt = Number.NEGATIVE_INFINITY;

  constructor(options: ReadableRootOptions) {
    this.#options = options;
  }

  get paths(): readonly string[] {
    return this.#options.source.paths ?? [];
  }

  open(request: BootRequest): Answer | Promise<Answer> {
    return whenReady(this.#options.source.open(request), (answer) => {
      if (answer.kind !== 'missing' && answer.kind !== 'denied' && answer.kind !== 'busy') return answer;
      if (this.#options.clock() - this.#readableAt < LOOK_AGAIN_MS) return answer;
      return this.look().then((away) => (away === undefined ? answer : { kind: 'busy', reason: away }));
    });
  }

  /** Why the root could not be read when it was last looked at, without its path; undefined: it could. */
  get away(): string | undefined {
    return this.#away;
  }

  /** Looks whether the root can be read; one look at a time. @returns undefined, or the reason why it can't. */
  look(): Promise<string | undefined> {
    this.#looking ??= this.#lookNow().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookNow(): Promise<string | undefined> {
    const { root, clock, onWarning, onBack } = this.#options;
    const at = clock();
    try {
      await access(root, constants.R_OK | constants.X_OK);
      this.#readableAt = at;
      this.#away = undefined;
      if (this.#isToldAway) onBack('the root can be read now', { root });
      this.#isToldAway = false;
    } catch (error) {
      const code = systemCode(error);
      this.#away = `the root can not be read (${code})`;
      if (!this.#isToldAway) onWarning('the root can not be read: waiting for it', { root, code });
      this.#isToldAway = true;
    }
    return this.#away;
  }
}
