/**
 * Reads which machine has which address from the leases of a DHCP server: dnsmasq's lease file, or the CSV of Kea's
 * memfile backend. Skips whatever it can't parse. Knows no pins.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { readFile, stat } from 'node:fs/promises';
import { macNode, type NodeId } from './node-identity.ts';
import type { AddressTable } from './address-tables.ts';

/**
 * About 200,000 leases. A larger file is not a lease file, or its server should compact it.
 * @limit Size of a lease file. Shows: a warning.
 */
const MAX_LEASES_BYTES = 16 * 1024 ** 2;
/**
 * Some file systems count time in steps of two seconds: a file younger than this may change while its time stays the
 * same.
 */
const FRESH_MS = 2100;
/** Lines parsed before yielding to the event loop, so that requests need not wait for the whole file. */
const LINES_AT_ONCE = 1000;

type Leases = Map<string, NodeId>;

/** Reads `EXPIRY MAC ADDRESS NAME CLIENT-ID`; EXPIRY is in seconds since the epoch, 0 means never. */
function readDnsmasqLine(line: string, nowS: number, into: Leases): void {
  const [expiry, hardware, address] = line.split(' ');
  if (address === undefined || !/^[0-9]+$/.test(expiry!)) return;
  // An InfiniBand address (type 20) has 20 bytes; the last eight are the GUID of the port.
  const node = macNode(hardware!.replace(/^0[16]-/, '').replace(/^20-(?:..:){12}/, ''));
  if (node === undefined) return;
  if (expiry === '0' || Number(expiry) > nowS) into.set(address, node);
  else into.delete(address);
}

/**
 * Returns a reader for the lines of a CSV whose header names the columns. A later line for an address replaces an
 * earlier one.
 */
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

/** Tells the two formats apart by the first line. @param nowS seconds since the epoch. */
export async function parseLeases(text: string, nowS: number): Promise<ReadonlyMap<string, NodeId>> {
  const leases: Leases = new Map();
  const lines = text.split('\n');
  const isKea = lines[0]!.startsWith('address,');
  const read = isKea ? keaReader(lines[0]!.trim()) : readDnsmasqLine;
  for (const [index, line] of lines.entries()) {
    if (index > 0 || !isKea) read(line.trim(), nowS, leases);
    // oxlint-disable-next-line no-await-in-loop -- the pauses are intended.
    if (index % LINES_AT_ONCE === LINES_AT_ONCE - 1) await turn();
  }
  return leases;
}

/** A lease file. Each read() checks the file and parses it only if it has changed. */
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
