/**
 * A store whose channel moves all the time, by a process of its own (moving-process.ts); and what its files hold, so that
 * whoever gets one can tell of which version it is.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

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
  /** An empty folder. */
  readonly folder: string;
  readonly pinIdleMs: number;
  /** From one move of the channel to the next. */
  readonly everyMs: number;
  readonly collectEveryMs: number;
}

export interface MovingState {
  /** The number of the channel's current version. */
  readonly current: number;
  /** Times the channel was moved: to a new version, or back to a former one while the next is being written. */
  readonly moves: number;
  readonly published: number;
  readonly collections: number;
  /** Versions. */
  readonly collected: number;
}

const SCRIPT = fileURLToPath(new URL('./moving-process.ts', import.meta.url));

export class MovingStore {
  readonly path: string;
  state: MovingState = { current: 0, moves: 0, published: 0, collections: 0, collected: 0 };
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, path: string) {
    this.#process = process;
    this.path = path;
    process.on('message', (state: MovingState) => {
      this.state = state;
    });
  }

  /** Resolves when there is a first version. */
  static async create(options: MovingOptions): Promise<MovingStore> {
    const process = fork(SCRIPT, [JSON.stringify(options)], { execArgv: ['--import', 'tsx'] });
    const moving = new MovingStore(process, `${options.folder}/store`);
    await Promise.race([once(process, 'message'), moving.#failure()]);
    return moving;
  }

  start(): void {
    this.#process.send('start');
  }

  /** @throws Error when the process has failed. */
  async stop(): Promise<void> {
    const { exitCode } = this.#process;
    if (exitCode === null) {
      this.#process.send('stop');
      await once(this.#process, 'exit');
    }
    if (this.#process.exitCode !== 0) throw new Error('The moving store has failed');
  }

  async #failure(): Promise<never> {
    await once(this.#process, 'exit');
    throw new Error('The moving store has failed');
  }
}
