/** Handles exceptions in callbacks of a loop over many packets, records or sockets. */

/** Throws outside the loop, as an uncaught exception, so that the loop finishes its other items. */
export function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
