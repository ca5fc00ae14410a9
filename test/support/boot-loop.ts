/**
 * Nodes that boot again and again from a channel that moves, each in its own way. The loop detects boots that got files
 * of two versions. Nodes use addresses in 127.0.0.0/8 and Reveille's own client code.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Driver } from '../../src/engine/driver.ts';
import { allocateCounters, counterRow } from '../../src/engine/counters.ts';
import { createEngine } from '../../src/engine/create.ts';
import type { Address, Engine } from '../../src/engine/types.ts';
import { encodeReadRequest, MAX_CONTROL, wishedOptions } from '../../src/protocol/encode.ts';
import type { Wish } from '../../src/protocol/negotiate.ts';
import { ERROR_CODE } from '../../src/protocol/opcode.ts';
import type { Manners, Stop } from '../../src/session/manners.ts';
import { Receiver } from '../../src/session/receiver.ts';
import { type GotFile, judgeBoot, mayHaveLapsed, storyOf } from './boot-judge.ts';
import { CHANNEL, versionIn } from './moving-store.ts';
import { Random } from './random.ts';

/** Short resend intervals, so that a restart of the server costs little time. */
const SCHEDULE = { firstMs: 250, factor: 1.5, addMs: 0, ceilingMs: 1000, sends: 6 };
const MANNERS: Manners = {
  request: SCHEDULE,
  data: SCHEDULE,
  repeatsAck: true,
  unexpected: 'once',
  needsOack: false,
};
const WISH: Wish = { blksize: 1408, windowsize: 4, tsize: true };
/** Number of tries for a file before the node counts as failed. */
const TRIES = 40;
const TRY_AGAIN_MS = 200;
const MAX_EXAMPLES = 10;

/** Ways to boot, assigned to nodes in turn. */
export const WAYS = [
  'bios',
  'uefi',
  'explicit',
  'rendered',
  'slow',
  'new-port',
  'reset',
  'shared-address',
  'moving-address',
] as const;
export type Way = (typeof WAYS)[number];

export interface BootLoopOptions {
  readonly nodes: number;
  readonly seed: number;
  /** Pause between kernel and initrd of slow nodes, ms. */
  readonly pauseMs: number;
  /** Longest pause between two boots, ms. */
  readonly restMs: number;
  /** Current address of the server. */
  readonly server: () => Address;
  /** Number of the version that a config rendered now would name. */
  readonly current: () => number;
  /** The server's `pinIdle`, ms. */
  readonly pinIdleMs: number;
}

export interface BootCounts {
  /** Completed boots that the server had to keep whole. */
  boots: number;
  /** Boots that were deliberately cut short. */
  cut: number;
  files: number;
  retries: number;
  mixed: number;
  /** Boots that changed their version, or lost it, where the node had been silent for longer than `pinIdle`. */
  silent: number;
  missing: number;
  wrong: number;
  failed: number;
  /** Explicit boots whose version was collected between its choice and the first request. */
  stale: number;
}

const NONE: BootCounts = {
  boots: 0,
  cut: 0,
  files: 0,
  retries: 0,
  mixed: 0,
  silent: 0,
  missing: 0,
  wrong: 0,
  failed: 0,
  stale: 0,
};

/** An answer to a request, with the times of the attempt that was answered. */
interface Answer {
  /** Undefined if the server has no such file. */
  readonly bytes: Buffer | undefined;
  readonly askedMs: number;
  readonly doneMs: number;
}

class NodeFailure extends Error {}
class PowerCut extends Error {}

export class BootLoop {
  readonly counts: Record<Way, BootCounts>;
  readonly examples: string[] = [];
  readonly #options: BootLoopOptions;
  readonly #engine: Engine = createEngine('linux');
  readonly #driver: Driver;
  #turn = 0;
  #isOver: () => boolean = () => false;

  constructor(options: BootLoopOptions) {
    this.#options = options;
    this.#driver = new Driver(this.#engine, counterRow(allocateCounters(1), 0));
    this.counts = Object.fromEntries(WAYS.map((way) => [way, { ...NONE }])) as Record<Way, BootCounts>;
  }

  get total(): BootCounts {
    const sum = { ...NONE };
    for (const counts of Object.values(this.counts)) {
      for (const key of Object.keys(sum) as (keyof BootCounts)[]) sum[key] += counts[key];
    }
    return sum;
  }

  /**
   * Runs the nodes for `forMs`, and longer until `isEnough` returns true. Resolves when every node has ended its last
   * boot.
   */
  async run(forMs: number, isEnough: () => boolean = () => true): Promise<void> {
    const { nodes, seed } = this.#options;
    const endMs = performance.now() + forMs;
    this.#isOver = () => performance.now() >= endMs && isEnough();
    try {
      await Promise.all(
        Array.from({ length: nodes }, (_, index) => this.#live(index + 1, new Random(seed * 100_003 + index))),
      );
    } finally {
      await this.#engine.close();
    }
  }

  async #live(number: number, random: Random): Promise<void> {
    const way = WAYS[number % WAYS.length]!;
    const counts = this.counts[way];
    await delay(random.unit() * this.#options.restMs);
    while (!this.#isOver()) {
      const files: GotFile[] = [];
      const node = new SimulatedNode(this, number, way, random, files);
      let isComplete = false;
      try {
        await node.boot();
        isComplete = true;
      } catch (error) {
        if (error instanceof PowerCut) counts.cut++;
        else if (error instanceof NodeFailure) this.#tell(counts, 'failed', `${way} node ${number}: ${error.message}`);
        else throw error;
      }
      const judgement = judgeBoot(files, this.#options.pinIdleMs);
      if (judgement === 'mixed') this.#tell(counts, 'mixed', `${way} node ${number}: ${storyOf(files)}`);
      else if (judgement === 'silent') counts.silent++;
      else if (isComplete) counts.boots++;
      await delay(random.unit() * this.#options.restMs);
    }
  }

  #tell(counts: BootCounts, what: 'mixed' | 'missing' | 'wrong' | 'failed', example: string): void {
    counts[what]++;
    if (this.examples.length < MAX_EXAMPLES) this.examples.push(`${what}: ${example}`);
  }

  get settings(): BootLoopOptions {
    return this.#options;
  }

  /** Requests a file until an answer arrives. */
  async fetch(way: Way, local: string, name: string, stop?: Stop): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const askedMs = performance.now();
      const parts: Buffer[] = [];
      const receiver = new Receiver({
        wish: WISH,
        seed: ++this.#turn,
        patienceMs: 0,
        lingerMs: 0,
        manners: MANNERS,
        stop,
      });
      const opening = new Uint8Array(MAX_CONTROL);
      const length = encodeReadRequest(opening, name, 'octet', wishedOptions(WISH));
      const report = await this.#driver.run({
        session: receiver,
        link: { local, peer: this.#options.server(), peerPort: 'learn' },
        opening: opening.subarray(0, length),
        keep: (bytes, start, end) => void parts.push(Buffer.from(bytes.subarray(start, end))),
        supervision: { onProgress: () => {}, attend: () => {} },
      });
      const doneMs = performance.now();
      switch (report.outcome) {
        case 'complete':
        case 'completeUnconfirmed':
        case 'probe':
          return { bytes: Buffer.concat(parts), askedMs, doneMs };
        case 'refused':
          if (report.errorCode === ERROR_CODE.FILE_NOT_FOUND) return { bytes: undefined, askedMs, doneMs };
          break;
        default:
          break;
      }
      if (attempt === TRIES) throw new NodeFailure(`${name}: ${report.outcome} ${report.errorText}`);
      this.counts[way].retries++;
      await delay(TRY_AGAIN_MS);
    }
  }

  /** Fetches a file that must exist. @param name file name within the boot set. @returns its version. */
  async file(node: SimulatedNode, prefix: string, name: string): Promise<number> {
    const counts = this.counts[node.way];
    const { bytes, askedMs, doneMs } = await this.fetch(node.way, node.address, `${prefix}/${name}`);
    const { files } = node;
    if (bytes === undefined) {
      // The version of a node that is silent for longer than `pinIdle` may be collected.
      if (mayHaveLapsed(files.at(-1), doneMs, this.#options.pinIdleMs)) counts.silent++;
      else this.#tell(counts, 'missing', `${node.way} node ${node.number}: ${prefix}/${name} after ${storyOf(files)}`);
      throw new PowerCut();
    }
    const version = versionIn(name, bytes);
    if (version === undefined) {
      this.#tell(counts, 'wrong', `${node.way} node ${node.number}: ${name}, ${bytes.length} bytes`);
      throw new PowerCut();
    }
    counts.files++;
    files.push({ name, version, askedMs, doneMs });
    return version;
  }
}

class SimulatedNode {
  readonly number: number;
  readonly way: Way;
  /** Files of this boot so far. */
  readonly files: GotFile[];
  address: string;
  readonly #loop: BootLoop;
  readonly #random: Random;
  readonly #mac: string;

  constructor(loop: BootLoop, number: number, way: Way, random: Random, files: GotFile[]) {
    this.#loop = loop;
    this.number = number;
    this.way = way;
    this.files = files;
    this.#random = random;
    this.address = `127.${1 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
    // Three machines take turns at one address.
    const machine = way === 'shared-address' ? number * 4 + random.between(0, 2) : number * 4 + 3;
    this.#mac = `52-54-00-${[16, 8, 0].map((shift) => ((machine >> shift) & 255).toString(16).padStart(2, '0')).join('-')}`;
  }

  async boot(): Promise<void> {
    switch (this.way) {
      case 'bios':
      case 'slow':
        return this.#bios(CHANNEL);
      case 'uefi':
      case 'new-port':
      case 'reset':
        return this.#uefi(CHANNEL);
      case 'shared-address':
        return this.#random.chance(0.5) ? this.#bios(CHANNEL) : this.#uefi(CHANNEL);
      case 'explicit':
        return this.#explicit();
      case 'rendered':
        return this.#rendered();
      case 'moving-address':
        return this.#moving();
    }
  }

  /** Boot sequence: the network card's ROM, PXELINUX, its search for a config, kernel, initrd. */
  async #bios(prefix: string): Promise<void> {
    await this.#probe(prefix, 'pxelinux.0');
    await this.#get(prefix, 'pxelinux.0');
    await this.#get(prefix, 'ldlinux.c32');
    await this.#miss(prefix, `pxelinux.cfg/01-${this.#mac}`);
    await this.#miss(prefix, 'pxelinux.cfg/C0A80A05');
    await this.#get(prefix, 'pxelinux.cfg/default');
    await this.#kernel(prefix);
  }

  /** Boot sequence: firmware that probes, shim with its misses, GRUB that reads its config twice, kernel, initrd. */
  async #uefi(prefix: string): Promise<void> {
    await this.#probe(prefix, 'shimx64.efi');
    await this.#get(prefix, 'shimx64.efi');
    await this.#miss(prefix, 'revocations_sku.efi');
    await this.#get(prefix, 'grubx64.efi');
    await this.#miss(prefix, `grub/grub.cfg-01-${this.#mac}`);
    await this.#open(prefix, 'grub/grub.cfg');
    await this.#get(prefix, 'grub/x86_64-efi/command.lst');
    await this.#get(prefix, 'grub/grub.cfg');
    await this.#kernel(prefix);
  }

  /** A recently rendered config names the version for everything, including the loader. */
  async #explicit(): Promise<void> {
    const version = this.#loop.settings.current();
    const prefix = `${CHANNEL}-${version}`;
    const first = this.#random.chance(0.5) ? 'pxelinux.0' : 'shimx64.efi';
    const { bytes, askedMs, doneMs } = await this.#loop.fetch(this.way, this.address, `${prefix}/${first}`);
    if (bytes === undefined) {
      this.#loop.counts.explicit.stale++;
      throw new PowerCut();
    }
    this.files.push({ name: first, version, askedMs, doneMs });
    await (first === 'pxelinux.0' ? this.#bios(prefix) : this.#uefi(prefix));
  }

  /** Loader and config come by the channel's name; the config names the version for the rest. */
  async #rendered(): Promise<void> {
    await this.#get(CHANNEL, 'pxelinux.0');
    const version = await this.#get(CHANNEL, 'pxelinux.cfg/default');
    await this.#kernel(`${CHANNEL}-${version}`);
  }

  /** The address changes in the middle of the boot, as where firmware and loader each get their own lease by DHCP. */
  async #moving(): Promise<void> {
    await this.#get(CHANNEL, 'pxelinux.0');
    await this.#miss(CHANNEL, `pxelinux.cfg/01-${this.#mac}`);
    this.address = this.address.replace('127.', '127.1');
    await this.#miss(CHANNEL, `pxelinux.cfg/01-${this.#mac}`);
    await this.#get(CHANNEL, 'pxelinux.cfg/default');
    await this.#kernel(CHANNEL);
  }

  async #kernel(prefix: string): Promise<void> {
    // Simulates the wait at a boot menu.
    await delay(this.#random.unit() * 100);
    if (this.way === 'reset' && this.#random.chance(0.5)) {
      // The power is cut during the kernel download; the node boots again at once.
      await this.#loop.fetch(this.way, this.address, `${prefix}/linux`, { afterBlocks: 4, code: 0 });
      throw new PowerCut();
    }
    await this.#get(prefix, 'linux');
    if (this.way === 'slow') await delay(this.#loop.settings.pauseMs);
    await this.#get(prefix, 'initrd.img');
  }

  async #get(prefix: string, name: string): Promise<number> {
    this.#mayDie();
    if (this.way === 'new-port' && this.#random.chance(0.5)) {
      // The node has lost the first replies, and repeats its request from another port.
      await this.#loop.fetch(this.way, this.address, `${prefix}/${name}`, { afterBlocks: 1, code: 0 });
    }
    return this.#loop.file(this, prefix, name);
  }

  /** Requests the size, aborts, and leaves the download for later. */
  async #probe(prefix: string, name: string): Promise<void> {
    const stop: Stop = { afterBlocks: 0, code: 8, message: 'User aborted the transfer' };
    await this.#loop.fetch(this.way, this.address, `${prefix}/${name}`, stop);
  }

  /** Opens a file and closes it after its first block. */
  async #open(prefix: string, name: string): Promise<void> {
    await this.#loop.fetch(this.way, this.address, `${prefix}/${name}`, { afterBlocks: 1, code: 0, message: 'closed' });
  }

  /** Requests a name that no version has. */
  async #miss(prefix: string, name: string): Promise<void> {
    this.#mayDie();
    if ((await this.#loop.fetch(this.way, this.address, `${prefix}/${name}`)).bytes !== undefined) {
      throw new NodeFailure(`expected no ${name}`);
    }
  }

  /** A machine that shares an address may vanish at any time; then another machine uses the address. */
  #mayDie(): void {
    if (this.way === 'shared-address' && this.#random.chance(0.05)) throw new PowerCut();
  }
}
