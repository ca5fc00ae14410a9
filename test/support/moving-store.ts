/**
 * A store whose channel moves all the time, driven by a separate process (moving-process.ts), and the contents of its
 * files, from which a reader can tell their version.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export const CHANNEL = 'rack/install';

/** Files of every version, and their sizes in bytes. */
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

/** Content of a file: a readable line with its version, then bytes that no other file has. */
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

/** Version that a file names; undefined if its bytes differ from that version's file. */
export function versionIn(name: string, bytes: Buffer): number | undefined {
  const version = Number(/^version ([0-9]+) of /.exec(bytes.subarray(0, 40).toString('latin1'))?.[1]);
  return Number.isInteger(version) && contentOf(name, version).equals(bytes) ? version : undefined;
}

export interface MovingOptions {
  /** Path of an empty folder. */
  readonly folder: string;
  readonly pinIdleMs: number;
  /** Interval between two moves of the channel, ms. */
  readonly everyMs: number;
  readonly collectEveryMs: number;
}

export interface MovingState {
  /** Number of the channel's current version. */
  readonly current: number;
  /** Number of moves of the channel: to a new version, or back to a former one while the next one is being written. */
  readonly moves: number;
  readonly published: number;
  readonly collections: number;
  /** Number of collected versions. */
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

  /** Resolves when the first version exists. */
  static async create(options: MovingOptions): Promise<MovingStore> {
    const process = fork(SCRIPT, [JSON.stringify(options)], { execArgv: ['--import', 'tsx'] });
    const moving = new MovingStore(process, `${options.folder}/store`);
    await Promise.race([once(process, 'message'), moving.#failure()]);
    return moving;
  }

  start(): void {
    this.#process.send('start');
  }

  /** @throws Error if the process has failed. */
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
