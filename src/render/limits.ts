/** Limits of renderings. Constants alone; docs/limits.md lists those that a user can notice. */

/**
 * Default time limit of one answer, in milliseconds.
 * @limit Time for one answer. Setting: `renderTimeout`, `timeout` of a route. Shows:
 * `reveille_render_failures_total{reason="timeout"}`.
 */
export const TIMEOUT_MS = {
  template: 1000,
  handler: 5000,
  upstream: 5000,
} as const;
/**
 * Default size limit of one answer, in bytes; a config is a few KiB.
 * @limit Size of a rendered config. Setting: `maxBytes` of a route, up to 64 MiB. Shows:
 * `reveille_render_failures_total{reason="tooLarge"}`.
 */
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
/**
 * A thread with work that shows no sign of life for this long has hung.
 * @limit Silence after which a render thread with work counts as hung. Shows: `reveille_render_threads_lost_total`.
 */
export const STILL_MS = 2000;
/** Time limit for a thread to load templates and handlers. */
export const LOAD_MS = 15_000;
/**
 * Cap on pending answers, over all threads. Requests beyond it stay unanswered, and their clients ask again.
 * @limit Configs that wait to be rendered. Shows: `reveille_render_failures_total{reason="queueFull"}`.
 */
export const WAITING = 16_384;
/**
 * Cap on pending answers for unknown nodes: a quarter, so that a flood of invented names blocks no known node.
 * @limit Waiting configs of unknown nodes. Shows: `reveille_render_failures_total{reason="strangers"}`.
 */
export const STRANGERS_WAITING = 4096;
/**
 * Separate cap for unknown nodes that were turned down and ask again, which forged addresses seldom do.
 * @limit Waiting configs of unknown nodes that were turned down and ask again. Shows:
 * `reveille_render_failures_total{reason="strangers"}`.
 */
export const RETURNING_WAITING = 1024;
/**
 * Cap on remembered addresses that were turned down, and how long they are remembered: the longest pause before
 * firmware asks again.
 * @limit Addresses remembered that were turned down. Shows: nothing: the address gets no precedence.
 */
export const TURNED_DOWN = 32_768;
/**
 * @limit Time after its last request for which an address that was turned down is remembered. Shows: nothing: the
 * address gets no precedence.
 */
export const TURNED_DOWN_MS = 16_000;
/**
 * Cap on pending answers in the name of one known node; requests beyond it may come from anyone using that name.
 * @limit Waiting configs of one known node; further ones count as those of an unknown node. Shows:
 * `reveille_render_failures_total{reason="strangers"}`.
 */
export const WAITING_EACH = 4;
/**
 * Cap on remembered addresses that have acknowledged a config, and how long they are remembered.
 * @limit Addresses remembered that have acknowledged a config. Shows: nothing: the address is unknown again.
 */
export const ANSWERED = 16_384;
/**
 * @limit Time after its last acknowledgment of a config for which an address is remembered. Shows: nothing: the address
 * is unknown again.
 */
export const ANSWERED_MS = 86_400_000;
/**
 * Cap on work that waits for the thread on which jobs run alone.
 * @limit Configs that wait to be rendered alone, because one like them hung. Shows:
 * `reveille_render_failures_total{reason="queueFull"}`.
 */
export const WAITING_ALONE = 256;
/**
 * Time limit of that wait, in milliseconds: by then most clients have asked again.
 * @limit Time for which a config waits to be rendered alone. Shows: `reveille_render_failures_total{reason="timeout"}`.
 */
export const ALONE_MS = 10_000;
/**
 * JavaScript heap limit of a render thread, in MiB.
 * @limit Heap of a render thread. Shows: `reveille_render_threads_lost_total`.
 */
export const HEAP_MIB = 256;
/** Memory limit of a template, as a multiple of its size limit. */
export const TEMPLATE_MEMORY_FACTOR = 8;
/** Size limit of a template in characters, and cap on parsed files kept. */
export const TEMPLATE_CHARACTERS = 1024 * 1024;
export const TEMPLATE_FILES = 1024;
/**
 * Size limit of the kept texts, with which a boot gets the same text again.
 * @limit Rendered configs kept for the rest of a boot. Shows: nothing: the config is rendered again.
 */
export const KEPT_BYTES = 64 * 1024 * 1024;
/** Approximate size of a kept text or answer without its bytes. */
export const ENTRY_BYTES = 1024;
/**
 * A kept text expires after this time without use, or at this age.
 * @limit Time after its last request for which a config is kept.
 */
export const KEPT_IDLE_MS = 60_000;
/** @limit Age up to which a config is kept. */
export const KEPT_MS = 600_000;
/**
 * Size limit of the upstream answers kept in case the upstream is down, and their maximum age.
 * @limit Answers of upstreams kept for the time when an upstream is down. Shows: nothing: the oldest answer is dropped.
 */
export const UPSTREAM_KEPT_BYTES = 64 * 1024 * 1024;
export const UPSTREAM_STALE_MS = 24 * 3_600_000;
/** After a failure an upstream is not asked for this long where a stale copy exists. */
export const UPSTREAM_PAUSE_MS = 2000;
/**
 * Cap on connections to one upstream, per thread.
 * @limit Connections to one upstream, from each thread. Shows: nothing: requests wait.
 */
export const UPSTREAM_CONNECTIONS = 32;
/** @limit Routes. Shows: an error message. */
export const ROUTES = 1024;
/** @limit Size of an inventory. Shows: an error message. */
export const INVENTORY_BYTES = 256 * 1024 * 1024;
