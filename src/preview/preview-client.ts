/**
 * The client of a preview, as the user describes it: its addresses and names, checked. Knows spellings, and no tables
 * of nodes.
 */
import { isIP } from 'node:net';
import { anyMacNode, type NodeId, serialNode, uuidNode } from '../boot-set/node/node-identity.ts';
import { nameOfTarget } from '../http/request-target.ts';
import { showValue } from '../text/escape.ts';
import { UsageError } from '../config/usage-error.ts';

export interface PreviewClient {
  readonly ip?: string | undefined;
  /** The server's address that the request is sent to. */
  readonly local?: string | undefined;
  readonly mac?: string | undefined;
  readonly uuid?: string | undefined;
  readonly serial?: string | undefined;
}

export const PREVIEW_CLIENT_KEYS = ['ip', 'local', 'mac', 'uuid', 'serial'] as const;

/** Returns true for a URL, which a node asks for over HTTP. */
export function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

/**
 * @param text a name as TFTP has it, or an `http://` or `https://` URL of this server.
 * @returns the name that the server receives, one character per byte.
 * @throws UsageError for a URL that a server answers with 400.
 */
export function receivedName(text: string): string {
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  if (!isUrl(text)) return bytes;
  const name = nameOfTarget(bytes);
  if (name === undefined || name === '') {
    throw new UsageError(`expected a URL with a path and two hexadecimal digits after every %, got ${showValue(text)}`);
  }
  return name;
}

/** @returns the ids of the client, the best first. */
export function idsOf({ mac, uuid, serial }: PreviewClient): readonly NodeId[] {
  return [
    mac === undefined ? undefined : anyMacNode(mac),
    uuid === undefined ? undefined : uuidNode(uuid),
    serial === undefined ? undefined : serialNode(serial),
  ].filter((id) => id !== undefined);
}

const EXPECTED: Readonly<Record<(typeof PREVIEW_CLIENT_KEYS)[number], readonly [string, (text: string) => boolean]>> = {
  ip: ['an address', (text) => isIP(text) !== 0],
  local: ['an address', (text) => isIP(text) !== 0],
  mac: ['the MAC of one machine', (text) => anyMacNode(text) !== undefined],
  uuid: ['the UUID of one machine', (text) => uuidNode(text) !== undefined],
  serial: ['a serial number', (text) => /^[0-9A-Za-z._-]{1,64}$/.test(text)],
};

/** @param spell returns the name of a key as the user wrote it. @throws UsageError in one line. */
export function checkPreviewClient(client: PreviewClient, spell: (key: string) => string): PreviewClient {
  for (const key of PREVIEW_CLIENT_KEYS) {
    const [expected, passes] = EXPECTED[key];
    const text = client[key];
    if (text !== undefined && !passes(text)) {
      throw new UsageError(`${spell(key)}: expected ${expected}, got ${showValue(text)}`);
    }
  }
  return client;
}
