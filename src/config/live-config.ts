/**
 * Reloads the config of a running server when it has changed, completely or not at all. Knows which settings can change
 * at run time and which files they come from; applying them is left to the caller.
 */
import { readdirSync, statSync } from 'node:fs';
import { dirname, extname, join, resolve } from 'node:path';
import { identityOf, isFresh } from '../content/file-identity.ts';
import { errorLine } from '../text/error-text.ts';
import { FileWatch } from './file-watch.ts';
import { SETTING_LIST, type Settings } from './settings.ts';

/**
 * Cap on watched files beside a template or handler, which it may include.
 * @limit Files beside a template that are watched. Shows: nothing: a reload reads all of them.
 */
const MAX_BESIDE = 1000;

export const RELOAD_RESULTS = ['ok', 'failed'] as const;

export interface Reloaded {
  readonly result: (typeof RELOAD_RESULTS)[number];
  /** The mistake, in one line. */
  readonly error?: string;
  /** Settings that differ from the start and need a restart, by their keys in the config file. */
  readonly restart: readonly string[];
}

export interface LiveConfigOptions {
  /** Path of the config file. */
  readonly file: string;
  /** The settings that the server was started with. */
  readonly started: Settings;
  /** Reads the settings again. @throws Error with a one-line message. */
  readonly read: () => Settings;
  /** Applies the settings to the server. @throws Error with a one-line message; nothing has changed then. */
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

/**
 * Returns the files that settings come from: config, inventory, templates and handlers, and files that these may
 * include.
 */
export function configFiles(file: string, { routes, inventory }: Pick<Settings, 'routes' | 'inventory'>): Set<string> {
  const base = dirname(resolve(file));
  const named = routes.flatMap(({ template, handler }) =>
    [template, handler].filter((path) => path !== undefined).map((path) => resolve(base, path)),
  );
  return new Set([resolve(file), ...(inventory === undefined ? [] : [inventory]), ...named, ...named.flatMap(beside)]);
}

/**
 * Returns a text that changes when any of the files is written or replaced; undefined where that is not certain, because
 * one of them was written a moment ago.
 */
function fingerprint(files: Iterable<string>): string | undefined {
  const wallMs = Date.now();
  let isFreshOne = false;
  const stats = [...files].map((file) => {
    const found = statSync(file, { throwIfNoEntry: false, bigint: true });
    if (found === undefined) return file;
    isFreshOne ||= isFresh(found, wallMs);
    return `${file}\0${identityOf(found)}`;
  });
  return isFreshOne ? undefined : stats.toSorted().join('\n');
}

export class LiveConfig {
  /** Fingerprint of the files before they were last read; it also changes with the set of files. */
  #seen: string | undefined;
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
        // The change may already have been taken in by a requested reload.
        if (this.#seen === undefined || fingerprint(this.#watch.files) !== this.#seen) {
          void this.reload('a file changed');
        }
      },
      onFailure: (error) => options.onWarning('config files cannot be watched', { error: errorLine(error) }),
    });
  }

  /** The current settings. */
  get settings(): Settings {
    return this.#current;
  }

  async start(): Promise<void> {
    await this.#watchFiles(this.#current);
    this.#seen = fingerprint(this.#watch.files);
  }

  /** Reloads the config. A call during a reload starts another one after it. Never rejects. */
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
    // Taken before the files are read: what changes from here on is not in the settings yet.
    this.#seen = fingerprint(this.#watch.files);
    try {
      const found = read();
      const live = SETTING_LIST.filter(({ isLive }) => isLive === true).map(({ name }) => [name, found[name]]);
      const wanted = { ...this.#current, ...(Object.fromEntries(live) as Partial<Settings>) };
      restart = SETTING_LIST.filter(
        ({ isLive, name }) => isLive !== true && JSON.stringify(found[name]) !== JSON.stringify(started[name]),
      ).map(({ key }) => key);
      // Files named by the new settings are watched even before they apply: a fault may be fixed in one of them.
      await this.#watchFiles(found);
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
