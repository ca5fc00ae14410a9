/**
 * The ports that transfers may use: the operator's range, or else the system's ephemeral ports
 * (net.ipv4.ip_local_port_range without ip_local_reserved_ports). Draws them at random; binds nothing. Where these
 * can't be read (a unit with ProcSubset=pid sees no /proc/sys), the system draws.
 */
import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** A range of ports, both ends included. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** Stands in for a system range that can't be read: only its size is used, not its ports. */
const USUAL: PortRange = { from: 32_768, to: 60_999 };
const DRAWS = 512;

/** Reads a value below net.ipv4; returns '' if it can't be read. */
type ReadSystem = (name: string) => string;

function readSystem(name: string): string {
  try {
    return readFileSync(`/proc/sys/net/ipv4/${name}`, 'latin1').trim();
  } catch {
    return '';
  }
}

function systemRange(read: ReadSystem): PortRange | undefined {
  const [from, to] = read('ip_local_port_range').split(/\s+/).map(Number);
  return from !== undefined && to !== undefined && from >= 1 && to >= from && to <= 65_535 ? { from, to } : undefined;
}

/** Parses `8080,9148-9150`, the kernel's format. */
function reservedPorts(read: ReadSystem): ReadonlySet<number> {
  const reserved = new Set<number>();
  for (const part of read('ip_local_reserved_ports').split(',')) {
    const match = /^([0-9]+)(?:-([0-9]+))?$/.exec(part);
    if (match === null) continue;
    const last = Number(match[2] ?? match[1]);
    for (let port = Number(match[1]); port <= last && port <= 65_535; port++) reserved.add(port);
  }
  return reserved;
}

export class PortChoice {
  readonly size: number;
  /** True if the system draws the ports, because its range is unknown here. */
  readonly isSystems: boolean;
  readonly #ports: Uint16Array;
  readonly #draws = new Uint32Array(DRAWS);
  #drawn = DRAWS;

  /** @param range undefined: the system's range. @param read replaced only by tests. */
  constructor(range: PortRange | undefined, read: ReadSystem = readSystem) {
    const known = range ?? systemRange(read);
    this.isSystems = known === undefined;
    const { from, to } = known ?? USUAL;
    // The operator knows which ports of the range are reserved.
    const reserved = range === undefined ? reservedPorts(read) : new Set<number>();
    const ports: number[] = [];
    for (let port = from; port <= to; port++) if (!reserved.has(port)) ports.push(port);
    this.#ports = Uint16Array.from(ports);
    this.size = ports.length;
  }

  /** Yields the ports in an unpredictable order, starting at random; ends after all of them. */
  *draw(): Generator<number> {
    // Independent draws come first: an attacker who learns one port learns nothing about the next.
    for (let draw = 0; draw < 16; draw++) yield this.#ports[this.#random() % this.size]!;
    const first = this.#random() % this.size;
    for (let index = 0; index < this.size; index++) yield this.#ports[(first + index) % this.size]!;
  }

  /** Returns 32 cryptographically random bits; the bias of a remainder below 65,536 is under 0.002 %. */
  #random(): number {
    if (this.#drawn === DRAWS) {
      randomFillSync(this.#draws);
      this.#drawn = 0;
    }
    return this.#draws[this.#drawn++]!;
  }
}
