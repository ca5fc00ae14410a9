/**
 * Wraps a source of files below a root that may be away: missing, not mounted or unreadable. While the root can't be
 * read, a missing file is not certain: the client then gets no answer and asks again, where ERROR 1 would make it boot
 * from its disk. Knows the root and no names.
 */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { LOOK_AGAIN_MS } from './directory.ts';
import { systemCode } from './system-failure.ts';
import type { Answer, BootRequest, Source } from './types.ts';
import { whenReady } from './when-ready.ts';

type Told = (message: string, detail: Readonly<Record<string, unknown>>) => void;

export interface ReadableRootOptions {
  readonly root: string;
  /** The source of the files below the root. */
  readonly source: Source;
  /** Monotonic time in milliseconds, from an arbitrary origin. */
  readonly clock: () => number;
  /** Called once when the root is found to be away, and again only after it was back. */
  readonly onWarning: Told;
  /** Called once when it can be read again. */
  readonly onBack: Told;
}

export class ReadableRoot implements Source {
  readonly #options: ReadableRootOptions;
  #looking: Promise<string | undefined> | undefined;
  /** True while it has been reported as away, and not yet as back. */
  #isToldAway = false;
  #away: string | undefined = 'the root has not been checked yet';
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
      // A successful check of the root holds as long as a lookup of a name.
      if (this.#options.clock() - this.#readableAt < LOOK_AGAIN_MS) return answer;
      return this.look().then((away) => (away === undefined ? answer : { kind: 'busy', reason: away }));
    });
  }

  /** Why the root could not be read when it was last looked at, without its path; undefined: it could. */
  get away(): string | undefined {
    return this.#away;
  }

  /** Checks that the root can be read; one check at a time. @returns undefined when it can, otherwise the reason. */
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
      this.#away = `the root cannot be read (${code})`;
      if (!this.#isToldAway) onWarning('the root cannot be read: waiting for it', { root, code });
      this.#isToldAway = true;
    }
    return this.#away;
  }
}
