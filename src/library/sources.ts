/**
 * The parts that an embedded server can serve: files, boot sets, and configs rendered for nodes. They are only
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

/** Resources that a part is opened with. */
export interface Surroundings {
  readonly engine: Pick<Engine, 'mapFile' | 'allocateFile' | 'clock'>;
  readonly cache: BufferCache;
  readonly onWarning: ServerObserver['onWarning'];
  /** Returns the server's HTTP URL at a local address. */
  readonly httpUrl: (local: string) => string | undefined;
  /** The nearest boot sets among the parts after this one. */
  readonly bootSets: BootSets | undefined;
}

export interface OpenPart {
  readonly source: Source;
  /** Set when the part is boot sets, whose versions the parts before it can name. */
  readonly bootSets?: BootSets;
  close(): Promise<void>;
}

/** A part that has not been opened yet. */
export interface Part {
  open(surroundings: Surroundings): Promise<OpenPart>;
}

export interface DirectoryPartOptions {
  /** True to let `BOOT/X` find `boot/x`. Default false. */
  readonly caseInsensitive?: boolean;
  /** Folders that links below the root may lead into, resolved when the server starts or when they appear. Default: none. */
  readonly trustedRoots?: readonly string[];
  /**
   * True when files are only ever replaced, never changed in place: they are then mapped, not copied. Default false.
   */
  readonly immutable?: boolean;
}

/** Serves the files below a folder. */
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
  /** Silence after which a node's boot counts as over, in milliseconds. Default: 15 minutes. */
  readonly pinIdleMs?: number;
  /** Age after which it counts as over, in milliseconds. Default: 2 hours. */
  readonly pinCapMs?: number;
  /** Budget in bytes for reading current versions ahead of requests. Default 0. */
  readonly prefetchBytes?: number;
  readonly caseInsensitive?: boolean;
  /** Returns the labels of a node, which rollouts select by. */
  readonly labelsOf?: (node: string) => Readonly<Record<string, string>> | undefined;
}

/** Serves the boot sets of a store. Does not collect versions that nothing needs: `reveille gc` does. */
export function bootSets(store: string, options: BootSetsPartOptions = {}): Part {
  return {
    async open({ engine, cache, onWarning }) {
      const { BootSets, DEFAULT_CHANNEL_SETTINGS, Neighbours, openStore } = await import('../boot-set/index.ts');
      const usual = DEFAULT_CHANNEL_SETTINGS;
      const { pinIdleMs = usual.pinIdleMs, pinCapMs = usual.pinCapMs, ...rest } = options;
      const opened = await openStore({ path: store });
      try {
        // Collections by other processes must keep what this server promises its nodes.
        await opened.setDefaults({ ...opened.defaults(), pinIdleMs, pinCapMs });
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
  /** The folder that templates and handlers are relative to. Default: the working directory. */
  readonly base?: string;
}

/**
 * Serves configs rendered for nodes on request. Place it before boot sets in the list, so that configs can name their
 * versions.
 *
 * @throws RenderConfigError for an error in the routes or their files, when the server is created.
 */
export function templates(routes: readonly RouteConfig[], options: TemplatesPartOptions = {}): Part {
  return {
    async open({ engine, bootSets: sets, httpUrl, onWarning }) {
      const { loadRoutes } = await import('../render/index.ts');
      const { base = '.', ...rest } = options;
      const config = { ...rest, routes, base: isAbsolute(base) ? base : resolve(base) };
      const source = await loadRoutes(config, { bootSets: sets, httpUrl, clock: engine.clock, onWarning });
      return { source, close: () => source.close() };
    },
  };
}

/** Serves a custom source among the others. */
export function ownSource(own: Source): Part {
  return { open: async () => ({ source: own, close: () => Promise.resolve() }) };
}
