/** A store in a folder that goes away, boot sets in it, and a source on clocks that the test moves. */
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
/** Where clients ask from unless a test says otherwise. */
export const CLIENT = '192.0.2.7';

/** A loader, a config, a module, a kernel and an initrd; each says of which version it is. */
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
  /** Milliseconds since the epoch, as the wall clock has it. */
  now = T0;
  /** The system's uptime in milliseconds, which a restart of the server does not end. */
  uptime = 5_000_000;
  /** Whether clients acknowledge what they get. */
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

  /** As after a SIGKILL: nothing is written at the end. */
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

  /** Changes the store as a person would, and lets the source see it. */
  async change(work: (tables: Tables) => unknown): Promise<void> {
    await this.store.change(work);
    this.look();
  }

  /** So much time passes as it takes the source to look at the store again; not for the wall clock, which lags behind. */
  look(): void {
    this.clock.run(this.clock.now() + 250);
  }

  /** Versions 1 to `count` of a channel; the last is current. */
  async publishSets(channel: string, count: number): Promise<void> {
    for (let version = 1; version <= count; version++) await this.publish(channel, setOf(version));
  }

  async collect(): Promise<string[]> {
    const { versions } = await collect(this.store, { graceMs: 0 });
    return versions.map(({ name }) => name);
  }

  /** As a collection does that comes for the first time: versions have their grace, ended pins go. */
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

  /** Reads a file whole. @returns its text, or what the answer was otherwise. */
  async read(filename: string, client = CLIENT, mode: 'octet' | 'netascii' = 'octet'): Promise<string> {
    const answer = await this.ask(filename, client, mode);
    if (answer.kind !== 'content') return answer.kind;
    const text = textOf(answer);
    answer.release(this.isAnswered);
    return text;
  }

  /** The versions that files asked for one after the other are of. */
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
