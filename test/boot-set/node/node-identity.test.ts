/** Machines that file names identify. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { behindNodeFolder, kindOf, macNode, nodesInPath, uuidNode } from '../../../src/boot-set/node/node-identity.ts';

const MAC = 'mac:52:54:00:12:34:56';
const GUID = 'mac:00:02:c9:03:00:0b:8c:a1';
const UUID = '65b6e97d-68ea-5a93-906f-433f867b7748';

describe('a name', () => {
  it.each([
    ['pxelinux.cfg/01-52-54-00-12-34-56', [MAC]],
    ['pxelinux.cfg/52-54-00-12-34-56', [MAC]],
    ['install/pxelinux.cfg/01-52-54-00-12-34-56.ipxe', [MAC]],
    ['grub/grub.cfg-52:54:00:12:34:56', [MAC]],
    ['grub/grub.cfg-01-52-54-00-12-34-56', [MAC]],
    ['grub/grub.cfg-525400123456', [MAC]],
    ['ipxe/MAC-525400123456.ipxe', [MAC]],
    ['ipxe/MAC-52-54-00-12-34-56.ipxe', [MAC]],
    ['ztp.cfg/52:54:00:12:34:56.cfg', [MAC]],
    ['525400123456/linux', [MAC]],
    ['01525400123456/linux', [MAC]],
    ['install/52-54-00-12-34-56/linux', [MAC]],
    ['PXELINUX.CFG/01-52-54-00-AB-CD-EF', ['mac:52:54:00:ab:cd:ef']],
    [`pxelinux.cfg/${UUID}`, [`uuid:${UUID}`]],
    [`grub/grub.cfg-${UUID.toUpperCase()}`, [`uuid:${UUID}`]],
    ['9ffefdef/start4.elf', ['serial:9ffefdef']],
    ['9FFEFDEF/config.txt', ['serial:9ffefdef']],
    ['dc-a6-32-01-02-03/start4.elf', ['mac:dc:a6:32:01:02:03']],
    [`boot/52-54-00-12-34-56/${UUID}`, [MAC, `uuid:${UUID}`]],
    // InfiniBand has hardware type 0x20 and uses the port's GUID.
    ['pxelinux.cfg/20-00-02-c9-03-00-0b-8c-a1', [GUID]],
    ['grub/grub.cfg-20:00:02:C9:03:00:0B:8C:A1', [GUID]],
    ['20-00-02-c9-03-00-0b-8c-a1/linux', [GUID]],
  ])('%s names its machine', (path, nodes) => {
    expect(nodesInPath(path)).toEqual(nodes);
  });

  it.each([
    ['pxelinux.0'],
    ['pxelinux.cfg/C0A80A05'],
    ['pxelinux.cfg/default'],
    ['grub/grub.cfg-C0A80A05'],
    ['boot/9ffefdef/start4.elf'],
    ['9ffefdef'],
    ['00000000/start.elf'],
    ['boot/vmlinuz-6.8.0-0123456789ab'],
    ['boot/linux-2024-01-02-03-04-05-06-07'],
    ['set/01-02-03-04-05-06-07-08'],
    ['pxelinux.cfg/20-00-00-00-00-00-00-00-00'],
    ['set/20-01-02-03-04-05-06-07-08-09'],
    ['pxelinux.cfg/78563412-3412-7856-90ab-cddeefaabbcc'],
    ['blobs/sha256/ab52540012345678901234567890123456789012345678901234567890123456'],
    // Multicast addresses, broadcast and zeros belong to no machine.
    ['pxelinux.cfg/01-01-00-5e-00-00-01'],
    ['pxelinux.cfg/01-ff-ff-ff-ff-ff-ff'],
    ['pxelinux.cfg/01-00-00-00-00-00-00'],
    // These UUIDs are defaults that manufacturers forgot to change, so they are not unique.
    ['pxelinux.cfg/03000200-0400-0500-0006-000700080009'],
    ['pxelinux.cfg/00000000-0000-0000-0000-000000000000'],
    ['52-54:00-12-34-56/x'],
  ])('%s names none', (path) => {
    expect(nodesInPath(path)).toEqual([]);
  });

  it.each([
    [UUID, '7de9b665-ea68-935a-906f-433f867b7748'],
    ['4c4c4544-0042-3510-8052-b4c04f4a3132', '44454c4c-4200-1035-8052-b4c04f4a3132'],
  ])('names one machine by its UUID in either order of bytes: %s', (uuid, other) => {
    expect(nodesInPath(`pxelinux.cfg/${other}`)).toEqual([`uuid:${uuid}`]);
    expect(uuidNode(other.toUpperCase())).toBe(uuidNode(uuid));
  });

  it('names one machine in either byte order, and never two, whatever the UUID', () => {
    const hex = fc.integer({ min: 0, max: 255 }).map((byte) => byte.toString(16).padStart(2, '0'));
    fc.assert(
      fc.property(fc.array(hex, { minLength: 16, maxLength: 16 }), (bytes) => {
        const write = (order: readonly number[]): string =>
          order
            .map((at) => bytes[at])
            .join('')
            .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
        const rest = [8, 9, 10, 11, 12, 13, 14, 15];
        const [one, other] = [write([0, 1, 2, 3, 4, 5, 6, 7, ...rest]), write([3, 2, 1, 0, 5, 4, 7, 6, ...rest])];
        expect(uuidNode(one)).toBe(uuidNode(other));
        expect([`uuid:${one}`, `uuid:${other}`]).toContain(uuidNode(one));
      }),
    );
  });

  it('may have a serial as the first folder behind a boot set', () => {
    expect(nodesInPath('pi/9ffefdef/start4.elf', '9ffefdef/start4.elf')).toEqual(['serial:9ffefdef']);
  });

  it('gives the same machine in every spelling of its MAC', () => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(fc.array(byte, { minLength: 6, maxLength: 6 }), fc.boolean(), (bytes, upper) => {
        bytes[0]! &= 0xfe;
        bytes[5]! |= 1;
        const hex = bytes.map((value) => value.toString(16).padStart(2, '0'));
        const id = `mac:${hex.join(':')}`;
        const paths = [
          `pxelinux.cfg/01-${hex.join('-')}`,
          `grub/grub.cfg-${hex.join(':')}`,
          `x/MAC-${hex.join('')}.ipxe`,
          `${hex.join('-')}/linux`,
          `01${hex.join('')}/linux`,
        ];
        const others = paths.filter((path) => nodesInPath(upper ? path.toUpperCase() : path)[0] !== id);
        expect(others).toEqual([]);
      }),
    );
  });

  it('is parsed quickly and without an exception, whatever it holds', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 480 }), fc.constantFrom('', '0-', 'aa:', '0123456789ab-'), (text, filler) => {
        const path = text + filler.repeat(100);
        for (const node of nodesInPath(path)) expect(['mac', 'uuid', 'serial']).toContain(kindOf(node));
      }),
    );
  });
});

describe('a first folder', () => {
  it.each([
    ['9ffefdef/start4.elf', 'start4.elf'],
    ['52-54-00-12-34-56/boot/linux', 'boot/linux'],
    ['01-52-54-00-12-34-56/linux', 'linux'],
    ['525400123456/linux', 'linux'],
    [`${UUID}/linux`, 'linux'],
    ['boot/linux', undefined],
    ['pxelinux.cfg/default', undefined],
    ['linux', undefined],
  ])('of %s', (file, rest) => {
    expect(behindNodeFolder(file)).toBe(rest);
  });
});

describe('a MAC in a table', () => {
  it.each([
    ['52:54:00:12:34:56', MAC],
    ['52-54-00-12-34-56', MAC],
    ['52:54:00:AB:CD:EF', 'mac:52:54:00:ab:cd:ef'],
    ['00:00:00:00:00:00', undefined],
    ['*', undefined],
    ['06:52:54:00:12:34:56', undefined],
  ])('%s', (text, node) => {
    expect(macNode(text)).toBe(node);
  });
});
