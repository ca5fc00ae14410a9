/** Faults of code that is called back from a loop over many packets, records or sockets. */

/** Throws outside the loop, as an uncaught exception: whatever else the loop has to see to must not be lost. */
export function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
