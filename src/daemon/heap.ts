/**
 * V8 flags of `reveille serve`, for all threads of its process. The library leaves them to its host program.
 *
 * - Heap growth between collections. Most of what a transfer leaves behind has outlived the young generation by its
 *   end, and is collected only with the old one: by default when that has grown to about two and a half times its live
 *   size. With a thousand nodes that is more garbage than everything else together.
 * - No collection because a thread has been idle for some seconds. It would find no transfers, treat the hidden classes
 *   of their objects as dead, and discard all code compiled for them: the next storm, after hours of quiet, would begin
 *   by compiling.
 */
import { setFlagsFromString } from 'node:v8';

/**
 * Growth as a percentage of the live heap; V8 always allows at least about 8 MiB. A lower value makes it collect often
 * for little.
 */
const GROWTH_PERCENT = 30;

/** Call before anything else: the second flag only affects threads that have not collected yet. */
export function tuneHeaps(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
  setFlagsFromString('--no-memory-reducer');
}
