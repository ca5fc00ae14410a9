/**
 * Reports when files have changed and then stayed unchanged for a while. Watches their folders, and in these only the
 * files themselves: editors replace files instead of writing to them, and a folder may hold thousands of others. Knows
 * no configs.
 */
import { dirname, resolve } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';

/**
 * Quiet time before a change is reported: an editor or deployment changes several files in several steps. Longer than
 * the 100 ms for which chokidar ignores further events after a change, so that what it misses is read anyway.
 */
const SETTLED_MS = 200;

export interface FileWatchOptions {
  /** Called once the files have stayed unchanged for SETTLED_MS. */
  readonly onChange: () => void;
  readonly onFailure: (error: unknown) => void;
}

export class FileWatch {
  readonly #options: FileWatchOptions;
  #files: ReadonlySet<string> = new Set();
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FileWatchOptions) {
    this.#options = options;
  }

  get files(): ReadonlySet<string> {
    return this.#files;
  }

  /** Watches exactly these files from now on. Resolves once changes would be noticed. */
  async watch(files: Iterable<string>): Promise<void> {
    const wanted = new Set([...files].map((file) => resolve(file)));
    const before = this.#watcher;
    if (
      before !== undefined &&
      wanted.size === this.#files.size &&
      [...wanted].every((file) => this.#files.has(file))
    ) {
      return;
    }
    const folders = new Set([...wanted].map((file) => dirname(file)));
    const watcher = watch([...folders], {
      depth: 0,
      ignoreInitial: true,
      ignored: (path) => !wanted.has(resolve(path)) && !folders.has(resolve(path)),
    });
    this.#files = wanted;
    this.#watcher = watcher;
    watcher.on('all', (_, path) => this.#notice(path));
    watcher.on('error', this.#options.onFailure);
    await new Promise<void>((ready) => void watcher.once('ready', ready));
    await before?.close();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#watcher?.close();
  }

  #notice(path: string): void {
    if (!this.#files.has(resolve(path))) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#options.onChange, SETTLED_MS).unref();
  }
}
