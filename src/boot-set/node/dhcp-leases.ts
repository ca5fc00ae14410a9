/**
 * Which machine has which address, by the leases of a DHCP server: dnsmasq's file, or the CSV that Kea's memfile keeps.
 * Reads text; knows no pins, and trusts nothing that it can't make out.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { readFile, stat } from 'node:fs/promises';
import { macNode, type NodeId } from './node-identity.ts';
import type { AddressTable } from './address-tables.ts';

/** Some 200,000 leases. More is no lease file, or one that its server should compact. */
const MAX_LEASES_BYTES = 16 * 1024 ** 2;
/** File systems may count time in steps of two seconds: a younger file may yet change without its time doing so. */
const FRESH_MS = 2100;
/** Lines read without a pause, so that requests do not wait for all of them. */
const LINES_AT_ONCE = 1000;

type Leases = Map<string, NodeId>;

/** `EXPIRY MAC ADDRESS NAME CLIENT-ID`, EXPIRY in seconds since the epoch or 0 for never. */
function readDnsmasqLine(line: string, nowS: number, into: Leases): void {
  const [expiry, hardware, address] = line.split(' ');
  if (address === undefined || !/^[0-9]+$/.test(expiry!)) return;
  // An InfiniBand address (type 20) has 20 bytes; the last eight are the port's GUID.
  const node = macNode(hardware!.replace(/^0[16]-/, '').replace(/^20-(?:..:){12}/, ''));
  if (node === undefined) return;
  if (expiry === '0' || Number(expiry) > nowS) into.set(address, node);
  else into.delete(address);
}

/** Reads the lines of a CSV whose columns the header names; a later line about an address replaces an earlier one. */
function keaReader(header: string): (line: string, nowS: number, into: Leases) => void {
  const columns = header.split(',');
  const at = { address: columns.indexOf('address'), mac: columns.indexOf('hwaddr') };
  const expire = columns.indexOf('expire');
  const state = columns.indexOf('state');
  return (line, nowS, into) => {
    const cells = line.split(',');
    const address = cells[at.address];
    if (address === undefined || address === '') return;
    const node = macNode(cells[at.mac] ?? '');
    const isOver = Number(cells[expire]) <= nowS || (state >= 0 && cells[state] !== '0');
    if (node === undefined || isOver) into.delete(address);
    else into.set(address, node);
  };
}

/** Makes out which of the two it is by its first line. @param nowS seconds since the epoch. */
export async function parseLeases(text: string, nowS: number): Promise<ReadonlyMap<string, NodeId>> {
  const leases: Leases = new Map();
  const lines = text.split('\n');
  const isKea = lines[0]!.startsWith('address,');
  const read = isKea ? keaReader(lines[0]!.trim()) : readDnsmasqLine;
  for (const [index, line] of lines.entries()) {
    if (index > 0 || !isKea) read(line.trim(), nowS, leases);
    // oxlint-disable-next-line no-await-in-loop -- the pauses are the point.
    if (index % LINES_AT_ONCE === LINES_AT_ONCE - 1) await turn();
  }
  return leases;
}

/** A lease file, looked at when it is asked for and read when it has changed. */
export class DhcpLeases implements AddressTable {
  readonly #path: string;
  readonly #now: () => number;
  #known: ReadonlyMap<string, NodeId> = new Map();
  #version = '';

  /** @param now milliseconds since the epoch. */
  constructor(path: string, now: () => number = Date.now) {
    this.#path = path;
    this.#now = now;
  }

  async read(): Promise<ReadonlyMap<string, NodeId>> {
    const { mtimeMs, size, ino } = await stat(this.#path);
    const version = `${ino}:${size}:${mtimeMs}`;
    if (version === this.#version) return this.#known;
    const age = this.#now() - mtimeMs;
    const isFresh = age >= 0 && age < FRESH_MS;
    if (size > MAX_LEASES_BYTES) throw new Error(`expected at most ${MAX_LEASES_BYTES} bytes, got ${size}`);
    this.#known = await parseLeases(await readFile(this.#path, 'utf8'), this.#now() / 1000);
    this.#version = isFresh ? '' : version;
    return this.#known;
  }
}
