/** The priority of threads that send, below that of the main thread. */
import { constants, getPriority, setPriority } from 'node:os';

/** Added niceness over the main thread. Between threads that share a processor, 5 is a ratio of 3 to 1. */
const NICER = 5;

/**
 * Lowers this thread's priority. Where there are fewer processors than threads, first replies go before blocks: a node
 * without a reply gives up, and one that waits for a block does not. On Linux the call affects the thread, elsewhere it
 * would affect the process, and nothing is done.
 */
export function yieldToMain(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(Math.min(constants.priority.PRIORITY_LOW, getPriority() + NICER));
  } catch {
    // A sandbox may forbid this; then all threads are equal.
  }
}
