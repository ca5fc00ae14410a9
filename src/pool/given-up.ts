/** Collects garbage once so many shared buffers have been given up that it is worth it. Knows no threads. */
import { onSharedGivenUp } from '../bytes/shared-bytes.ts';
import { collectGarbage } from './collect-garbage.ts';

/**
 * Portable engine: so many bytes of shared buffers given up are worth some 10 ms of collection in each thread.
 * @limit Shared buffers given up, portable engine, at which all threads collect garbage. Shows:
 * `process_resident_memory_bytes`.
 */
const COLLECTED_BYTES = 64 * 1024 ** 2;

/** @param others has the other threads collect. @returns a function that ends this. */
export function collectGivenUp(others: () => void): () => void {
  let givenUpBytes = 0;
  let hasEnded = false;
  const forget = onSharedGivenUp((bytes) => {
    givenUpBytes += bytes;
    if (givenUpBytes < COLLECTED_BYTES) return;
    givenUpBytes = 0;
    // When the reports of the transfers that have read them have been dealt with.
    setImmediate(() => {
      if (hasEnded) return;
      others();
      collectGarbage();
    });
  });
  return () => {
    hasEnded = true;
    forget();
  };
}
