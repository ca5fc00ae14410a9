/** Limits of renderings. Constants alone; docs/design.md lists those that a user can notice. */

/** Default time limit of one answer, in milliseconds. */
export const TIMEOUT_MS = {
  template: 1000,
  handler: 5000,
  upstream: 5000,
} as const;
/** Default size limit of one answer, in bytes; a config is a few KiB. */
export const DEFAULT_MAX_BYTES = 1024 * 1024;
/** Upper bound for a route's `maxBytes`. */
export const MAX_BYTES = 64 * 1024 * 1024;
/** Number of threads for templates and upstreams, and again as many for handlers. */
export const THREADS = 2;
/**
 * Niceness of render threads on Linux, so that packets and requests come first. Templates are short and a client waits
 * for each; how long a handler computes is unknown.
 */
export const NICENESS = { templates: 3, handlers: 10 } as const;
/** A thread with work that shows no sign of life for this long has hung. */
export const STILL_MS = 2000;
/** Time limit for a thread to load templates and handlers. */
export const LOAD_MS = 15_000;
/** Cap on pending answers, over all threads. Requests beyond it stay unanswered, and their clients ask again. */
export const WAITING = 16_384;
/** Cap on pending answers for unknown nodes: a quarter, so that a flood of invented names blocks no known node. */
export const STRANGERS_WAITING = 4096;
/** Separate cap for unknown nodes that were turned down and ask again, which forged addresses seldom do. */
export const RETURNING_WAITING = 1024;
/**
 * Cap on remembered addresses that were turned down, and how long they are remembered: the longest pause before
 * firmware asks again.
 */
export const TURNED_DOWN = 32_768;
export const TURNED_DOWN_MS = 16_000;
/** Cap on pending answers in the name of one known node; requests beyond it may come from anyone using that name. */
export const WAITING_EACH = 4;
/** Cap on remembered addresses that have acknowledged a config, and how long they are remembered. */
export const ANSWERED = 16_384;
export const ANSWERED_MS = 86_400_000;
/** Cap on work that waits for the thread on which jobs run alone. */
export const WAITING_ALONE = 256;
/** Time limit of that wait, in milliseconds: by then most clients have asked again. */
export const ALONE_MS = 10_000;
/** JavaScript heap limit of a render thread, in MiB. */
export const HEAP_MIB = 256;
/** Memory limit of a template, as a multiple of its size limit. */
export const TEMPLATE_MEMORY_FACTOR = 8;
/** Size limit of a template in characters, and cap on parsed files kept. */
export const TEMPLATE_CHARACTERS = 1024 * 1024;
export const TEMPLATE_FILES = 1024;
/** Size limit of the kept texts, with which a boot gets the same text again. */
export const KEPT_BYTES = 64 * 1024 * 1024;
/** Approximate size of a kept text or answer without its bytes. */
export const ENTRY_BYTES = 1024;
/** A kept text expires after this time without use, or at this age. */
export const KEPT_IDLE_MS = 60_000;
export const KEPT_MS = 600_000;
/** Size limit of the upstream answers kept in case the upstream is down, and their maximum age. */
export const UPSTREAM_KEPT_BYTES = 64 * 1024 * 1024;
export const UPSTREAM_STALE_MS = 24 * 3_600_000;
/** After a failure an upstream is not asked for this long where a stale copy exists. */
export const UPSTREAM_PAUSE_MS = 2000;
/** Cap on connections to one upstream, per thread. */
export const UPSTREAM_CONNECTIONS = 32;
export const ROUTES = 1024;
export const INVENTORY_BYTES = 256 * 1024 * 1024;
