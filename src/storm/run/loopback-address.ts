/** The addresses of simulated nodes on the loopback, each its own. Knows numbers alone; opens no socket. */

/** @param node its number, from 1: the first node has 127.1.0.1. */
export function loopbackAddress(node: number): string {
  return `127.${1 + (node >> 16)}.${(node >> 8) & 255}.${node & 255}`;
}
