/**
 * What `reveille serve` asks of V8, for all threads of its process. A library leaves that to the program it is in.
 *
 * - How far heaps grow between collections. Most of what a transfer leaves behind has outlived the young generation by
 *   its end, and is collected only with the old one: by default when that has grown to some two and a half times what
 *   lived in it. With a thousand nodes that is more garbage than everything else together.
 * - No collection because a thread has been idle for some seconds. It would find no transfer, take the shapes of
 *   transfers' objects for dead, and throw away all code that was compiled for them: the next storm, which comes after
 *   hours of quiet, would begin by compiling.
 */
import { setFlagsFromString } from 'node:v8';

/** By how much of what is live, though V8 always allows some 8 MiB. Less makes it collect again and again for little. */
const GROWTH_PERCENT = 30;

/** Call first of all: the second holds only for threads that have not collected yet. */
export function tuneHeaps(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
  setFlagsFromString('--no-memory-reducer');
}
