/** A server on virtual time with the metrics that a real server has. */
import { BufferCache } from '../../src/content/buffer-cache.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import type { MemoryNetwork } from '../../src/engine/memory.ts';
import type { ServerLimits } from '../../src/server/types.ts';
import { World } from '../server/world.ts';

/** Values by name and labels, as in a scrape. */
export type Samples = ReadonlyMap<string, number>;

export class MeteredWorld {
  readonly metrics: Metrics;
  #world: World | undefined;

  private constructor() {
    const cache = new BufferCache();
    this.metrics = new Metrics({
      server: () => this.#world?.server.stats(),
      cache: () => cache.stats(),
      cacheBytes: 2 ** 30,
      memoryLimitBytes: 2 ** 31,
      sessions: 10_000,
      store: () => undefined,
      routes: () => undefined,
      suppressedLines: () => ({}),
      version: '0',
      singlePort: false,
      workers: 1,
    });
  }

  static async start(
    files: Readonly<Record<string, Uint8Array>>,
    limits: Partial<ServerLimits> = {},
  ): Promise<MeteredWorld> {
    const metered = new MeteredWorld();
    const { events } = metered.metrics;
    metered.#world = await World.start({
      files,
      limits: { sessions: 10_000, ...limits },
      observer: {
        onStart: (record) => events.start(record),
        onTransfer: (record) => events.transfer(record),
        onRefusal: (record) => events.refusal(record),
        onWarning: () => events.warning(),
      },
    });
    return metered;
  }

  get world(): World {
    return this.#world!;
  }

  get network(): MemoryNetwork {
    return this.world.network;
  }

  pass(ms: number): Promise<void> {
    return this.world.pass(ms);
  }

  async scrape(): Promise<Samples> {
    const text = await this.metrics.registry.metrics();
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(
      lines.map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))];
      }),
    );
  }
}
