/** URLs of a server's HTTP addresses. */
import { formatHost } from '../text/address-text.ts';
import type { HttpAddress } from './types.ts';

const USUAL_PORTS = { http: 80, https: 443 } as const;
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Returns the URL of an address, without a slash at its end and without the scheme's usual port. */
export function urlOf({ address, port, isSecure }: HttpAddress): string {
  const scheme = isSecure ? 'https' : 'http';
  // A scope means something on this machine alone.
  const [host = ''] = address.split('%');
  return `${scheme}://${formatHost(host)}${port === USUAL_PORTS[scheme] ? '' : `:${port}`}`;
}

/**
 * Returns the URL of plain HTTP at the address that a node has asked: configs name it, whatever protocol they come by.
 *
 * @returns undefined when no HTTP is served at that address.
 */
export function httpUrlAt(local: string, addresses: readonly HttpAddress[]): string | undefined {
  const wildcard = local.includes(':') ? '::' : '0.0.0.0';
  const found = addresses.find(({ address, isSecure }) => !isSecure && (address === local || address === wildcard));
  return found === undefined
    ? undefined
    : urlOf({ ...found, address: WILDCARDS.has(found.address) ? local : found.address });
}
