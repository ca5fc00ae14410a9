/** Why a store of boot sets could not do what was asked: one line that says where, what was expected and what was found. */

export class StoreError extends Error {
  override readonly name = 'StoreError';
  /**
   * Whether what was asked for is wrong (a name, a folder, a version that is not there): nothing was written, and asking
   * again would not help. Otherwise the machine or the store is at fault.
   */
  readonly isMistake: boolean;

  constructor(message: string, isMistake = true) {
    super(message);
    this.isMistake = isMistake;
  }
}

/** Text that a person or a disk gave, quoted for one line; control characters and quotes become escapes. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text);
}

/** The system's words for what went wrong, as one line. */
export function whatFailed(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ');
}
