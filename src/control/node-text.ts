/** How a person writes the name of a node, made the one way that pins are kept by. */
import { showValue } from './escape.ts';
import { UsageError } from './usage-error.ts';

const NODE_MAX = 128;

/** A MAC in any of its spellings becomes `aa:bb:cc:dd:ee:ff`; UUIDs, serial numbers and addresses are in lower case. */
export function nodeText(text: string): string {
  const hex = text.toLowerCase().replace(/[:.-]/g, '');
  const isMac =
    /^[0-9a-f]{12}$/.test(hex) &&
    /^(?:[0-9a-f]{12}|(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4})$/i.test(text);
  if (isMac) return hex.match(/../g)!.join(':');
  if (text.length > NODE_MAX || !/^[\x21-\x7e]+$/.test(text)) {
    throw new UsageError(`NODE: expected a MAC, a UUID, a serial number or an address, got ${showValue(text)}`);
  }
  return text.toLowerCase();
}
