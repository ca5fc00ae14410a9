/** What renderings may take. Numbers alone; docs/design.md lists those that a user can notice. */

/** Longest time for one answer, in milliseconds, where a route says nothing else. */
export const TIMEOUT_MS = {
  template: 1000,
  handler: 5000,
  upstream: 5000,
} as const;
/** Longest answer in bytes where a route says nothing else: a config is a few KiB. */
export const DEFAULT_MAX_BYTES = 1024 * 1024;
/** No route may say more. */
export const MAX_BYTES = 64 * 1024 * 1024;
/** Threads for templates and upstreams, and as many for handlers. */
export const THREADS = 2;
/**
 * Niceness of these threads on Linux: packets and requests come first. Templates are short and somebody waits for each;
 * what a handler computes nobody knows.
 */
export const NICENESS = { templates: 3, handlers: 10 } as const;
/** A thread with work that has shown no sign of life for so long stands still. */
export const STILL_MS = 2000;
/** Longest wait for a thread to load templates and handlers. */
export const LOAD_MS = 15_000;
/** Answers waited for, over all threads. Beyond it requests stay unanswered, and are asked again. */
export const WAITING = 16_384;
/** Those of them that are for nodes that nobody knows: a quarter, so that a flood of invented names holds up none else. */
export const STRANGERS_WAITING = 4096;
/** Beside them, those that had been turned down and ask again: forged addresses seldom do. */
export const RETURNING_WAITING = 1024;
/** Addresses remembered that were turned down, and for how long: the longest pause of firmware that asks again. */
export const TURNED_DOWN = 32_768;
export const TURNED_DOWN_MS = 16_000;
/** Answers waited for in the name of one known node; beyond it, it may be anyone who says that name. */
export const WAITING_EACH = 4;
/** Addresses remembered that have acknowledged a config, and for how long. */
export const ANSWERED = 16_384;
export const ANSWERED_MS = 86_400_000;
/** Work that waits for the one thread on which each runs alone. */
export const WAITING_ALONE = 256;
/** Longest wait for it, in milliseconds: by then most clients have asked again. */
export const ALONE_MS = 10_000;
/** JavaScript heap of a render thread, in MiB. */
export const HEAP_MIB = 256;
/** What a template may allocate, as a multiple of the answer that it may give. */
export const TEMPLATE_MEMORY_FACTOR = 8;
/** Longest template, in characters, and files that can be kept parsed. */
export const TEMPLATE_CHARACTERS = 1024 * 1024;
export const TEMPLATE_FILES = 1024;
/** Renderings kept so that a boot gets the same text again. */
export const KEPT_BYTES = 64 * 1024 * 1024;
/** They end with so much silence, or at this age. */
export const KEPT_IDLE_MS = 60_000;
export const KEPT_MS = 600_000;
/** Upstream answers kept for the case that the upstream is down. */
export const UPSTREAM_KEPT_BYTES = 64 * 1024 * 1024;
export const UPSTREAM_STALE_MS = 24 * 3_600_000;
/** After a failure an upstream is left alone for so long where there is a stale copy. */
export const UPSTREAM_PAUSE_MS = 2000;
/** Connections to one upstream. */
export const UPSTREAM_CONNECTIONS = 32;
export const ROUTES = 1024;
export const INVENTORY_BYTES = 256 * 1024 * 1024;
