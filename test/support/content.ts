/** What a test run may choose: how long it takes, and the seed of everything in it that looks random. */
import { Random } from './random.ts';

/** Whether the versions of tests run that take minutes (`npm run campaign`): 100,000 datagrams, 1,000 histories. */
export const CAMPAIGN = process.env['REVEILLE_CAMPAIGN'] === '1';

/** Whether the long versions of the tests run: large files, hundreds of downloads, every engine. */
export const FULL = CAMPAIGN || process.env['REVEILLE_FULL'] === '1';

/** The seed of this run: another each time, unless REVEILLE_SEED names one. Tests that use it have it in their name. */
export const SEED = Number(process.env['REVEILLE_SEED'] ?? 1 + Math.floor(Math.random() * 0x7ffffffe));

/** A file's content: the same bytes for the same seed and length. */
export function seededBytes(seed: number, length: number): Buffer {
  return Buffer.from(new Random(seed).bytes(length).buffer);
}
