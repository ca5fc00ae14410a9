/** The loopback addresses of simulated nodes, one for each node. Knows numbers alone; opens no socket. */

/** @param node number of the node, from 1: the first node has 127.1.0.1. */
export function loopbackAddress(node: number): string {
  return `127.${1 + (node >> 16)}.${(node >> 8) & 255}.${node & 255}`;
}
