/**
 * The files that one node has received. Compares each file, while it arrives, with its expected content, and all files
 * together with each version. Knows neither how a file was fetched nor what a wrong file means for the boot.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Stage } from '../plan/plan.ts';
import type { Expectation, FileCheck } from './expected.ts';
import type { NodeObserver } from './node-setting.ts';

export class ReceivedFiles {
  /** Blocks of all files so far, including files that ended early. */
  blocks = 0;
  readonly #expectation: Expectation | undefined;
  readonly #tell: NodeObserver;
  /** Versions that every file so far is equal to, as bits. */
  #versions: number;
  #mixed = false;

  constructor(expectation: Expectation | undefined, tell: NodeObserver) {
    this.#expectation = expectation;
    this.#tell = tell;
    this.#versions = expectation?.all ?? 0;
  }

  /** Begins a file. @param where node, stage and name, for messages. */
  begin(stage: Stage, name: string, where: string): ReceivedFile {
    return new ReceivedFile(stage, this.#expectation?.check(name), where, this.#tell, (versions) => {
      this.#compare(versions, where);
    });
  }

  #compare(versions: number, where: string): void {
    // A wrong file matches no version, so it does not count as a mixture.
    if (versions === 0 || this.#mixed) return;
    this.#versions &= versions;
    if (this.#versions !== 0) return;
    this.#mixed = true;
    this.#tell.mixed(where);
  }
}

/** One file while it arrives. */
export class ReceivedFile {
  readonly #stage: Stage;
  readonly #check: FileCheck | undefined;
  readonly #hash: Hash | undefined;
  readonly #where: string;
  readonly #tell: NodeObserver;
  readonly #onVersions: (versions: number) => void;

  /** @param onVersions called with the versions that a whole file is equal to, as bits. */
  constructor(
    stage: Stage,
    check: FileCheck | undefined,
    where: string,
    tell: NodeObserver,
    onVersions: (versions: number) => void,
  ) {
    this.#stage = stage;
    this.#check = check;
    this.#hash = stage.sha256 === undefined || check !== undefined ? undefined : createHash('sha256');
    this.#where = where;
    this.#tell = tell;
    this.#onVersions = onVersions;
  }

  /** Takes bytes[start, end), which belong at `offset` of the file; calls are in the order of the file. */
  feed(bytes: Uint8Array, start: number, end: number, offset: number): void {
    this.#tell.bytes(end - start);
    this.#check?.feed(bytes, start, end, offset);
    this.#hash?.update(bytes.subarray(start, end));
  }

  /** Ends a file that was read to its end, of `length` bytes. */
  whole(length: number): void {
    const check = this.#check;
    if (check === undefined) {
      this.#judgeByPlan(length);
      return;
    }
    const versions = check.end(length);
    if (versions === 0) this.#tell.wrongFile(this.#wrongAt(check));
    this.#onVersions(versions);
  }

  /** Ends a file that was not read to its end: the part that was read can be wrong as well. */
  cut(): void {
    if (this.#check !== undefined && this.#check.wrongAt >= 0) this.#tell.wrongFile(this.#wrongAt(this.#check));
  }

  #judgeByPlan(length: number): void {
    const { size, sha256 } = this.#stage;
    const where = this.#where;
    if (size !== undefined && size !== length) this.#tell.wrongFile(`${where}: expected ${size} bytes, got ${length}`);
    else if (this.#hash !== undefined && this.#hash.digest('hex') !== sha256) {
      this.#tell.wrongFile(`${where}: expected the sha256 of the plan, got another one`);
    }
    // A size alone does not count as a comparison.
    if (this.#hash === undefined) this.#tell.uncompared();
  }

  #wrongAt({ wrongAt }: FileCheck): string {
    return `${this.#where}: first wrong byte at or after ${wrongAt}`;
  }
}
