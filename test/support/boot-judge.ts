/**
 * Judges a simulated boot by the files it got. A boot has files of one version only, with one exception, which
 * docs/boot-sets.md documents: a node that has been silent for longer than `pinIdle` begins a new boot with a loader or a
 * config. On a slow machine a simulated node may be that silent.
 */

/** A file that a node got. Times are the node's, in ms. */
export interface GotFile {
  readonly name: string;
  readonly version: number;
  /** Time of the request that was answered, before the server knew of it. */
  readonly askedMs: number;
  /** Time at which the node had the whole file. */
  readonly doneMs: number;
}

/**
 * `whole`: all files are of one version. `mixed`: the server has mixed two versions. `silent`: the node was silent for so
 * long that the server was allowed to begin a new boot where the version changed.
 */
export type Judgement = 'whole' | 'mixed' | 'silent';

/** Files of the simulated boots with which a boot may begin. */
const BEGINNINGS = new Set(['pxelinux.0', 'pxelinux.cfg/default', 'shimx64.efi', 'grubx64.efi', 'grub/grub.cfg']);

/**
 * Returns true if the node may have been silent for longer than `pinIdleMs` before the request that ended at `doneMs`.
 * The server saw the request for `last` after it was sent, and this one before it was answered: the server has measured
 * no more than the time between the two. Requests in between that brought no file renew no pin for certain.
 */
export function mayHaveLapsed(last: GotFile | undefined, doneMs: number, pinIdleMs: number): boolean {
  return last !== undefined && doneMs - last.askedMs > pinIdleMs;
}

export function judgeBoot(files: readonly GotFile[], pinIdleMs: number): Judgement {
  let judgement: Judgement = 'whole';
  for (const [index, file] of files.entries()) {
    const last = files[index - 1];
    if (last === undefined || last.version === file.version) continue;
    if (!BEGINNINGS.has(file.name) || !mayHaveLapsed(last, file.doneMs, pinIdleMs)) return 'mixed';
    judgement = 'silent';
  }
  return judgement;
}

/** The files in order, each with its version, and with the time since the request for the last one, ms. */
export function storyOf(files: readonly GotFile[]): string {
  return files
    .map(({ name, version, doneMs }, index) => {
      const last = files[index - 1];
      return `${name} ${version}${last === undefined ? '' : ` (${Math.round(doneMs - last.askedMs)} ms)`}`;
    })
    .join(', ');
}
