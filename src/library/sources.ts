/**
 * What a server of one's own serves, part by part: files, boot sets, configs that are made for nodes. Each is only
 * described here; create-server.ts opens them. Knows the sources; no packets and no config files.
 */
import { isAbsolute, resolve } from 'node:path';
import type { BootSets } from '../boot-set/index.ts';
import type { BufferCache } from '../content/buffer-cache.ts';
import { Directory } from '../content/directory.ts';
import { TrustedRoots } from '../content/trusted-roots.ts';
import type { Source } from '../content/types.ts';
import type { Engine } from '../engine/types.ts';
import type { RenderConfig, RouteConfig } from '../render/types.ts';
import type { ServerObserver } from '../server/types.ts';

/** What a part is opened with. */
export interface Surroundings {
  readonly engine: Pick<Engine, 'mapFile' | 'allocateFile' | 'clock'>;
  readonly cache: BufferCache;
  readonly onWarning: ServerObserver['onWarning'];
  /** Of the parts behind this one, the boot sets. */
  readonly bootSets: BootSets | undefined;
}

export interface OpenPart {
  readonly source: Source;
  /** Set where the part is boot sets: those before it name their versions. */
  readonly bootSets?: BootSets;
  close(): Promise<void>;
}

/** A part of what is served, not yet opened. */
export interface Part {
  open(surroundings: Surroundings): Promise<OpenPart>;
}

export interface DirectoryPartOptions {
  /** Whether `BOOT/X` finds `boot/x`. Default false. */
  readonly caseInsensitive?: boolean;
  /** Folders that links below the folder may lead into, resolved when the server starts, or when they are there. Default none. */
  readonly trustedRoots?: readonly string[];
  /** Files are only ever replaced, never changed in place: they are mapped, not copied. Default false. */
  readonly immutable?: boolean;
}

/** The files below a folder. */
export function directory(root: string, options: DirectoryPartOptions = {}): Part {
  return {
    async open({ engine, cache, onWarning }) {
      const trustedRoots = new TrustedRoots({ folders: options.trustedRoots ?? [], onWarning });
      const source = new Directory({
        root,
        trustedRoots,
        cache,
        caseInsensitive: options.caseInsensitive ?? false,
        mapFile: options.immutable === true ? engine.mapFile : undefined,
        allocateFile: engine.allocateFile,
        onWarning,
        clock: () => performance.now(),
      });
      return { source, close: () => Promise.resolve() };
    },
  };
}

export interface BootSetsPartOptions {
  /** Silence after which a node's boot counts as over, in milliseconds. Default 15 minutes. */
  readonly pinIdleMs?: number;
  /** Age after which it does. Default 2 hours. */
  readonly pinCapMs?: number;
  /** Bytes of current versions that are read ahead. Default 0. */
  readonly prefetchBytes?: number;
  readonly caseInsensitive?: boolean;
  /** Labels of a node, which rollouts select by. */
  readonly labelsOf?: (node: string) => Readonly<Record<string, string>> | undefined;
}

/** The boot sets of a store. Versions that nothing needs are not collected: `reveille gc` does that. */
export function bootSets(store: string, options: BootSetsPartOptions = {}): Part {
  return {
    async open({ engine, cache, onWarning }) {
      const { BootSets, Neighbours, openStore } = await import('../boot-set/index.ts');
      const { pinIdleMs = 15 * 60_000, pinCapMs = 2 * 3_600_000, ...rest } = options;
      const opened = await openStore({ path: store });
      try {
        const source = new BootSets({
          ...rest,
          store: opened,
          cache,
          mapFile: engine.mapFile,
          allocateFile: engine.allocateFile,
          clock: engine.clock,
          policy: { pinIdleMs, pinCapMs },
          tables: process.platform === 'linux' ? [new Neighbours()] : [],
          onWarning,
        });
        const close = async (): Promise<void> => {
          await source.close();
          await opened.close();
        };
        return { source, bootSets: source, close };
      } catch (error) {
        await opened.close();
        throw error;
      }
    },
  };
}

export interface TemplatesPartOptions extends Omit<RenderConfig, 'base' | 'routes'> {
  /** The folder of templates and handlers. Default: the working directory. */
  readonly base?: string;
}

/**
 * Configs that are made for nodes when they ask. Before boot sets in the list, so that they can name their versions.
 *
 * @throws RenderConfigError, when the server is created, for what is wrong with any of it.
 */
export function templates(routes: readonly RouteConfig[], options: TemplatesPartOptions = {}): Part {
  return {
    async open({ engine, bootSets: sets, onWarning }) {
      const { loadRoutes } = await import('../render/index.ts');
      const { base = '.', ...rest } = options;
      const config = { ...rest, routes, base: isAbsolute(base) ? base : resolve(base) };
      const source = await loadRoutes(config, { bootSets: sets, clock: engine.clock, onWarning });
      return { source, close: () => source.close() };
    },
  };
}

/** A source of one's own among the others. */
export function ownSource(own: Source): Part {
  return { open: async () => ({ source: own, close: () => Promise.resolve() }) };
}
