/**
 * How far V8 lets the heaps of this process grow. Most of what a transfer leaves behind has outlived the young
 * generation by its end, and is collected only with the old one: by default when that has grown to some two and a half
 * times what lived in it. With a thousand nodes that is more garbage than everything else together.
 */
import { setFlagsFromString } from 'node:v8';

/** By how much of what is live, though V8 always allows some 8 MiB. Less makes it collect again and again for little. */
const GROWTH_PERCENT = 30;

/** Holds for all threads, from each one's next collection on. */
export function boundHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}
