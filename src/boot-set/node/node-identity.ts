/**
 * Who a node is, as far as the name it asks for tells: a MAC, a UUID or a Raspberry Pi's serial in it, in any of the
 * spellings that loaders use. Text alone: knows no addresses that were learned, no tables of neighbours and no pins.
 */

/** From what names a machine best to what names it worst. */
export const NODE_KINDS = ['mac', 'uuid', 'serial', 'ip'] as const;
export type NodeKind = (typeof NODE_KINDS)[number];

/** `mac:aa:bb:cc:dd:ee:ff`, `uuid:…`, `serial:…` or `ip:…`, in small letters. */
export type NodeId = string;

/**
 * Six bytes with a separator between, after a hardware type (`01-`) or not; no part of a longer row of bytes. The
 * separator is the same throughout.
 */
const SPACED_MAC =
  /(?<![0-9a-z])(?<!(?<![g-z])[0-9a-f]{2}[-:])(?:[0-9a-f]{2}([-:]))?((?:[0-9a-f]{2}[-:]){5}[0-9a-f]{2})(?![-:]?[0-9a-f])/;
const SEVEN_BYTES = /^(?:01|06)[-:]/;
/** The same of InfiniBand: hardware type 0x20, and the eight bytes of the port's GUID. */
const INFINIBAND =
  /(?<![0-9a-z])(?<!(?<![g-z])[0-9a-f]{2}[-:])20([-:])((?:[0-9a-f]{2}\1){7}[0-9a-f]{2})(?![-:]?[0-9a-f])/;
/**
 * Twelve digits without separators are a MAC only where loaders put one: alone between slashes (and before an ending),
 * or after `mac-`, `cfg-` and the like. Elsewhere they are more likely part of a kernel's version, and a machine taken
 * for all machines would be worse than one not known.
 */
const BARE_MAC = /(?:^|\/|(?:^|\/)(?:mac|grub\.cfg|01)-)(?:01)?([0-9a-f]{12})(?=$|\/|\.[a-z0-9]{1,8}$)/;
const UUID = /(?<![0-9a-f])([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?![0-9a-f])/;
const SERIAL = /^([0-9a-f]{8})\//;

/** What boards have whose maker left the field as it was: many machines, one UUID. */
const SHARED_UUIDS: ReadonlySet<string> = new Set(
  [
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '03000200-0400-0500-0006-000700080009',
    '12345678-1234-5678-90ab-cddeefaabbcc',
  ].flatMap((uuid) => [uuid, inOtherOrder(uuid)]),
);

/** A UUID with the bytes of its first three fields in the other order: SMBIOS has them little-endian, RFC 9562 big-endian. */
export function inOtherOrder(uuid: string): string {
  return uuid.replace(
    /^(..)(..)(..)(..)-(..)(..)-(..)(..)/,
    (_, a: string, b: string, c: string, d: string, e: string, f: string, g: string, h: string) =>
      `${d}${c}${b}${a}-${f}${e}-${h}${g}`,
  );
}

/** Looks for the version digit of a UUID (RFC 9562 §4.2), which a UUID in the other byte order mostly lacks at that place. */
function hasVersion(uuid: string): boolean {
  return /^[1-8]$/.test(uuid[14]!);
}

/** The id of a machine whose firmware and loaders may spell its UUID in either order: one for both. */
function uuidId(uuid: string): NodeId | undefined {
  if (SHARED_UUIDS.has(uuid)) return undefined;
  const other = inOtherOrder(uuid);
  if (hasVersion(uuid) !== hasVersion(other)) return `uuid:${hasVersion(uuid) ? uuid : other}`;
  // Dell's, which have both: the form that dmidecode and PXELINUX show begins with 4c4c4544.
  return `uuid:${uuid > other ? uuid : other}`;
}

/**
 * @param digits twelve, or sixteen of an InfiniBand port.
 * @returns undefined for what is no machine's: groups (I/G bit set) and zeros.
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
  // A row of seven begins with a hardware type, or is no MAC.
  if (found[1] !== undefined && !SEVEN_BYTES.test(whole)) return undefined;
  const mac = found[2]!;
  const separator = mac[2]!;
  if ([5, 8, 11, 14].some((at) => mac[at] !== separator)) return undefined;
  return macFrom(mac.replace(/[-:]/g, ''));
}

/**
 * The machine that a name names: at most one id of each kind, the best first.
 *
 * @param path cleaned. @param file the part of it that is relative to a boot set, where it has one: a serial may be the
 *   first folder of either.
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

/** The address of a node in a preview that does not say where it is. */
export const NOWHERE = '0.0.0.0';

/** The name under which a node's pins of one address are kept, while the node speaks from another. */
export function sideOf(node: NodeId, address: string): NodeId {
  return `${node}@${address.toLowerCase()}`;
}

/** The node of such a name; any other name is the node's own. */
export function ownerOf(node: NodeId): NodeId {
  const at = node.indexOf('@');
  return at < 0 ? node : node.slice(0, at);
}

export function kindOf(node: NodeId): NodeKind {
  return node.slice(0, node.indexOf(':')) as NodeKind;
}

/** The MAC of six bytes, or of an InfiniBand port's eight, with `:` or `-` between, such as tables and leases hold. */
export function macNode(text: string): NodeId | undefined {
  return /^(?:[0-9a-f]{2}[-:]){5}(?:(?:[0-9a-f]{2}[-:]){2})?[0-9a-f]{2}$/i.test(text)
    ? macFrom(text.toLowerCase().replace(/[-:]/g, ''))
    : undefined;
}

/** The same in any spelling: with colons, dashes, dots or nothing between. */
export function anyMacNode(text: string): NodeId | undefined {
  const digits = text.toLowerCase().replace(/[-:.]/g, '');
  return /^[0-9a-f]{12}(?:[0-9a-f]{4})?$/.test(digits) ? macFrom(digits) : undefined;
}

/**
 * The id of a UUID in its usual form, the same in either order of its bytes.
 *
 * @returns undefined for what is none, and for those that many machines have.
 */
export function uuidNode(text: string): NodeId | undefined {
  const uuid = text.toLowerCase();
  return uuid.length === 36 && UUID.test(uuid) ? uuidId(uuid) : undefined;
}

export function serialNode(text: string): NodeId {
  return `serial:${text.toLowerCase()}`;
}

/** The part of a file name after a first folder that names a machine and nothing else; undefined: there is none. */
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
