/**
 * Identifies a node by the name it asks for: a MAC, a UUID or a Raspberry Pi's serial in it, in any of the spellings
 * that loaders use. Works on text alone: knows no learned addresses, no neighbor tables and no pins.
 */

/** Kinds of names for a machine, the most reliable first. */
export const NODE_KINDS = ['mac', 'uuid', 'serial', 'ip'] as const;
export type NodeKind = (typeof NODE_KINDS)[number];

/** `mac:aa:bb:cc:dd:ee:ff`, `uuid:…`, `serial:…` or `ip:…`, in lower case. */
export type NodeId = string;

/**
 * Six bytes with the same separator between them, optionally after a hardware type (`01-`). Not part of a longer row of
 * bytes.
 */
const SPACED_MAC =
  /(?<![0-9a-z])(?<!(?<![g-z])[0-9a-f]{2}[-:])(?:[0-9a-f]{2}([-:]))?((?:[0-9a-f]{2}[-:]){5}[0-9a-f]{2})(?![-:]?[0-9a-f])/;
const SEVEN_BYTES = /^(?:01|06)[-:]/;
/** Like SPACED_MAC, for InfiniBand: hardware type 0x20 and the eight bytes of the port's GUID. */
const INFINIBAND =
  /(?<![0-9a-z])(?<!(?<![g-z])[0-9a-f]{2}[-:])20([-:])((?:[0-9a-f]{2}\1){7}[0-9a-f]{2})(?![-:]?[0-9a-f])/;
/**
 * Twelve digits without separators are a MAC only where loaders put one: alone between slashes (and before an
 * extension), or after `mac-`, `grub.cfg-` or `01-`. Elsewhere they are more likely part of a kernel version, and one
 * identity for all machines would be worse than none.
 */
const BARE_MAC = /(?:^|\/|(?:^|\/)(?:mac|grub\.cfg|01)-)(?:01)?([0-9a-f]{12})(?=$|\/|\.[a-z0-9]{1,8}$)/;
const UUID = /(?<![0-9a-f])([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?![0-9a-f])/;
const SERIAL = /^([0-9a-f]{8})\//;

/** UUIDs of boards whose maker left the field at its default: many machines share each of them. */
const SHARED_UUIDS: ReadonlySet<string> = new Set(
  [
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '03000200-0400-0500-0006-000700080009',
    '12345678-1234-5678-90ab-cddeefaabbcc',
  ].flatMap((uuid) => [uuid, inOtherOrder(uuid)]),
);

/**
 * Returns the UUID with the bytes of its first three fields reversed: SMBIOS stores them little-endian, RFC 9562
 * big-endian.
 */
export function inOtherOrder(uuid: string): string {
  return uuid.replace(
    /^(..)(..)(..)(..)-(..)(..)-(..)(..)/,
    (_, a: string, b: string, c: string, d: string, e: string, f: string, g: string, h: string) =>
      `${d}${c}${b}${a}-${f}${e}-${h}${g}`,
  );
}

/**
 * Looks for the version digit of a UUID (RFC 9562 §4.2), which a UUID in the other byte order mostly lacks at that
 * place.
 */
function hasVersion(uuid: string): boolean {
  return /^[1-8]$/.test(uuid[14]!);
}

/** Returns one id for both byte orders: firmware and loaders may spell a machine's UUID either way. */
function uuidId(uuid: string): NodeId | undefined {
  if (SHARED_UUIDS.has(uuid)) return undefined;
  const other = inOtherOrder(uuid);
  if (hasVersion(uuid) !== hasVersion(other)) return `uuid:${hasVersion(uuid) ? uuid : other}`;
  // Dell's UUIDs have a version digit in both orders: the form that dmidecode and PXELINUX show begins with 4c4c4544.
  return `uuid:${uuid > other ? uuid : other}`;
}

/**
 * @param digits twelve hexadecimal digits, or the sixteen of an InfiniBand port.
 * @returns undefined for a group address (I/G bit set) and for all zeros: no machine has those.
 */
function macFrom(digits: string): NodeId | undefined {
  if (/^0+$/.test(digits) || (Number.parseInt(digits[1]!, 16) & 1) === 1) return undefined;
  return `mac:${digits.match(/../g)!.join(':')}`;
}

function spacedMac(text: string): NodeId | undefined {
  const guid = INFINIBAND.exec(text)?.[2];
  if (guid !== undefined) return macFrom(guid.replace(/[-:]/g, ''));
  const found = SPACED_MAC.exec(text);
  if (found === null) return undefined;
  const whole = found[0];
  // A row of seven bytes begins with a hardware type, or is not a MAC.
  if (found[1] !== undefined && !SEVEN_BYTES.test(whole)) return undefined;
  const mac = found[2]!;
  const separator = mac[2]!;
  if ([5, 8, 11, 14].some((at) => mac[at] !== separator)) return undefined;
  return macFrom(mac.replace(/[-:]/g, ''));
}

/**
 * Returns the ids of the machine that a name contains: at most one of each kind, the best first.
 *
 * @param path cleaned name.
 * @param file part of the name relative to a boot set, if it is in one. A serial may be the first folder of either.
 */
export function nodesInPath(path: string, file?: string): readonly NodeId[] {
  const text = path.toLowerCase();
  const nodes: NodeId[] = [];
  const bare = BARE_MAC.exec(text)?.[1];
  const mac = spacedMac(text) ?? (bare === undefined ? undefined : macFrom(bare));
  if (mac !== undefined) nodes.push(mac);
  const uuid = UUID.exec(text)?.[1];
  const machine = uuid === undefined ? undefined : uuidId(uuid);
  if (machine !== undefined) nodes.push(machine);
  const serial = SERIAL.exec(text)?.[1] ?? (file === undefined ? undefined : SERIAL.exec(file.toLowerCase())?.[1]);
  if (serial !== undefined && serial !== '00000000') nodes.push(`serial:${serial}`);
  return nodes;
}

export function ipNode(address: string): NodeId {
  return `ip:${address.toLowerCase()}`;
}

/** Stands for the client's address in a preview that names no address. */
export const NOWHERE = '0.0.0.0';

/** Returns the name for the pins that a node has for one address while it speaks from another. */
export function sideOf(node: NodeId, address: string): NodeId {
  return `${node}@${address.toLowerCase()}`;
}

/** Returns the node from a name made by sideOf(); any other name is returned as it is. */
export function ownerOf(node: NodeId): NodeId {
  const at = node.indexOf('@');
  return at < 0 ? node : node.slice(0, at);
}

export function kindOf(node: NodeId): NodeKind {
  return node.slice(0, node.indexOf(':')) as NodeKind;
}

/** Returns true when both have an id of the same kind with different values: two different machines. */
export function areOfTwoMachines(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.some((id) => b.some((other) => other !== id && kindOf(other) === kindOf(id)));
}

/**
 * Parses the MAC of six bytes, or the eight of an InfiniBand port, separated by `:` or `-` as in tables and lease
 * files.
 */
export function macNode(text: string): NodeId | undefined {
  return /^(?:[0-9a-f]{2}[-:]){5}(?:(?:[0-9a-f]{2}[-:]){2})?[0-9a-f]{2}$/i.test(text)
    ? macFrom(text.toLowerCase().replace(/[-:]/g, ''))
    : undefined;
}

/** Like macNode(), in any spelling: with colons, dashes, dots or no separators. */
export function anyMacNode(text: string): NodeId | undefined {
  const digits = text.toLowerCase().replace(/[-:.]/g, '');
  return /^[0-9a-f]{12}(?:[0-9a-f]{4})?$/.test(digits) ? macFrom(digits) : undefined;
}

/**
 * Returns the id of a UUID in its usual text form; both byte orders give the same id.
 *
 * @returns undefined when the text is not a UUID, or the UUID is one that many machines share.
 */
export function uuidNode(text: string): NodeId | undefined {
  const uuid = text.toLowerCase();
  return uuid.length === 36 && UUID.test(uuid) ? uuidId(uuid) : undefined;
}

export function serialNode(text: string): NodeId {
  return `serial:${text.toLowerCase()}`;
}

/**
 * Returns the part of a file name after a first folder that names a machine and nothing else; undefined without such a
 * folder.
 */
export function behindNodeFolder(file: string): string | undefined {
  const slash = file.indexOf('/');
  if (slash < 8) return undefined;
  const folder = file.slice(0, slash).toLowerCase();
  const isNode =
    /^[0-9a-f]{8}$/.test(folder) ||
    /^(?:01)?[0-9a-f]{12}$/.test(folder) ||
    /^(?:(?:01|06)[-:])?(?:[0-9a-f]{2}[-:]){5}[0-9a-f]{2}$/.test(folder) ||
    /^20[-:](?:[0-9a-f]{2}[-:]){7}[0-9a-f]{2}$/.test(folder) ||
    (folder.length === 36 && UUID.test(folder));
  return isNode ? file.slice(slash + 1) : undefined;
}
