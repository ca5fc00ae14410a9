/** Bounds of what a sender sends to a peer that does not answer, and of how long it waits. */

/**
 * DATA 1 is many times as long as its request: sent once, it does not make us an amplifier, and a client that lost it
 * asks again. An OACK is no longer than its request, and some clients ask again only after seconds.
 * @limit Sends of an OACK to an unproven address per request. Shows: `reveille_transfers_total{outcome="timeout"}`.
 */
export const SENDS_PER_REQUEST = 3;
/** @limit Sends of DATA 1 to an unproven address per request. Shows: `reveille_transfers_total{outcome="timeout"}`. */
export const DATA_SENDS_PER_REQUEST = 1;
/**
 * Some firmware takes 12 s and more for its first ACK.
 * @limit Life of a half-open transfer after its last request. Shows: `reveille_transfers_total{outcome="timeout"}`.
 */
export const UNPROVEN_MS = 60_000;
/** @limit Sends of the last block. Shows: `reveille_transfers_total{outcome="completeUnconfirmed"}`. */
export const TAIL_SENDS = 5;
/** @limit Silence after the last block. Shows: `reveille_transfers_total{outcome="completeUnconfirmed"}`. */
export const TAIL_MS = 10_000;
