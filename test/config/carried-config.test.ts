/**
 * Configs converted from those of tftpd-hpa and dnsmasq: their contents, the remarks about them, and that this server
 * accepts them.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type CarriedConfig, carriedYaml } from '../../src/config/carried-config.ts';
import { readConfig } from '../../src/config/config-file.ts';
import { readDnsmasqConf } from '../../src/config/dnsmasq-conf.ts';
import { readTftpdHpa } from '../../src/config/tftpd-hpa.ts';
import { folder, Reveille } from '../support/reveille.ts';

/** Settings as a server reads them. */
function taken(config: CarriedConfig): Record<string, unknown> {
  const file = join(folder(), 'reveille.yaml');
  writeFileSync(file, carriedYaml(config));
  return { ...readConfig(file).values };
}

const DEBIAN = `# /etc/default/tftpd-hpa

TFTP_USERNAME="tftp"
TFTP_DIRECTORY="/srv/tftp"
TFTP_ADDRESS=":69"
TFTP_OPTIONS="--secure"
`;

function tftpd(text: string, map = '', mapFile?: string): CarriedConfig {
  return readTftpdHpa(text, { file: 'f', mapFile, readMap: () => map });
}

describe('the config made from /etc/default/tftpd-hpa', () => {
  it('serves what Debian has by default', () => {
    const config = tftpd(DEBIAN);
    expect(taken(config)).toEqual({
      root: '/srv/tftp',
      listen: [
        { address: '0.0.0.0', port: 69 },
        { address: '::', port: 69 },
      ],
    });
    expect(config.remarks).toEqual([
      'f: tftpd sends only files that everyone can read; Reveille sends every file that its user can read',
    ]);
  });

  it('has the settings of the options, in every spelling', () => {
    const options =
      '-4 -csp --create --blocksize 1468 -R49152:49999 --map-file=/etc/m -r timeout --verbose -T 500000 --refuse=tsize';
    const text = DEBIAN.replace('--secure', options).replace(':69', '192.0.2.1:1069');
    const config = tftpd(text, 'r ^a$ b\nr c d\n');
    expect(taken(config)).toEqual({
      root: '/srv/tftp',
      listen: [{ address: '192.0.2.1', port: 1069 }],
      maxBlksize: [{ network: undefined, blksize: 1468 }],
      dataPorts: { from: 49_152, to: 49_999 },
      routes: [{ match: 'a', rewrite: 'b' }],
    });
    expect(config.remarks).toEqual([
      'f:6: -c: not carried over: uploads: Reveille only sends files',
      'f:6: -T: not carried over: Reveille determines the retransmission timeout by itself',
      'f:6: --refuse tsize: not carried over: Reveille grants every option that it knows',
      '/etc/m: rules do not distinguish names with and without a leading slash',
      '/etc/m:2: r c d: not carried over: it may match anywhere in a name',
    ]);
    expect(carriedYaml(config)).toContain('# - /etc/m:2: r c d: not carried over: it may match anywhere in a name\n');
  });

  it('names options as they are written, and the map file with the line that names it', () => {
    const text = DEBIAN.replace('--secure', '-s --retransmit 500000 --create -c -m /etc/m');
    const origins: unknown[] = [];
    const readMap = (file: string, origin: string | undefined): string => {
      origins.push([file, origin]);
      return 'r ^own/(.*)$ \\i/\\1\nr ^hex/ \\x/\nr ^a$ {client}\n';
    };
    const { remarks, routes } = readTftpdHpa(text, { file: 'f', readMap });
    expect(remarks.filter((remark) => remark.startsWith('f:6:'))).toEqual([
      'f:6: --retransmit: not carried over: Reveille determines the retransmission timeout by itself',
      'f:6: --create: not carried over: uploads: Reveille only sends files',
    ]);
    expect(routes).toEqual([{ match: 'own/{path*}', rewrite: '{client}/{path*}' }]);
    expect(remarks).toContain(
      '/etc/m:2: r ^hex/ \\x/: not carried over: \\x: the client address in hexadecimal digits',
    );
    expect(remarks).toContain('/etc/m:3: r ^a$ {client}: not carried over: a brace');
    readTftpdHpa(text, { file: 'f', mapFile: 'own', readMap });
    expect(origins).toEqual([
      ['/etc/m', 'f:6: -m'],
      ['own', undefined],
    ]);
  });

  it.each([
    ['[::1]:69', '', [{ address: '::1', port: 69 }]],
    ['192.0.2.1', '', [{ address: '192.0.2.1', port: 69 }]],
    [':70', '-6 ', [{ address: '::', port: 70 }]],
    [':70', '--ipv4 ', [{ address: '0.0.0.0', port: 70 }]],
  ])('listens at %s %s', (address, option, listen) => {
    const text = DEBIAN.replace(':69', address).replace('--secure', `${option}--secure`);
    expect(taken(tftpd(text))).toMatchObject({ listen });
  });

  it('takes absolute names where the root is not changed, and old files with OPTIONS', () => {
    const text = 'OPTIONS="-l /var/lib/tftpboot /srv/more -x"\nRUN_DAEMON=yes\n';
    const config = tftpd(text, 'r ^[^/] /var/lib/tftpboot/\\0\n', 'map');
    expect(taken(config)).toMatchObject({
      root: '/var/lib/tftpboot',
      routes: [{ match: 'var/lib/tftpboot/{path*}', rewrite: '{path*}' }],
    });
    expect(config.remarks).toContain('f:1: /srv/more: not carried over: Reveille has one root');
    expect(config.remarks).toContain('f:1: -x: not carried over: an option that tftpd(8) does not document');
  });

  it('is rejected without a folder', () => {
    expect(() => tftpd('TFTP_ADDRESS=":69"\n')).toThrow('f: expected TFTP_DIRECTORY="DIR", got none');
  });
});

const DNSMASQ = `# DHCP and TFTP
interface=eth1            # the racks
dhcp-range=192.0.2.100,192.0.2.199
enable-tftp
dhcp-leasefile=/var/lib/misc/racks.leases
tftp-root=/srv/tftp/
tftp-lowercase
tftp-max=400
tftp-mtu=1400
tftp-port-range=49152,49999
tftp-no-fail
listen-address=192.0.2.1,2001:db8::1,host
tftp-secure
tftp-unique-root=mac
tftp-single-port
tftp-no-blocksize
tftp-root=/srv/other,eth2
`;

describe('the config made from dnsmasq.conf', () => {
  it('has the settings of its TFTP options', () => {
    const config = readDnsmasqConf(DNSMASQ.replace('tftp-no-blocksize\n', ''), 'd');
    expect(taken(config)).toEqual({
      root: '/srv/tftp',
      leases: '/var/lib/misc/racks.leases',
      caseInsensitive: true,
      sessions: 400,
      dataPorts: { from: 49_152, to: 49_999 },
      listen: [
        { address: '192.0.2.1', port: 69 },
        { address: '2001:db8::1', port: 69 },
      ],
      maxBlksize: [{ network: undefined, blksize: 1368 }],
      routes: [{ match: 'srv/tftp/{path*}', rewrite: '{path*}' }],
    });
  });

  it('lists the options that were not converted', () => {
    const config = readDnsmasqConf(DNSMASQ, 'd');
    expect(taken(config)).toMatchObject({ maxBlksize: [{ network: undefined, blksize: 512 }] });
    expect(config.remarks).toEqual([
      'd:2: interface=eth1: not carried over: list the addresses of the interface under listen',
      'd:12: listen-address=host: not carried over: expected a numeric address',
      'd:13: tftp-secure: not carried over: Reveille sends every file that its user can read, whoever owns it',
      'd:14: tftp-unique-root=mac: not carried over: a separate root for each client (see {client}, its address, in rewrites of routes)',
      'd:15: tftp-single-port: not carried over: set singlePort, which needs the list clients',
      'd:16: tftp-no-blocksize: not carried over: Reveille still grants the option, with blocks of at most 512 bytes',
      'd:17: tftp-root=/srv/other,eth2: not carried over: a root for one interface only (see {interface} in rewrites of routes)',
      'd: remove enable-tftp from it: only one program can use the port',
    ]);
  });

  it.each([
    ['tftp-root=/srv\n', 'd: expected enable-tftp, got none'],
    ['enable-tftp\n#tftp-root=/srv\n', 'd: expected tftp-root=DIR for all interfaces, got none'],
  ])('is rejected for %j', (text, message) => {
    expect(() => readDnsmasqConf(text, 'd')).toThrow(message);
  });
});

describe('reveille init', () => {
  it('converts tftpd-hpa and its map file to a config, and says what was not converted', async () => {
    const top = folder();
    mkdirSync(join(top, 'root'));
    writeFileSync(join(top, 'tftpd-hpa'), DEBIAN.replace('/srv/tftp', join(top, 'root')));
    writeFileSync(join(top, 'map'), 'r ^old/ new/\nr \x1b[2J b\nr ^(x|y)\\.cfg$ bü/\\1\n');
    const args = ['init', 'made', '--from-tftpd-hpa', 'tftpd-hpa', '--map', 'map'];
    const made = await new Reveille(args, { cwd: top }).ended;
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toContain('map:2: r \\x1b[2J b: not carried over: ');
    expect(made.stdout).toMatch(/^Next: reveille validate --config made\/reveille\.yaml; /m);
    const config = join(top, 'made/reveille.yaml');
    // As it was written: operators look for it.
    const line = 'map:3: r ^(x|y)\\.cfg$ bü/\\1: not carried over: ';
    expect(made.stdout).toContain(line);
    expect(readFileSync(config, 'utf8')).toContain(`# - ${line}`);
    expect(readFileSync(config, 'utf8')).not.toContain('\x1b');
    const valid = await new Reveille(['validate', '--config', config]).ended;
    expect(valid).toMatchObject({ code: 0, stderr: '' });
    // A second run overwrites nothing.
    expect((await new Reveille(args, { cwd: top }).ended).code).toBe(2);
  });

  it('says which line names a map file that is not there', async () => {
    const top = folder();
    writeFileSync(join(top, 'f'), DEBIAN.replace('--secure', '--secure --map-file /nowhere/map'));
    const { code, stderr } = await new Reveille(['init', '--from-tftpd-hpa', 'f'], { cwd: top }).ended;
    expect([code, stderr]).toEqual([2, 'reveille: f:6: --map-file: expected a file, got "/nowhere/map" (ENOENT)\n']);
  });

  it.each([
    [['--map', 'm'], '--map: expected --from-tftpd-hpa as well'],
    [['--from-tftpd-hpa', 'a', '--from-dnsmasq', 'b'], 'init: expected --from-tftpd-hpa or --from-dnsmasq, got both'],
    [['--from-dnsmasq', '/nowhere'], '--from-dnsmasq: expected a file, got "/nowhere" (ENOENT)'],
  ])('rejects %j in one line', async (args, line) => {
    const top = folder();
    const ended = await new Reveille(['init', ...args], { cwd: top }).ended;
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: `reveille: ${line}\n` });
    expect(existsSync(join(top, 'reveille.yaml'))).toBe(false);
  });
});
