/** How a terminal is driven: control sequences (ECMA-48, and DEC's for the cursor) and its width. Knows no contents. */

/** Where a terminal is written to: standard output or standard error, which may be a file or a pipe as well. */
export interface Terminal {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  /** Its width in characters; 0 or undefined where it does not know. */
  readonly columns?: number;
}

export const HIDE_CURSOR = '\x1b[?25l';
export const SHOW_CURSOR = '\x1b[?25h';
export const CLEAR_TO_END = '\x1b[K';
export const CLEAR_BELOW = '\x1b[J';

/** Fewest columns that are drawn for, however narrow the terminal is. */
export const NARROWEST = 20;
