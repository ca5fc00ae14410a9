/** A store whose channel moves all the time: versions published one after the other, old ones collected at once. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { changeSettings } from '../../src/content/boot-set/channel-changes.ts';
import { collect } from '../../src/content/boot-set/collect.ts';
import { publish } from '../../src/content/boot-set/publish.ts';
import { openStore, type Store } from '../../src/content/boot-set/store.ts';

export const CHANNEL = 'rack/install';

/** The files of every version, and their sizes. */
export const SIZES: Readonly<Record<string, number>> = {
  'pxelinux.0': 3000,
  'ldlinux.c32': 2000,
  'pxelinux.cfg/default': 300,
  'shimx64.efi': 6000,
  'grubx64.efi': 9000,
  'grub/grub.cfg': 700,
  'grub/x86_64-efi/command.lst': 100,
  linux: 24_000,
  'initrd.img': 48_000,
};

/** What a file of a version holds: its version for all to see, then bytes that no other file has. */
export function contentOf(name: string, version: number): Buffer {
  const bytes = Buffer.alloc(SIZES[name]!);
  let state = (version * 7919 + name.length * 104_729 + name.charCodeAt(0)) | 1;
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state | 0, at);
  }
  bytes.write(`version ${version} of ${name}\n`);
  return bytes;
}

/** The version that a file says it is of; undefined when it is not that file of any version, byte for byte. */
export function versionIn(name: string, bytes: Buffer): number | undefined {
  const version = Number(/^version ([0-9]+) of /.exec(bytes.subarray(0, 40).toString('latin1'))?.[1]);
  return Number.isInteger(version) && contentOf(name, version).equals(bytes) ? version : undefined;
}

export interface MovingOptions {
  readonly pinIdleMs: number;
  readonly everyMs: number;
  readonly collectEveryMs: number;
}

export class MovingStore {
  readonly path: string;
  /** What was published last. */
  current = 0;
  collected = 0;
  moves = 0;
  slowestMoveMs = 0;
  readonly #store: Store;
  readonly #options: MovingOptions;
  readonly #sets: string;
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();

  private constructor(path: string, sets: string, store: Store, options: MovingOptions) {
    this.path = path;
    this.#sets = sets;
    this.#store = store;
    this.#options = options;
  }

  static async create(folder: string, options: MovingOptions): Promise<MovingStore> {
    const path = join(folder, 'store');
    await mkdir(path);
    const moving = new MovingStore(path, folder, await openStore({ path }), options);
    await moving.#move();
    await moving.#store.change((tables) => changeSettings(tables, CHANNEL, { pinIdleMs: options.pinIdleMs }));
    return moving;
  }

  start(): void {
    const { everyMs, collectEveryMs } = this.#options;
    const again = async (every: number, work: () => Promise<void>): Promise<void> => {
      while (!this.#stopped) {
        const begun = performance.now();
        await work();
        await delay(Math.max(0, every - (performance.now() - begun)));
      }
    };
    this.#running = Promise.all([
      again(everyMs, () => this.#move()),
      again(collectEveryMs, async () => {
        const { versions } = await collect(this.#store, { graceMs: 0 });
        this.collected += versions.length;
      }),
    ]);
    // What went wrong is thrown by stop().
    this.#running.catch(() => {});
  }

  /** @throws what a publication or a collection threw. */
  async stop(): Promise<void> {
    this.#stopped = true;
    try {
      await this.#running;
    } finally {
      await this.#store.close();
    }
  }

  async #move(): Promise<void> {
    const begun = performance.now();
    const version = this.current + 1;
    const folder = await mkdtemp(join(this.#sets, 'set-'));
    for (const name of Object.keys(SIZES)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), contentOf(name, version));
    }
    const { number } = await publish(this.#store, { channel: CHANNEL, paths: [folder] });
    if (number !== version) throw new Error(`Expected version ${version}, got ${number}`);
    this.current = version;
    this.moves++;
    this.slowestMoveMs = Math.max(this.slowestMoveMs, performance.now() - begun);
    await rm(folder, { recursive: true });
  }
}
