/**
 * Parses TFTP URIs (RFC 3617) into the parts of a request. Knows the text alone: resolves no names and asks no servers.
 */
import { isIPv6 } from 'node:net';
import { TFTP_PORT, type TransferMode } from '../protocol/request.ts';
import { showValue } from '../text/escape.ts';
import { UsageError } from '../config/usage-error.ts';

export interface TftpUri {
  /** A name, an IPv4 address or an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** The file's name as it is sent: one character per byte. */
  readonly filename: string;
  readonly mode: TransferMode;
}

function hostAndPort(authority: string, wrong: (text: string) => UsageError): { host: string; port: number } {
  const match = /^(?:\[([^[\]]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?$/.exec(authority);
  if (match === null) throw wrong('HOST or HOST:PORT after tftp:// (an IPv6 address in brackets)');
  const [, six, name, digits] = match;
  const port = digits === undefined ? TFTP_PORT : Number(digits);
  if (port < 1 || port > 65535) throw wrong('a port from 1 to 65535');
  if (six === undefined) return { host: name!, port };
  // RFC 6874 writes the % of a scope as %25; people write it plainly.
  const host = six.replace(/%25/, '%');
  if (!isIPv6(host)) throw wrong('an IPv6 address between the brackets');
  return { host, port };
}

/** Percent-decodes to bytes, one character each; characters outside ASCII become their UTF-8 bytes. */
function decodePath(path: string, wrong: (text: string) => UsageError): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(path)) throw wrong('two hexadecimal digits after every %');
  let bytes = '';
  for (let at = 0; at < path.length; ) {
    if (path[at] === '%') {
      bytes += String.fromCharCode(Number.parseInt(path.slice(at + 1, at + 3), 16));
      at += 3;
      continue;
    }
    const character = String.fromCodePoint(path.codePointAt(at)!);
    bytes += Buffer.from(character, 'utf8').toString('latin1');
    at += character.length;
  }
  return bytes;
}

/**
 * Reads `tftp://HOST[:PORT]/NAME[;mode=octet|netascii]`. The slash after the host is not part of the name:
 * `tftp://h/boot/linux` asks for `boot/linux`, `tftp://h//boot/linux` for `/boot/linux`. Dots stay as they are.
 *
 * @throws UsageError with one line.
 */
export function parseTftpUri(text: string): TftpUri {
  const wrong = (expected: string): UsageError => new UsageError(`get: expected ${expected}, got ${showValue(text)}`);
  const match = /^tftp:\/\/([^/?#]*)\/(.*)$/is.exec(text);
  if (match === null) throw wrong('tftp://HOST[:PORT]/NAME');
  const { host, port } = hostAndPort(match[1]!, wrong);
  const [, path, modeText] = /^(.*?)(?:;mode=([^;]*))?$/is.exec(match[2]!)!;
  if (/[?#]/.test(path!)) throw wrong('no query or fragment (write ? as %3F and # as %23)');
  const mode = modeText?.toLowerCase() ?? 'octet';
  if (mode !== 'octet' && mode !== 'netascii') throw wrong('";mode=octet" or ";mode=netascii"');
  const filename = decodePath(path!, wrong);
  if (filename === '') throw wrong('a name after the host');
  if (filename.includes('\0')) throw wrong('a name without NUL');
  return { host, port, filename, mode };
}

/**
 * The local name for a downloaded file: the part after the last slash.
 *
 * @returns undefined when that part is no valid file name.
 */
export function localName(filename: string): string | undefined {
  const bytes = Buffer.from(filename.slice(filename.lastIndexOf('/') + 1), 'latin1');
  const name = bytes.toString('utf8');
  const faithful = Buffer.from(name, 'utf8').equals(bytes);
  return faithful && name !== '' && name !== '.' && name !== '..' ? name : undefined;
}
