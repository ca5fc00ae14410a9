/** Converts the TFTP options of a dnsmasq.conf to a config. Knows dnsmasq(8); DHCP and DNS are left to dnsmasq. */
import { isIP } from 'node:net';
import { formatAddress } from '../text/address-text.ts';
import type { CarriedConfig } from './carried-config.ts';
import { belowPrefix } from './map-file.ts';
import { UsageError } from './usage-error.ts';

/** Size of the IP, UDP and TFTP headers before a block; RFC 2348's blksize counts none of them. */
const HEADERS = 32;
/** Block size of RFC 1350, in bytes. */
const PLAIN_BLKSIZE = 512;

/** Options without a counterpart, with the reason. */
const WHY: Readonly<Record<string, string>> = {
  'tftp-unique-root': 'a separate root for each client (see {client}, its address, in rewrites of routes)',
  'tftp-secure': 'Reveille sends every file that its user can read, whoever owns it',
  'tftp-single-port': 'set singlePort, which needs the list clients',
  interface: 'list the addresses of the interface under listen',
  'except-interface': 'list the addresses of the other interfaces under listen',
  'conf-file': 'a further file, which may have more options',
  'conf-dir': 'further files, which may have more options',
};

interface Option {
  readonly key: string;
  readonly value: string;
  readonly line: number;
}

function optionsOf(text: string): Option[] {
  return text.split('\n').flatMap((one, index): Option[] => {
    // A comment starts a line or follows a blank; quotes enclose a whole value.
    const line = one.replace(/(^|\s)#.*$/, '').trim();
    const match = /^([a-z0-9-]+)\s*(?:=\s*(.*))?$/.exec(line);
    if (match === null) return [];
    return [{ key: match[1]!, value: (match[2] ?? '').replace(/^"(.*)"$/, '$1'), line: index + 1 }];
  });
}

function wholeNumber(value: string): number | undefined {
  return /^[0-9]{1,9}$/.test(value) ? Number(value) : undefined;
}

/** @param file name of the file in messages. @throws UsageError when the file does not enable TFTP or names no root. */
export function readDnsmasqConf(text: string, file: string): CarriedConfig {
  const options = optionsOf(text);
  const remarks: string[] = [];
  const remark = ({ key, value, line }: Option, why: string): void =>
    void remarks.push(`${file}:${line}: ${value === '' ? key : `${key}=${value}`}: not carried over: ${why}`);
  if (!options.some(({ key }) => key === 'enable-tftp'))
    throw new UsageError(`${file}: expected enable-tftp, got none`);
  const settings: Record<string, unknown> = {};
  const listen: string[] = [];
  let blksize = Number.POSITIVE_INFINITY;
  for (const option of options) {
    const { key, value } = option;
    const number = wholeNumber(value);
    const [first = '', second] = value.split(',');
    if (key === 'tftp-root' && second !== undefined)
      remark(option, 'a root for one interface only (see {interface} in rewrites of routes)');
    else if (key === 'tftp-root') settings['root'] = value;
    else if (key === 'enable-tftp' && value !== '') remark(option, 'list the addresses of the interface under listen');
    else if (key === 'dhcp-leasefile' && value !== '') settings['leases'] = value;
    else if (key === 'tftp-lowercase') settings['caseInsensitive'] = true;
    else if (key === 'tftp-max' && number !== undefined) settings['sessions'] = number;
    else if (key === 'tftp-mtu' && number !== undefined) blksize = Math.min(blksize, number - HEADERS);
    else if (key === 'tftp-no-blocksize') {
      blksize = Math.min(blksize, PLAIN_BLKSIZE);
      remark(option, `Reveille still grants the option, with blocks of at most ${PLAIN_BLKSIZE} bytes`);
    } else if (key === 'tftp-port-range' && second !== undefined) settings['dataPorts'] = `${first}-${second}`;
    else if (key === 'listen-address') {
      for (const address of value.split(',').map((one) => one.trim())) {
        if (isIP(address) === 0) remark({ ...option, value: address }, 'expected a numeric address');
        else listen.push(formatAddress({ address, port: 69 }));
      }
    } else if (WHY[key] !== undefined) remark(option, WHY[key]);
  }
  const { root } = settings;
  if (typeof root !== 'string') {
    throw new UsageError(`${file}: expected tftp-root=DIR for all interfaces, got none`);
  }
  if (listen.length > 0) settings['listen'] = listen;
  if (blksize >= 8 && blksize <= 65_464) settings['maxBlksize'] = blksize;
  remarks.push(`${file}: remove enable-tftp from it: only one program can use the port`);
  const prefix = root.replace(/\/+$/, '');
  return { from: [file], settings, routes: prefix === '' ? [] : [belowPrefix(prefix)], remarks };
}
