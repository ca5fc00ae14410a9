/**
 * The address of a server, as the user wrote it: `HOST`, `HOST:PORT`, `[IPv6]:PORT`. Names are resolved: on the command
 * line, DNS may decide.
 */
import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import type { Address } from '../engine/types.ts';
import { TFTP_PORT } from '../protocol/request.ts';
import { showValue } from '../text/escape.ts';
import { errorCode, errorLine } from '../text/error-text.ts';
import { UsageError } from '../config/usage-error.ts';

interface HostPort {
  readonly host: string;
  readonly port: number;
}

function parse(text: string, usual: number): HostPort | undefined {
  if (isIPv6(text)) return { host: text, port: usual };
  const match = /^(?:\[([^[\]]+)\]|([^:[\]\s]+))(?::([0-9]{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const [, six, name, digits] = match;
  const port = digits === undefined ? usual : Number(digits);
  if (port < 1 || port > 65_535 || (six !== undefined && !isIPv6(six))) return undefined;
  return { host: six ?? name!, port };
}

/**
 * @param what name of the text in messages. @param usual port where the text has none.
 * @throws UsageError when the text is no address, or the name can't be resolved.
 */
export async function findServer(text: string, what = 'server', usual = TFTP_PORT): Promise<Address> {
  const found = parse(text, usual);
  if (found === undefined) {
    throw new UsageError(`${what}: expected HOST, HOST:PORT or [IPv6]:PORT, got ${showValue(text)}`);
  }
  try {
    const { address } = await lookup(found.host);
    return { address, port: found.port };
  } catch (cause) {
    const why = errorCode(cause) ?? errorLine(cause);
    throw new UsageError(`${what}: expected a host that can be looked up, got ${showValue(found.host)} (${why})`, {
      cause,
    });
  }
}
