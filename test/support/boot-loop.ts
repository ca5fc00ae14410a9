/**
 * Nodes that boot again and again from a channel that moves, each in its own way. The loop detects boots that got files
 * of two versions. Nodes use addresses in 127.0.0.0/8. They load over TFTP; every other node fetches kernel and initrd over
 * HTTP, as racks do.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Address } from '../../src/engine/types.ts';
import type { Stop } from '../../src/session/manners.ts';
import { type GotFile, judgeBoot, mayHaveLapsed, storyOf } from './boot-judge.ts';
import { BootRequests, type HttpWay, type Reply } from './boot-requests.ts';
import { CHANNEL, versionIn } from './moving-store.ts';
import { Random } from './random.ts';

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
  /** The server's address for HTTP. */
  readonly http: Address;
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
  /** Files among them that came over HTTP. */
  overHttp: number;
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
  overHttp: 0,
  retries: 0,
  mixed: 0,
  silent: 0,
  missing: 0,
  wrong: 0,
  failed: 0,
  stale: 0,
};

/** An answer to a request, with the times of the attempt that was answered. */
interface Answer extends Reply {
  readonly askedMs: number;
  readonly doneMs: number;
}

class NodeFailure extends Error {}
class PowerCut extends Error {}

export class BootLoop {
  readonly counts: Record<Way, BootCounts>;
  readonly examples: string[] = [];
  readonly #options: BootLoopOptions;
  readonly #requests = new BootRequests();
  #isOver: () => boolean = () => false;

  constructor(options: BootLoopOptions) {
    this.#options = options;
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
      await this.#requests.close();
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

  /** Requests a file over TFTP until an answer arrives. */
  fetch(way: Way, local: string, name: string, stop?: Stop): Promise<Answer> {
    return this.#persist(way, name, () => this.#requests.overTftp(this.#options.server(), local, name, stop));
  }

  /** Requests a file over HTTP until an answer arrives. */
  fetchOverHttp(way: Way, local: string, name: string, how: HttpWay): Promise<Answer> {
    return this.#persist(way, name, () => this.#requests.overHttp(this.#options.http, local, name, how));
  }

  async #persist(way: Way, name: string, ask: () => Promise<Reply | string>): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const askedMs = performance.now();
      // oxlint-disable-next-line no-await-in-loop -- one attempt after the other.
      const reply = await ask();
      if (typeof reply !== 'string') return { ...reply, askedMs, doneMs: performance.now() };
      if (attempt === TRIES) throw new NodeFailure(`${name}: ${reply}`);
      this.counts[way].retries++;
      // oxlint-disable-next-line no-await-in-loop -- the next attempt comes later.
      await delay(TRY_AGAIN_MS);
    }
  }

  /** Fetches a file that must exist. @param name file name within the boot set. @returns its version. */
  async file(node: SimulatedNode, prefix: string, name: string): Promise<number> {
    const counts = this.counts[node.way];
    const path = `${prefix}/${name}`;
    const isOverHttp = node.fetchesOverHttp(name);
    // Firmware probes the size with HEAD first.
    const probed = isOverHttp ? await this.fetchOverHttp(node.way, node.address, path, 'head') : undefined;
    const { bytes, etag, askedMs, doneMs } = isOverHttp
      ? await this.fetchOverHttp(node.way, node.address, path, 'get')
      : await this.fetch(node.way, node.address, path);
    const { files } = node;
    if (bytes === undefined) {
      // The version of a node that is silent for longer than `pinIdle` may be collected.
      if (mayHaveLapsed(files.at(-1), doneMs, this.#options.pinIdleMs)) counts.silent++;
      else this.#tell(counts, 'missing', `${node.way} node ${node.number}: ${path} after ${storyOf(files)}`);
      throw new PowerCut();
    }
    const version = versionIn(name, bytes);
    if (version === undefined) {
      this.#tell(counts, 'wrong', `${node.way} node ${node.number}: ${name}, ${bytes.length} bytes`);
      throw new PowerCut();
    }
    if (probed !== undefined && probed.etag !== etag && doneMs - probed.askedMs < this.#options.pinIdleMs) {
      this.#tell(counts, 'mixed', `${node.way} node ${node.number}: ${path}: HEAD ${probed.etag}, GET ${etag}`);
    }
    counts.files++;
    if (isOverHttp) counts.overHttp++;
    files.push({ name, version, askedMs, doneMs });
    return version;
  }
}

/** Files that nodes fetch over HTTP. */
const LARGE = new Set(['linux', 'initrd.img']);

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

  /** True for kernel and initrd of every other node. Each way to boot has nodes of both kinds. */
  fetchesOverHttp(name: string): boolean {
    return this.number % 2 === 0 && LARGE.has(name);
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
      const path = `${prefix}/linux`;
      if (this.fetchesOverHttp('linux')) await this.#loop.fetchOverHttp(this.way, this.address, path, 'cut');
      else await this.#loop.fetch(this.way, this.address, path, { afterBlocks: 4, code: 0 });
      throw new PowerCut();
    }
    await this.#get(prefix, 'linux');
    if (this.way === 'slow') await delay(this.#loop.settings.pauseMs);
    await this.#get(prefix, 'initrd.img');
  }

  async #get(prefix: string, name: string): Promise<number> {
    this.#mayDie();
    if (this.way === 'new-port' && !this.fetchesOverHttp(name) && this.#random.chance(0.5)) {
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
