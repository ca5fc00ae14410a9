/**
 * The config of a running server, taken in anew when it has changed: all or nothing. Knows which settings can change
 * while it runs, and which files they come from; what they mean is for those who apply them.
 */
import { readdirSync, statSync } from 'node:fs';
import { dirname, extname, join, resolve } from 'node:path';
import { errorLine } from '../text/error-text.ts';
import { FileWatch } from './file-watch.ts';
import { defaultSettings, type Settings } from './settings.ts';

/** All others take a restart. */
export const LIVE_SETTINGS = ['routes', 'inventory', 'renderThreads', 'renderTimeout', 'drain', 'logLevel'] as const;
/** Files beside templates and handlers that these may name; more are not watched. */
const MAX_BESIDE = 1000;

export const RELOAD_RESULTS = ['ok', 'failed'] as const;

export interface Reloaded {
  readonly result: (typeof RELOAD_RESULTS)[number];
  /** One line: what is wrong. */
  readonly error?: string;
  /** Settings that have changed since the start and take a restart. */
  readonly restart: readonly (keyof Settings)[];
}

export interface LiveConfigOptions {
  /** The config file. */
  readonly file: string;
  /** As the server was started. */
  readonly started: Settings;
  /** Reads them anew. @throws Error in one line. */
  readonly read: () => Settings;
  /** Makes them those of the server. @throws Error in one line: then nothing has changed. */
  readonly apply: (settings: Settings) => Promise<void>;
  readonly onReloaded: (reloaded: Reloaded, reason: string) => void;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
}

function beside(file: string): string[] {
  try {
    const names = readdirSync(dirname(file)).filter((name) => extname(name) === extname(file));
    return names.slice(0, MAX_BESIDE).map((name) => join(dirname(file), name));
  } catch {
    return [];
  }
}

/** What the settings are made of: config, inventory, templates and handlers, and what these may include. */
export function configFiles(file: string, { routes, inventory }: Pick<Settings, 'routes' | 'inventory'>): Set<string> {
  const base = dirname(resolve(file));
  const named = routes.flatMap(({ template, handler }) =>
    [template, handler].filter((path) => path !== undefined).map((path) => resolve(base, path)),
  );
  return new Set([resolve(file), ...(inventory === undefined ? [] : [inventory]), ...named, ...named.flatMap(beside)]);
}

/** Tells whether any of the files has been written or replaced since. */
function fingerprint(files: Iterable<string>): string {
  const stats = [...files].map((file) => {
    const { mtimeNs, ctimeNs, size, ino } = statSync(file, { throwIfNoEntry: false, bigint: true }) ?? {};
    return `${file}\0${mtimeNs}\0${ctimeNs}\0${size}\0${ino}`;
  });
  return stats.toSorted().join('\n');
}

export class LiveConfig {
  /** Of the files as they were when they were last read; another set of files is another one as well. */
  #seen = '';
  readonly #options: LiveConfigOptions;
  readonly #watch: FileWatch;
  #current: Settings;
  #running: Promise<Reloaded> | undefined;
  #next: Promise<Reloaded> | undefined;
  #closed = false;

  constructor(options: LiveConfigOptions) {
    this.#options = options;
    this.#current = options.started;
    this.#watch = new FileWatch({
      onChange: () => {
        // Whoever changed them may have asked for it as well.
        if (fingerprint(this.#watch.files) !== this.#seen) void this.reload('a file has changed');
      },
      onFailure: (error) => options.onWarning('config files can not be watched', { error: errorLine(error) }),
    });
  }

  /** As they are now. */
  get settings(): Settings {
    return this.#current;
  }

  async start(): Promise<void> {
    await this.#watchFiles(this.#current);
    this.#seen = fingerprint(this.#watch.files);
  }

  /** Takes everything in as it is now. Asked again meanwhile, it does so once more. Never rejects. */
  reload(reason: string): Promise<Reloaded> {
    if (this.#running === undefined) {
      this.#running = this.#reload(reason).finally(() => {
        this.#running = undefined;
      });
      return this.#running;
    }
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.reload(reason);
    });
    return this.#next;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#watch.close();
    await this.#running;
  }

  async #reload(reason: string): Promise<Reloaded> {
    const reloaded = await this.#takeIn();
    this.#options.onReloaded(reloaded, reason);
    return reloaded;
  }

  async #takeIn(): Promise<Reloaded> {
    const { started, read, apply } = this.#options;
    let restart: Reloaded['restart'] = [];
    if (this.#closed) return { result: 'failed', error: 'the server is stopping', restart };
    try {
      const found = read();
      const live = Object.fromEntries(LIVE_SETTINGS.map((key) => [key, found[key]])) as Partial<Settings>;
      const wanted = { ...this.#current, ...live };
      const keys = Object.keys(defaultSettings()) as (keyof Settings)[];
      restart = keys.filter((key) => !(key in live) && JSON.stringify(found[key]) !== JSON.stringify(started[key]));
      // Also what is wrong now will be put right in one of these.
      await this.#watchFiles(found);
      this.#seen = fingerprint(this.#watch.files);
      await apply(wanted);
      this.#current = wanted;
      return { result: 'ok', restart };
    } catch (error) {
      return { result: 'failed', error: errorLine(error), restart };
    }
  }

  async #watchFiles(found: Settings): Promise<void> {
    const { file } = this.#options;
    await this.#watch.watch([...configFiles(file, this.#current), ...configFiles(file, found)]);
  }
}
