/**
 * Reads bodies that a registry sends: never more bytes than agreed, and never for ever. Knows streams; no HTTP and no
 * meaning of the bytes.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { StoreError } from '../boot-set/store/store-error.ts';

/** Least progress of a body within STALL_MS, except at its end. */
const STALL_BYTES = 64 * 1024;
/**
 * Time in which a body must bring 64 KiB.
 * @limit Time in which a registry must send 64 KiB of a blob. Shows: an error message.
 */
const STALL_MS = 60_000;
/** @limit Time in which a registry must send a manifest, a list or a token. Shows: an error message. */
const WHOLE_MS = 60_000;

export interface Body extends AsyncIterable<Uint8Array> {
  destroy(error?: Error): unknown;
}

/**
 * Hands the body to `take` in pieces. Ends the connection when the body is longer than `most`, or stalls.
 *
 * @returns the number of bytes.
 * @throws StoreError when it is too long or too slow, or the error of the connection.
 */
export async function readBody(
  body: Body,
  most: number,
  what: string,
  take: (piece: Uint8Array) => Promise<unknown> | undefined,
): Promise<number> {
  let length = 0;
  let seen = 0;
  // Node.js's timeouts are for silence; a registry that sends a byte now and then would hold the connection for ever.
  const watch = setInterval(() => {
    if (length - seen < STALL_BYTES) body.destroy(new Error(`less than ${STALL_BYTES} bytes in ${STALL_MS} ms`));
    seen = length;
  }, STALL_MS).unref();
  try {
    for await (const piece of body) {
      length += piece.length;
      // Leaving the loop destroys the body and its connection.
      if (length > most) throw new StoreError(`${what}: expected at most ${most} bytes, got more`, false);
      await take(piece);
    }
    return length;
  } finally {
    clearInterval(watch);
  }
}

/** Reads a whole body into memory. @throws StoreError when it has more than `most` bytes, or Error when it takes a minute. */
export async function readWhole(body: Body, most: number, what: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const late = setTimeout(() => body.destroy(new Error(`the answer was not whole after ${WHOLE_MS} ms`)), WHOLE_MS);
  try {
    await readBody(body, most, what, (piece) => {
      parts.push(piece);
      return undefined;
    });
  } finally {
    clearTimeout(late);
  }
  return Buffer.concat(parts);
}

/** Waits before another attempt: 0.5 s, then twice as long each time, at most 8 s. @throws the signal's reason. */
export async function pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
  await delay(Math.min(8000, 250 * 2 ** attempt), undefined, { signal }).catch(() => {});
  signal?.throwIfAborted();
}
