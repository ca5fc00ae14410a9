/**
 * Tells when files have changed and then been left alone for a while. Watches the folders that they are in, and in those
 * nothing but the files themselves: editors replace a file instead of writing to it, and a folder may hold thousands of
 * others. Knows no configs.
 */
import { dirname, resolve } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';

/**
 * An editor or a deployment changes several files, each in several steps. Longer than chokidar looks away after a change
 * (100 ms): what it misses meanwhile is read all the same.
 */
const SETTLED_MS = 200;

export interface FileWatchOptions {
  /** Called when the files have been left alone. */
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

  /** From now on these files, and no others. Resolves when a change would be seen. */
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
