/**
 * The routes, boot sets and files of a server that is not running, opened from its settings to be examined. They are
 * only read, and a server may use the same store meanwhile. Knows the parts and how each is opened.
 */
import { httpUrlAt } from '../http/http-url.ts';
import { BufferCache } from '../content/buffer-cache.ts';
import { TrustedRoots } from '../content/trusted-roots.ts';
import type { Rehearsal, RehearsalOptions, Store } from '../boot-set/index.ts';
import { MonotonicClock } from '../engine/clock.ts';
import type { Routes } from '../render/index.ts';
import { type PreviewClient, idsOf } from './preview-client.ts';
import { addressOf, previewRequest } from './preview-request.ts';
import { renderConfig } from '../config/render-config.ts';
import type { Settings } from '../config/settings.ts';
import type { Way } from './trace.ts';

export interface PreviewOptions {
  readonly settings: Settings;
  /** The folder of the config file. */
  readonly base: string;
  /** The client that asks, for the versions that routes name. */
  readonly client: PreviewClient;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
}

export class Preview {
  readonly #options: PreviewOptions;
  readonly #clock = new MonotonicClock();
  readonly #trustedRoots: TrustedRoots;
  #store: Store | undefined;
  #forRoutes: Rehearsal | undefined;
  #routes: Routes | undefined;

  private constructor(options: PreviewOptions) {
    this.#options = options;
    const { settings, onWarning } = options;
    this.#trustedRoots = new TrustedRoots({ folders: settings.trustedRoots, onWarning });
  }

  /** Loads everything that a server would load. @throws RenderConfigError, StoreError */
  static async open(options: PreviewOptions): Promise<Preview> {
    const preview = new Preview(options);
    try {
      await preview.#open();
      return preview;
    } catch (error) {
      await preview.close();
      throw error;
    }
  }

  get routes(): Routes | undefined {
    return this.#routes;
  }

  request(name: string, client: PreviewClient = this.#options.client): Promise<Way> {
    const { settings } = this.#options;
    const routes = this.#routes;
    return previewRequest(
      {
        settings,
        trustedRoots: this.#trustedRoots,
        routes: { inventory: routes?.inventory, explain: (request) => routes?.explain(request) },
        rehearse: this.#store === undefined ? undefined : (who) => this.#rehearse(who),
      },
      name,
      client,
    );
  }

  async close(): Promise<void> {
    await this.#routes?.close();
    await this.#forRoutes?.close();
    await this.#store?.close();
  }

  async #open(): Promise<void> {
    const { settings, base, client, onWarning } = this.#options;
    const { routes, inventory, stageZero, store } = settings;
    if (store !== undefined) {
      const { openStore } = await import('../boot-set/index.ts');
      this.#store = await openStore({ path: store, readOnly: true });
      this.#forRoutes = await this.#rehearse({ address: addressOf(client, undefined), ids: idsOf(client) });
    }
    if (routes.length === 0 && inventory === undefined) return;
    const { loadRoutes } = await import('../render/index.ts');
    const bootSets = this.#forRoutes?.sets;
    this.#routes = await loadRoutes(renderConfig(settings, base), {
      bootSets,
      stageZero,
      httpUrl: (local) =>
        httpUrlAt(
          local,
          (settings.http ?? []).map((address) => ({ ...address, isSecure: false })),
        ),
      clock: this.#clock,
      onWarning,
    });
  }

  async #rehearse(client: NonNullable<RehearsalOptions['client']>): Promise<Rehearsal> {
    const { settings, onWarning } = this.#options;
    const { DhcpLeases, Rehearsal } = await import('../boot-set/index.ts');
    const store = this.#store!;
    return await Rehearsal.begin({
      store,
      cache: new BufferCache({ maxBytes: 0, limitBytes: settings.memoryLimitBytes }),
      clock: this.#clock,
      policy: { pinIdleMs: settings.pinIdleMs, pinCapMs: settings.pinCapMs },
      stageZero: settings.stageZero,
      sharedNetworks: settings.sharedNetworks,
      tables: settings.leases === undefined ? [] : [new DhcpLeases(settings.leases)],
      caseInsensitive: settings.caseInsensitive,
      labelsOf: (node) => this.#routes?.inventory?.labelsOf(node),
      known: store.pins(),
      client,
      onWarning,
    });
  }
}
