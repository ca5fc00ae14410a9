/** Choices of a test run: its length, and the seed of everything in it that looks random. */
import { Random } from './random.ts';

/**
 * True if the tests that take minutes run in their long version (`npm run campaign`): 100,000 datagrams, 1,000
 * histories, large files.
 */
export const CAMPAIGN = process.env['REVEILLE_CAMPAIGN'] === '1';

/** Seed of this run: random unless REVEILLE_SEED sets it. Tests that use it show it in their name. */
export const SEED = Number(process.env['REVEILLE_SEED'] ?? 1 + Math.floor(Math.random() * 0x7ffffffe));

/** Content of a file: the same bytes for the same seed and length. */
export function seededBytes(seed: number, length: number): Buffer {
  return Buffer.from(new Random(seed).bytes(length).buffer);
}
