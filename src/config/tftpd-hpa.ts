/**
 * Converts Debian's /etc/default/tftpd-hpa, with the in.tftpd options in it, to a config. Knows the file and tftpd(8);
 * map-file.ts reads the map file.
 */
import { formatAddress } from '../text/address-text.ts';
import type { CarriedConfig } from './carried-config.ts';
import { type MapRules, readMapFile } from './map-file.ts';
import { UsageError } from './usage-error.ts';

export interface TftpdOptions {
  /** Name of the file in messages. */
  readonly file: string;
  /** Map file to use instead of the one in the options. */
  readonly mapFile?: string | undefined;
  /** Reads a map file. @param origin where the options name it; undefined for `mapFile`. @throws UsageError when it can't be read. */
  readonly readMap: (file: string, origin: string | undefined) => string;
}

/** Option letters of in.tftpd; `:` follows those that take a value. */
const LETTERS = 'lL46a:csm:pP:u:U:t:T:vr:B:R:V';
const LONG: Readonly<Record<string, string>> = {
  listen: 'l',
  foreground: 'L',
  ipv4: '4',
  ipv6: '6',
  address: 'a',
  create: 'c',
  secure: 's',
  'map-file': 'm',
  permissive: 'p',
  pidfile: 'P',
  user: 'u',
  umask: 'U',
  timeout: 't',
  retransmit: 'T',
  verbose: 'v',
  verbosity: 'v:',
  refuse: 'r',
  blocksize: 'B',
  'port-range': 'R',
  version: 'V',
};
/** Options without a counterpart, with the reason. */
const WHY: Readonly<Record<string, string>> = {
  c: 'uploads: Reveille only sends files',
  T: 'Reveille determines the retransmission timeout by itself',
  u: 'the systemd unit sets the user (deploy/reveille.service)',
};
const REFUSED_ANYWAY = new Set(['timeout', 'utimeout']);

/** Reads `KEY=value` lines as a shell does, without expansions. */
function assignments(text: string): Map<string, { readonly value: string; readonly line: number }> {
  const found = new Map<string, { value: string; line: number }>();
  text.split('\n').forEach((line, index) => {
    const match = /^\s*(?:export\s+)?([A-Z_]+)=(?:"([^"]*)"|'([^']*)'|([^\s#]*))/.exec(line);
    if (match !== null) found.set(match[1]!, { value: match[2] ?? match[3] ?? match[4] ?? '', line: index + 1 });
  });
  return found;
}

interface Given {
  readonly letter: string;
  /** As it is written, without its value: `-T`, `--retransmit`. */
  readonly said: string;
  readonly value: string;
}

/** Splits a command line into options, other words and unknown options. */
function optionsOf(words: readonly string[]): {
  readonly given: Given[];
  readonly rest: string[];
  readonly unknown: string[];
} {
  const given: Given[] = [];
  const rest: string[] = [];
  const unknown: string[] = [];
  const waiting = [...words];
  const takesValue = (letter: string): boolean => LETTERS.includes(`${letter}:`);
  for (let word = waiting.shift(); word !== undefined; word = waiting.shift()) {
    if (word.startsWith('--')) {
      const [name = '', value] = word.slice(2).split(/=(.*)/s);
      const [letter, withValue] = LONG[name] ?? '';
      const said = `--${name}`;
      if (letter === undefined) unknown.push(word);
      else if (takesValue(letter) || withValue !== undefined)
        given.push({ letter, said, value: value ?? waiting.shift() ?? '' });
      else given.push({ letter, said, value: '' });
    } else if (word.startsWith('-') && word.length > 1) {
      for (let at = 1; at < word.length; at++) {
        const letter = word[at]!;
        const said = `-${letter}`;
        if (letter === ':' || !LETTERS.includes(letter)) unknown.push(said);
        else if (takesValue(letter)) {
          given.push({ letter, said, value: at + 1 < word.length ? word.slice(at + 1) : (waiting.shift() ?? '') });
          break;
        } else given.push({ letter, said, value: '' });
      }
    } else rest.push(word);
  }
  return { given, rest, unknown };
}

/**
 * Reads `:69`, `192.0.2.1`, `[::1]:69` or `192.0.2.1:69`.
 *
 * @returns undefined for what a config does not accept, such as a host name.
 */
function listenOf(address: string, families: string): string[] | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.%a-z]+)\]|([0-9.]*))(?::([0-9]+))?$/.exec(address);
  if (match === null) return undefined;
  const [, six, four = '', port = '69'] = match;
  const given = six ?? four;
  const addresses =
    given === '' ? [...(families === '6' ? [] : ['0.0.0.0']), ...(families === '4' ? [] : ['::'])] : [given];
  return addresses.map((one) => formatAddress({ address: one, port: Number(port) }));
}

/** @param text contents of the file. @throws UsageError when it names no folder. */
export function readTftpdHpa(text: string, { file, mapFile, readMap }: TftpdOptions): CarriedConfig {
  const said = assignments(text);
  const remarks: string[] = [];
  const key = said.has('TFTP_OPTIONS') || said.has('TFTP_DIRECTORY') ? 'TFTP_OPTIONS' : 'OPTIONS';
  const { value = '', line = 1 } = said.get(key) ?? {};
  const remark = (option: string, why: string): void => {
    const told = `${file}:${line}: ${option}: not carried over: ${why}`;
    if (!remarks.includes(told)) remarks.push(told);
  };
  const { given, rest, unknown } = optionsOf(value.split(/\s+/).filter((word) => word !== ''));
  const last = (letter: string): string | undefined => given.findLast((one) => one.letter === letter)?.value;
  // Messages use the spelling that came first: `-T` or `--retransmit`.
  const firstOf = (letter: string): string => given.find((one) => one.letter === letter)!.said;
  const folders = [...(said.get('TFTP_DIRECTORY')?.value.split(/\s+/) ?? []), ...rest].filter((word) => word !== '');
  const [root] = folders;
  if (root === undefined) throw new UsageError(`${file}: expected TFTP_DIRECTORY="DIR", got none`);

  for (const word of unknown) remark(word, 'an option that tftpd(8) does not document');
  for (const more of folders.slice(1)) remark(more, 'Reveille has one root');
  for (const { letter, value: name } of given) {
    if (letter === 'r' && !REFUSED_ANYWAY.has(name))
      remark(`--refuse ${name}`, 'Reveille grants every option that it knows');
    else if (WHY[letter] !== undefined) remark(firstOf(letter), WHY[letter]);
  }
  if (last('p') === undefined) {
    remarks.push(
      `${file}: tftpd sends only files that everyone can read; Reveille sends every file that its user can read`,
    );
  }

  const address = last('a') ?? said.get('TFTP_ADDRESS')?.value ?? ':69';
  const families = last('4') === undefined ? (last('6') === undefined ? '' : '6') : '4';
  const listen = listenOf(address, families);
  if (listen === undefined) remark(address, 'expected a numeric address and port');
  const blocksize = /^[0-9]+$/.exec(last('B') ?? '')?.[0];
  const ports = /^([0-9]+):([0-9]+)$/.exec(last('R') ?? '');
  // Without -s names are absolute, and may begin with the folder.
  const prefix = last('s') === undefined ? root.replace(/\/+$/, '') : undefined;
  const map = mapFile ?? last('m');
  const mapOrigin = mapFile === undefined && map !== undefined ? `${file}:${line}: ${firstOf('m')}` : undefined;
  const rules: MapRules = readMapFile(map === undefined ? '' : readMap(map, mapOrigin), { file: map ?? file, prefix });
  if (rules.routes.length > 0 && map !== undefined) {
    remarks.push(`${map}: rules do not distinguish names with and without a leading slash`);
  }
  return {
    from: [file, ...(map === undefined ? [] : [map])],
    settings: {
      root,
      ...(listen === undefined ? {} : { listen }),
      ...(blocksize === undefined ? {} : { maxBlksize: Number(blocksize) }),
      ...(ports === null ? {} : { dataPorts: `${ports[1]}-${ports[2]}` }),
    },
    routes: rules.routes,
    remarks: [...remarks, ...rules.remarks],
  };
}
