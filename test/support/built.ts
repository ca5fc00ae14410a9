/** Reveille as it is shipped: a thread loads JavaScript alone, so tests with threads run what was built. */
import type * as Reveille from '../../src/index.ts';

export const built = (await import(new URL('../../dist/index.js', import.meta.url).href)) as typeof Reveille;
