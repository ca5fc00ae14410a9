/**
 * Servers that share pins, on virtual time: real sources of boot sets on stores in memory, whose numbers of versions
 * differ, and a virtual engine between them.
 */
import { createHash } from 'node:crypto';
import { BootSets, type BootSetsOptions } from '../../src/boot-set/boot-sets.ts';
import { MemoryPins } from '../../src/boot-set/boot/pin-store.ts';
import type { ChannelRecord, FileRecord, UseNote, VersionRecord } from '../../src/boot-set/store/records.ts';
import type { Table, Tables } from '../../src/boot-set/store/store.ts';
import type { Content } from '../../src/content/types.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import { SHARED_SCRIPTS } from './shared-scripts.ts';
import { Random } from './random.ts';
import { type VirtualLink, VirtualRedis } from './virtual-redis.ts';

export const POLICY = { pinIdleMs: 900_000, pinCapMs: 7_200_000 };
export const CHANNEL = 'hall/install';
export const NAMES = ['pxelinux.0', 'pxelinux.cfg/default', 'ldlinux.c32', 'linux', 'initrd.img'];
const T0 = 1_700_000_000_000;

function tableOf<V>(map: Map<string, V>): Table<V> {
  return {
    get: (key) => map.get(key),
    put: (key, value) => void map.set(key, value),
    remove: (key) => void map.delete(key),
    entries: () => [...map],
    keys: () => [...map.keys()],
  };
}

/** Every file can be had at once; only names matter here. */
const CACHE = {
  acquire: () => ({ kind: 'held', handle: undefined, supply: undefined, release: () => {} }),
  keep: () => {},
  drop: () => {},
  has: () => true,
  stats: () => ({ heldBytes: 0, shelvedBytes: 0 }),
} as unknown as BootSetsOptions['cache'];

export function digestOf(version: string): string {
  return createHash('sha256').update(version).digest('hex');
}

export class FleetServer {
  readonly name: string;
  readonly link: VirtualLink;
  readonly warnings: string[] = [];
  source!: BootSets;
  readonly #clock: VirtualClock;
  readonly #skewMs: number;
  readonly #channels = new Map<string, ChannelRecord>();
  readonly #versions = new Map<string, VersionRecord>();
  readonly #pins: MemoryPins;
  readonly #more: Partial<BootSetsOptions>;
  readonly #first: number;
  #generation = 0;

  /** @param first number of its first version. */
  constructor(
    { clock, redis }: Pick<Fleet, 'clock' | 'redis'>,
    name: string,
    first: number,
    skewMs: number,
    more: Partial<BootSetsOptions>,
  ) {
    this.name = name;
    this.link = redis.link(name);
    this.#clock = clock;
    this.#skewMs = skewMs;
    this.#more = more;
    this.#first = first;
    this.#pins = new MemoryPins((version) => this.#versions.has(version), []);
    this.restart();
  }

  /** Starts again with the pins on its disk, after a `kill -9`. */
  restart(): void {
    const tables = {
      channels: tableOf(this.#channels),
      versions: tableOf(this.#versions),
      pins: tableOf(new Map()),
      overrides: tableOf(new Map()),
      useNotes: tableOf(new Map<string, UseNote>()),
      numbers: tableOf(new Map()),
    } as Tables;
    const generation = (): number => this.#generation;
    const store: BootSetsOptions['store'] = {
      get generation() {
        return generation();
      },
      channels: () => [...this.#channels.values()],
      pins: () => [],
      tables,
      note: (work) => Promise.resolve(work(tables)),
      blobPath: (digest) => digest,
    };
    const clock = this.#clock;
    this.source = new BootSets({
      store,
      cache: CACHE,
      clock: { now: () => clock.now(), wake: (at, fn) => clock.wake(at, fn) },
      now: () => T0 + clock.now() + this.#skewMs,
      uptime: () => undefined,
      policy: POLICY,
      pins: this.#pins,
      share: this.link,
      onWarning: (message) => void this.warnings.push(message),
      ...this.#more,
    });
  }

  /** Makes a version current. The same version has the same digest everywhere, and a number of its own here. */
  publish(version: string, channel = CHANNEL, names: readonly string[] = NAMES): void {
    const before = this.#channels.get(channel);
    const number = before?.nextNumber ?? this.#first;
    const files: FileRecord[] = names.map((name) => ({ name, digest: digestOf(`${version} ${name}`), size: 9 }));
    const manifest = digestOf(version);
    const record = { channel, number, manifest, files, labels: {}, keep: false, publishedAt: T0 };
    this.#versions.set(`${channel}-${number}`, record);
    const channelRecord = { name: channel, current: number, previous: [], nextNumber: number + 1, settings: {} };
    this.#channels.set(channel, channelRecord);
    this.#generation++;
  }

  has(version: string): boolean {
    return [...this.#versions.values()].some(({ manifest }) => manifest === digestOf(version));
  }

  /** Requests a file and, once it is given, acknowledges it after `transferMs`. @returns digest of the file's version. */
  async read(filename: string, client: string, transferMs = 0): Promise<string> {
    const answer = await this.source.open({ filename, mode: 'octet', client, local: '192.0.2.1' });
    if (answer.kind !== 'content') return answer.kind;
    if (transferMs === 0) answer.release(true);
    else this.#clock.wake(this.#clock.now() + transferMs, () => answer.release(true));
    return this.#digestOf(answer);
  }

  #digestOf({ label }: Content): string {
    for (const [name, { manifest }] of this.#versions) if (label.startsWith(`${name}/`)) return manifest;
    throw new Error(`No version has ${label}`);
  }
}

export interface FleetOptions {
  readonly seed?: number;
  readonly delayMs?: (random: Random) => number;
  /** Skews of the servers' wall clocks, ms. */
  readonly skews?: readonly number[];
  readonly more?: Partial<BootSetsOptions>;
}

export class Fleet {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly redis: VirtualRedis;
  readonly servers: readonly FleetServer[];

  constructor(count: number, { seed = 1, delayMs, skews = [], more = {} }: FleetOptions = {}) {
    this.random = new Random(seed);
    const { clock, random } = this;
    this.redis = new VirtualRedis({
      clock,
      random,
      scripts: SHARED_SCRIPTS,
      ...(delayMs === undefined ? {} : { delayMs }),
    });
    this.servers = Array.from(
      { length: count },
      (_, at) => new FleetServer(this, `server${at}`, 1 + 10 * at, skews[at] ?? 0, more),
    );
  }

  publish(version: string): void {
    for (const server of this.servers) server.publish(version);
  }

  /** Lets virtual time pass until a promise settles. */
  async settle<T>(work: Promise<T>): Promise<T> {
    const state = { isOver: false };
    const watched = work.finally(() => {
      state.isOver = true;
    });
    while (!state.isOver) {
      // oxlint-disable-next-line no-await-in-loop -- pending promises run between two events.
      await new Promise((resolve) => setImmediate(resolve));
      if (!state.isOver && !this.clock.step()) throw new Error('Nothing is left to happen');
    }
    return await watched;
  }

  async pass(ms: number): Promise<void> {
    await this.clock.runAsync(this.clock.now() + ms);
  }
}
