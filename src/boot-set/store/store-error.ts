/** The error of a store operation: one line that says where, what was expected and what was found. */

export class StoreError extends Error {
  override readonly name = 'StoreError';
  /**
   * True when the request is wrong (a name, a folder, a missing version): nothing was written, and a retry would not
   * help. False when the machine or the store is at fault.
   */
  readonly isMistake: boolean;

  constructor(message: string, isMistake = true) {
    super(message);
    this.isMistake = isMistake;
  }
}

/** Quotes text from a person or a disk for a one-line message; control characters and quotes are escaped. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text);
}

/** Returns the system's error message as one line. */
export function whatFailed(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ');
}
