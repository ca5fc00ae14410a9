/**
 * Rules for channel names. They ensure that every path has one reading: `CHANNEL/FILE`, `CHANNEL-NUMBER/FILE` or
 * `CHANNEL@DIGEST/FILE`, and that OCI tools accept the name as a reference. Works on text alone.
 */
import { quote, StoreError } from './store-error.ts';

/** @limit Length of a channel name, characters. Shows: an error message. */
export const MAX_CHANNEL_NAME = 200;

// The reference grammar of the OCI image layout specification, without `:` and `@` and without doubled separators.
const COMPONENT = '[A-Za-z0-9]+(?:(?:[-._]|--)[A-Za-z0-9]+|\\+[A-Za-z0-9]+)*';
const CHANNEL = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const VERSION = /^(.+)-([1-9][0-9]{0,9})$/;
const EXPECTED =
  'a channel name such as maas/amd64/precise/install: letters, digits and single . _ - + between them, in parts separated by /';

/** @throws StoreError when the name is not valid. */
export function checkChannelName(name: string): void {
  if (name.length > MAX_CHANNEL_NAME) {
    throw new StoreError(`channel ${quote(name)}: expected at most ${MAX_CHANNEL_NAME} characters, got ${name.length}`);
  }
  if (!CHANNEL.test(name)) throw new StoreError(`channel ${quote(name)}: expected ${EXPECTED}`);
  if (/-[0-9]+$/.test(name)) {
    throw new StoreError(
      `channel ${quote(name)}: expected a name that does not end in a hyphen and a number, as names of versions do`,
    );
  }
}

/** Splits `install-12` into channel and number. @returns undefined when it is not the name of a version. */
export function parseVersionName(name: string): { channel: string; number: number } | undefined {
  const match = VERSION.exec(name);
  return match === null ? undefined : { channel: match[1]!, number: Number(match[2]) };
}

/**
 * Returns true when one channel's files could be requested by the other's name: `a/b` and `a/b/c`, or `a/b` and
 * `a/b-1/c`.
 */
function shadows(above: string, below: string): boolean {
  if (!below.startsWith(above)) return false;
  return /^(?:-[0-9]+)?\//.test(below.slice(above.length));
}

/** @throws StoreError when a path could mean both the new channel and one of `others`. */
export function checkApart(name: string, others: readonly string[]): void {
  const other = others.find((one) => shadows(one, name) || shadows(name, one));
  if (other === undefined) return;
  throw new StoreError(
    `channel ${quote(name)}: expected a name that does not nest with channel ${quote(other)}: a path could mean either`,
  );
}
