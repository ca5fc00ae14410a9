/** Times inside a sender: their unit and their bounds. */

/**
 * Times inside are milliseconds since the session's start: they stay small integers however long the machine has been
 * up, so V8 keeps them in the session itself. A larger NEVER would make V8 box each of them, and with thousands of
 * sessions every box is a cache miss for every ACK.
 */
export const NEVER = 0x7fffffff;
/** The largest time inside: 24 days. A transfer that makes progress is not ended for its age before that. */
export const MAX_AGE_MS = NEVER - 1;
