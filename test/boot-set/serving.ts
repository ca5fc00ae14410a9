/** A store in a temporary folder, boot sets in it, and a source on clocks that the test advances. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { BootSets, type BootSetsOptions } from '../../src/boot-set/boot-sets.ts';
import { collect } from '../../src/boot-set/store/collect.ts';
import { publish } from '../../src/boot-set/store/publish.ts';
import { openStore, type Store, type Tables } from '../../src/boot-set/store/store.ts';
import { BufferCache } from '../../src/content/buffer-cache.ts';
import type { Answer, Content } from '../../src/content/types.ts';
import { attachShared } from '../../src/bytes/shared-bytes.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import { temporaryFolder } from '../content/fixture.ts';

export const POLICY = { pinIdleMs: 900_000, pinCapMs: 7_200_000 };
export const T0 = 1_700_000_000_000;
/** Default client address. */
export const CLIENT = '192.0.2.7';

/** A loader, a config, a module, a kernel and an initrd; each file names its version. */
export function setOf(version: string | number): Record<string, string> {
  const names = ['pxelinux.0', 'pxelinux.cfg/default', 'ldlinux.c32', 'linux', 'initrd.img'];
  return Object.fromEntries(names.map((name) => [name, `${name} of version ${version}\n`]));
}

export class Serving {
  readonly clock = new VirtualClock();
  readonly warnings: string[] = [];
  readonly cache: BufferCache;
  store!: Store;
  source!: BootSets;
  /** Wall clock, in milliseconds since the epoch. */
  now = T0;
  /** Uptime of the system in milliseconds; it goes on when the server restarts. */
  uptime = 5_000_000;
  /** If true, clients acknowledge the files they get. */
  isAnswered = false;
  readonly folder = temporaryFolder();
  readonly #options: Partial<BootSetsOptions>;
  #sets = 0;

  constructor(options: Partial<BootSetsOptions> = {}) {
    this.#options = options;
    this.cache = options.cache ?? new BufferCache();
  }

  static async start(options: Partial<BootSetsOptions> = {}): Promise<Serving> {
    const serving = new Serving(options);
    await serving.open();
    onTestFinished(() => serving.close());
    return serving;
  }

  async open(): Promise<void> {
    this.store = await openStore({ path: join(this.folder, 'store'), now: () => this.now });
    this.source = new BootSets({
      store: this.store,
      cache: this.cache,
      clock: this.clock,
      now: () => this.now,
      uptime: () => this.uptime,
      policy: POLICY,
      onWarning: (message) => void this.warnings.push(message),
      ...this.#options,
    });
  }

  async close(): Promise<void> {
    await this.source.close();
    await this.store.close();
  }

  /** Simulates a SIGKILL: nothing is written at the end. */
  async crash(): Promise<void> {
    const { source } = this;
    await this.store.close();
    await this.open();
    void source;
  }

  async publish(channel: string, files: Record<string, string>, candidate = false): Promise<number> {
    const folder = join(this.folder, `set-${this.#sets++}`);
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    const { number } = await publish(this.store, { channel, paths: [folder], candidate });
    this.look();
    return number;
  }

  /** Changes the store as a command would, and lets the source see the change. */
  async change(work: (tables: Tables) => unknown): Promise<void> {
    await this.store.change(work);
    this.look();
  }

  /** Advances the source's clock by the time after which it looks at the store again. The wall clock stays behind. */
  look(): void {
    this.clock.run(this.clock.now() + 250);
  }

  /** Publishes versions 1 to `count` of a channel; the last one is current. */
  async publishSets(channel: string, count: number): Promise<void> {
    for (let version = 1; version <= count; version++) await this.publish(channel, setOf(version));
  }

  async collect(): Promise<string[]> {
    const { versions } = await collect(this.store, { graceMs: 0 });
    return versions.map(({ name }) => name);
  }

  /** Runs a first collection: versions enter their grace period, ended pins are removed. */
  async collectMarking(): Promise<void> {
    await collect(this.store);
  }

  pass(ms: number): void {
    this.now += ms;
    this.uptime += ms;
    this.clock.run(this.clock.now() + ms);
  }

  async ask(filename: string, client = CLIENT, mode: 'octet' | 'netascii' = 'octet'): Promise<Answer> {
    return this.source.open({ filename, mode, client, local: '192.0.2.1' });
  }

  /** Reads a whole file. @returns its text, or the kind of any other answer. */
  async read(filename: string, client = CLIENT, mode: 'octet' | 'netascii' = 'octet'): Promise<string> {
    const answer = await this.ask(filename, client, mode);
    if (answer.kind !== 'content') return answer.kind;
    const text = textOf(answer);
    answer.release(this.isAnswered);
    return text;
  }

  /** Versions of the files, requested one after the other. */
  async versions(client: string, ...filenames: string[]): Promise<string[]> {
    const found: string[] = [];
    for (const filename of filenames) {
      const text = await this.read(filename, client);
      found.push(/version (\S+)/.exec(text)?.[1] ?? text);
    }
    return found;
  }
}

export function textOf(content: Content): string {
  return Buffer.from(attachShared(content.handle).bytes).toString();
}
