/**
 * A unit for bounds on heap: the sizes of V8's objects differ between its versions and builds, so a test measures this
 * record in its own run and expresses its bounds as multiples of it.
 */

/** A record of eight numbers that V8 keeps in objects of their own, and of eight pointers. @param n differs for each. */
export function heapRecord(n: number): object {
  const [time, bytes] = [2 ** 32 + n + 0.5, 2 ** 33 + n + 0.5];
  const numbers = {
    a: time,
    b: bytes,
    c: time + 1,
    d: bytes + 1,
    e: time + 2,
    f: bytes + 2,
    g: time + 3,
    h: bytes + 3,
  };
  return { numbers, list: [n], text: undefined, a: undefined, b: undefined, c: undefined, d: undefined, e: undefined };
}
