/** Parses the name of a node as people write it, into the form that pins use. */
import { isIP } from 'node:net';
import {
  anyMacNode,
  ipNode,
  macNode,
  NODE_KINDS,
  type NodeId,
  serialNode,
  uuidNode,
} from '../boot-set/node/node-identity.ts';
import { showValue } from '../text/escape.ts';
import { UsageError } from './usage-error.ts';

/**
 * Six bytes (or the eight of InfiniBand) without separators, or in groups of four digits as network equipment shows
 * them.
 */
const GROUPED_MAC = /^(?:[0-9a-f]{12}(?:[0-9a-f]{4})?|(?:[0-9a-f]{4}\.){2,3}[0-9a-f]{4})$/i;

/** Parses a name without its kind, which its form tells. */
function nodeByForm(text: string): NodeId | undefined {
  if (isIP(text) > 0) return ipNode(text);
  const mac = GROUPED_MAC.test(text) ? anyMacNode(text) : macNode(text);
  return mac ?? uuidNode(text) ?? (/^[0-9a-f]{8}$/i.test(text) ? serialNode(text) : undefined);
}

/**
 * Parses a MAC in any spelling, a UUID, a serial number of eight digits, or an address; its kind may precede it
 * (`mac:`, as in lists of pins).
 *
 * @throws UsageError when the text names no node.
 */
export function parseNode(text: string): NodeId {
  const kind = NODE_KINDS.find((one) => text.toLowerCase().startsWith(`${one}:`));
  const node = nodeByForm(kind === undefined ? text : text.slice(kind.length + 1));
  if (node === undefined || (kind !== undefined && !node.startsWith(`${kind}:`))) {
    throw new UsageError(`NODE: expected a MAC, a UUID, a serial number or an address, got ${showValue(text)}`);
  }
  return node;
}
