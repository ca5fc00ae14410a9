/**
 * Random histories against a plain reference model: a collection frees everything that is not needed, and nothing else.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as changes from '../../../src/boot-set/store/channel-changes.ts';
import { collect } from '../../../src/boot-set/store/collect.ts';
import { sha256 } from '../../../src/boot-set/store/manifest.ts';
import { publish } from '../../../src/boot-set/store/publish.ts';
import { pinKey, versionName } from '../../../src/boot-set/store/records.ts';
import { openStore, type Store, StoreError } from '../../../src/boot-set/store/store.ts';
import type { Tables } from '../../../src/boot-set/store/state.ts';
import { verify } from '../../../src/boot-set/store/verify.ts';
import { blobsOf, filesIn } from '../fixture.ts';
import { CAMPAIGN } from '../../support/content.ts';
import { channelOf, DEFAULT_KEPT, numberOf, ReferenceModel } from './reference-model.ts';

const RUNS = CAMPAIGN ? 1000 : 100;
/** A folder in which a sync is cheap; syncs are not tested here. */
const FAST = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

const channel = fc.constantFrom('a', 'b/c');
const version = fc.tuple(channel, fc.integer({ min: 1, max: 5 })).map(([name, number]) => `${name}-${number}`);
const node = fc.constantFrom('n1', 'n2');
const MINUTE = 60_000;

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      channel,
      content: fc.integer({ min: 0, max: 5 }),
      keep: fc.boolean(),
      candidate: fc.integer({ min: 0, max: 4 }).map((draw) => draw === 0),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('collect' as const), grace: fc.constantFrom(0, 0, 10 * MINUTE) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.constantFrom(MINUTE, 8 * MINUTE, 16 * MINUTE, 130 * MINUTE, 25 * 60 * MINUTE),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('boot' as const), node, channel }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rollback' as const), channel }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rollOut' as const), version }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('endRollout' as const), channel, promote: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('keep' as const), version, keep: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('override' as const), node, version }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('dropOverride' as const), node, channel }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('note' as const), version, rendered: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('removeChannel' as const), channel }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('removeVersion' as const), version }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('keepVersions' as const), channel, keep: fc.integer({ min: 0, max: 2 }) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A set has two files out of three of each kind, so versions share blobs. */
const SETS = Array.from({ length: 6 }, (_, content) => ({ linux: `k${content % 3}`, initrd: `i${content >> 1}` }));

/** @returns true if the change was made, false if the store refused it. */
async function changed(store: Store, work: (tables: Tables) => unknown): Promise<boolean> {
  try {
    await store.change(work);
    return true;
  } catch (error) {
    if (error instanceof StoreError && error.isMistake) return false;
    throw error;
  }
}

class Pair {
  readonly model = new ReferenceModel();
  readonly #store: Store;
  readonly #folders: readonly string[];

  constructor(store: Store, folders: readonly string[]) {
    this.#store = store;
    this.#folders = folders;
  }

  /** Applies the step to both. @returns the answers of both. */
  async take(one: Step): Promise<[store: unknown, model: unknown]> {
    const { model } = this;
    const store = this.#store;
    switch (one.do) {
      case 'publish': {
        const { channel: name, content, candidate } = one;
        const keep = one.keep && content === 0;
        const published = await publish(store, { channel: name, paths: [this.#folders[content]!], keep, candidate });
        return [published.name, model.publish(name, String(content), keep, candidate)];
      }
      case 'collect':
        await collect(store, { graceMs: one.grace });
        model.collect(one.grace);
        return [this.#inStore(), this.#inModel()];
      case 'pass':
        model.now += one.ms;
        return [0, 0];
      case 'boot': {
        const pin = model.boot(one.node, one.channel);
        if (pin === undefined) return [store.channels().find(({ name }) => name === one.channel)?.current, undefined];
        // A server does the same: it notes the pin only while the version exists.
        const isThere = await store.note((tables) => {
          if (tables.versions.get(pin.version) === undefined) return false;
          tables.pins.put(pinKey(one.node, one.channel), {
            node: one.node,
            channel: one.channel,
            version: numberOf(pin.version),
            createdAt: pin.createdAt,
            usedAt: model.now,
            stage: 0,
            address: '192.0.2.1',
          });
          return true;
        });
        return [isThere, true];
      }
      case 'rollback':
        return [await changed(store, (tables) => changes.rollback(tables, one.channel)), model.rollback(one.channel)];
      case 'rollOut':
        return [
          await changed(store, (tables) =>
            changes.setRollout(tables, channelOf(one.version), { to: one.version, percent: 10 }),
          ),
          model.rollOut(one.version),
        ];
      case 'endRollout':
        return [
          await changed(store, (tables) =>
            one.promote ? changes.promoteRollout(tables, one.channel) : changes.abortRollout(tables, one.channel),
          ),
          model.endRollout(one.channel, one.promote),
        ];
      case 'keep':
        return [
          await changed(store, (tables) => changes.setKeep(tables, one.version, one.keep)),
          model.keep(one.version, one.keep),
        ];
      case 'override':
        return [
          await changed(store, (tables) => changes.pinNode(tables, one.node, one.version)),
          model.override(one.node, one.version),
        ];
      case 'dropOverride':
        return [
          await changed(store, (tables) => changes.unpinNode(tables, one.node, one.channel)),
          model.dropOverride(one.node, one.channel),
        ];
      case 'note': {
        const isThere = await store.note((tables) => {
          if (tables.versions.get(one.version) === undefined) return false;
          const before = tables.useNotes.get(one.version);
          const renderedAt = one.rendered ? model.now : before?.renderedAt;
          tables.useNotes.put(one.version, { usedAt: model.now, ...(renderedAt === undefined ? {} : { renderedAt }) });
          return true;
        });
        return [isThere, model.noteUse(one.version, one.rendered)];
      }
      case 'removeChannel':
        return [
          await changed(store, (tables) => changes.removeChannel(tables, one.channel)),
          model.removeChannel(one.channel),
        ];
      case 'removeVersion':
        return [
          await changed(store, (tables) => changes.removeVersion(tables, one.version)),
          model.removeVersion(one.version),
        ];
      case 'keepVersions': {
        const known = model.channels.get(one.channel);
        if (known !== undefined) known.keepVersions = one.keep;
        return [
          await changed(store, (tables) => changes.changeSettings(tables, one.channel, { keepVersions: one.keep })),
          known !== undefined,
        ];
      }
    }
  }

  /** Versions, channels and blobs after a collection. */
  #inStore(): unknown {
    const store = this.#store;
    return {
      versions: store.versions().map(({ channel: name, number }) => versionName(name, number)),
      channels: store
        .channels()
        .map(({ name, current, previous, rollout }) => [name, current, previous, rollout?.candidate]),
      blobs: blobsOf(store).filter((digest) => !readFileSync(store.blobPath(digest), 'utf8').includes('schemaVersion')),
      manifests: blobsOf(store).filter((digest) =>
        readFileSync(store.blobPath(digest), 'utf8').includes('schemaVersion'),
      ).length,
    };
  }

  #inModel(): unknown {
    const { versions, channels } = this.model;
    const names = [...versions.keys()].toSorted((a, b) =>
      channelOf(a) === channelOf(b) ? numberOf(a) - numberOf(b) : channelOf(a) < channelOf(b) ? -1 : 1,
    );
    const contents = new Set([...versions.values()].map(({ content }) => Number(content)));
    const texts = [...contents].flatMap((content) => Object.values(SETS[content]!));
    return {
      versions: names,
      channels: [...channels]
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, { current, previous, candidate }]) => [name, current, previous, candidate]),
      blobs: [...new Set([...texts, ...(contents.size > 0 ? ['{}'] : [])])].map(sha256).toSorted(),
      // The same set in two channels has one manifest.
      manifests: contents.size,
    };
  }
}

describe('garbage collection', () => {
  it(`removes exactly what nothing needs, over ${RUNS} random histories`, async () => {
    const folders = SETS.map((files) => filesIn(files));
    let collections = 0;
    let freed = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 12, maxLength: 30 }), async (steps) => {
        const path = mkdtempSync(join(FAST, 'reveille-model-'));
        let now = (): number => 0;
        const store = await openStore({ path, now: () => now() });
        try {
          const pair = new Pair(store, folders);
          // Fewer versions are kept than by default, so that short histories have something to collect.
          await store.setDefaults({ keepVersions: DEFAULT_KEPT });
          now = () => pair.model.now;
          // In the end, one collection must have freed everything that is not needed.
          for (const one of [...steps, { do: 'collect', grace: 0 } as const]) {
            const before = pair.model.versions.size;
            const [came, expected] = await pair.take(one);
            expect([one, came]).toEqual([one, expected]);
            if (one.do === 'collect') {
              collections++;
              freed += before - pair.model.versions.size;
            }
          }
          expect(await verify(store)).toMatchObject({ damage: [], leftovers: 0 });
        } finally {
          await store.close();
          rmSync(path, { recursive: true, force: true });
        }
      }),
      { numRuns: RUNS },
    );
    // The histories collected enough to be meaningful.
    expect(collections).toBeGreaterThan(2 * RUNS);
    expect(freed).toBeGreaterThan(RUNS / 2);
  }, 240_000);
});
