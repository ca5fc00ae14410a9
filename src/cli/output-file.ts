/**
 * The target of a download. A regular file appears under its name only when it is complete: until then the bytes are in
 * FILE.part beside it. Pipes and devices are written directly. Knows nothing of the source of the bytes.
 */
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { showValue } from '../text/escape.ts';
import { errorCode } from '../text/error-text.ts';
import { UsageError } from '../config/usage-error.ts';

/** Blocks may be as small as 8 bytes; collecting them avoids a system call for each. */
const CHUNK_BYTES = 256 * 1024;
/** Wait before a full pipe is tried again, in milliseconds. */
const PIPE_PAUSE_MS = 5;

const pause = new Int32Array(new SharedArrayBuffer(4));

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      // EAGAIN: the pipe is full, and another process made it non-blocking.
      if (errorCode(error) !== 'EAGAIN') throw error;
      Atomics.wait(pause, 0, 0, PIPE_PAUSE_MS);
    }
  }
}

export class OutputFile {
  readonly #fd: number;
  /** Path of the partial file; undefined: the target is written in place. */
  readonly #part: string | undefined;
  readonly #target: string;
  readonly #chunk = new Uint8Array(CHUNK_BYTES);
  #filled = 0;
  #open = true;

  private constructor(fd: number, target: string, part: string | undefined) {
    this.#fd = fd;
    this.#target = target;
    this.#part = part;
  }

  /**
   * @param file a path, or `-` for stdout.
   * @throws UsageError when it is a directory, Error with the system's code when it can't be written.
   */
  static open(file: string): OutputFile {
    if (file === '-') return new OutputFile(1, file, undefined);
    const target = OutputFile.#follow(file);
    const found = statSync(target, { throwIfNoEntry: false });
    if (found?.isDirectory() === true)
      throw new UsageError(`-o: expected a file, got the directory ${showValue(file)}`);
    // Renaming over /dev/null would replace it, for everyone.
    if (found !== undefined && !found.isFile()) return new OutputFile(openSync(target, 'w'), target, undefined);
    const part = `${target}.part`;
    const { O_CREAT, O_NOFOLLOW, O_TRUNC, O_WRONLY } = constants;
    return new OutputFile(openSync(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o666), target, part);
  }

  /** Keeps a symbolic link: its target is replaced instead. */
  static #follow(file: string): string {
    const isLink = lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true;
    return isLink ? realpathSync(file) : file;
  }

  /** @throws Error with the system's code. */
  write(bytes: Uint8Array): void {
    if (this.#filled + bytes.length > CHUNK_BYTES) this.#flush();
    if (bytes.length >= CHUNK_BYTES) {
      writeAll(this.#fd, bytes);
      return;
    }
    this.#chunk.set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  /**
   * Makes the file appear under its name. @throws Error with the system's code; the caller must then call discard().
   */
  finish(): void {
    this.#flush();
    this.#close();
    if (this.#part !== undefined) renameSync(this.#part, this.#target);
  }

  /** Closes the file and removes the partial one. */
  discard(): void {
    this.#close();
    if (this.#part !== undefined) rmSync(this.#part, { force: true });
  }

  #flush(): void {
    writeAll(this.#fd, this.#chunk.subarray(0, this.#filled));
    this.#filled = 0;
  }

  #close(): void {
    if (this.#open && this.#fd > 2) closeSync(this.#fd);
    this.#open = false;
  }
}
