/** Reveille as it is shipped: a thread loads only JavaScript, so tests with threads run the build. */
import type * as Reveille from '../../src/index.ts';

export const built = (await import(new URL('../../dist/index.js', import.meta.url).href)) as typeof Reveille;
