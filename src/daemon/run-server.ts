/**
 * The life of a server process: what starts in which order, what a signal does, and how it ends. Knows the parts by
 * their interfaces and never ends the process itself: worker threads must close their sockets first.
 */
import { dirname } from 'node:path';
import { BufferCache } from '../content/buffer-cache.ts';
import { startServer } from '../server/server.ts';
import type { Address } from '../engine/types.ts';
import type { Server, ServerOptions } from '../server/types.ts';
import { httpUrlAt, urlOf } from '../http/http-url.ts';
import { formatAddress } from '../text/address-text.ts';
import { escapeText, printableText } from '../text/escape.ts';
import { errorLine } from '../text/error-text.ts';
import { firstFetch } from './first-fetch.ts';
import { publicAddress } from './client-networks.ts';
import { networkOptions } from './server-options.ts';
import type { CommandContext } from './interrupts.ts';
import type { KeptSockets } from '../keeper/kept-sockets.ts';
import { Log, type LogTarget } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import type { LiveState } from '../observe/live-state.ts';
import { liveApiOf, liveStateOf } from './live-feed.ts';
import { listeningRecord } from './listening-record.ts';
import { LiveConfig, type Reloaded } from '../config/live-config.ts';
import { ServedAdmin } from './served-admin.ts';
import { ServedContent } from './served-content.ts';
import { Parents } from './parents.ts';
import type { ServiceManager } from './service-manager.ts';
import { ADMIN_FAILED, adviceFor } from './start-advice.ts';
import { isReadByAll } from '../config/api-token.ts';
import type { Settings } from '../config/settings.ts';
import { EXIT, type ExitCode } from '../config/usage-error.ts';

/** Cap on reports of unhandled errors. */
const MAX_FAULTS_TOLD = 10;
const NOT_STARTED: Reloaded = { result: 'failed', error: 'the server is starting', restart: [] };

export interface RunOptions extends CommandContext {
  readonly settings: Settings;
  /** Absolute path of the config file, and a function that reads the settings again. Default: there is no file. */
  readonly config?: { readonly file: string; readonly read: () => Settings };
  readonly target: LogTarget;
  /** Opens the connection to the service manager; throws when it can't be reached. Default: there is no manager. */
  readonly manager?: () => ServiceManager | undefined;
  /** Takes the sockets that the process was given, and greets the keeper. Throws like `manager`. Default: none. */
  readonly keep?: () => KeptSockets | undefined;
  /** Starts the server; tests pass their own. */
  readonly start?: (options: ServerOptions) => Promise<Server>;
}

class ServerRun {
  readonly #options: RunOptions;
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #cache: BufferCache;
  readonly #content: ServedContent;
  readonly #state: LiveState;
  readonly #parents: Parents;
  #live: LiveConfig | undefined;
  #server: Server | undefined;
  #admin: ServedAdmin | undefined;
  #toldOfBudget = false;
  #stopsAsked = 0;
  readonly #stopAsked = new AbortController();
  #faults = 0;
  #isHandedOver = false;
  #wake: () => void = () => {};

  constructor(options: RunOptions) {
    const { settings, target, version } = options;
    this.#options = options;
    this.#log = new Log(settings.logLevel, target);
    this.#parents = new Parents({ manager: options.manager, keep: options.keep, onWarning: this.#onWarning });
    this.#cache = new BufferCache({
      maxBytes: settings.cacheBytes,
      limitBytes: settings.memoryLimitBytes,
      onOverBudget: (bytes) => this.#warnOfBudget(bytes),
    });
    this.#content = new ServedContent({
      settings,
      base: options.config === undefined ? undefined : dirname(options.config.file),
      cache: this.#cache,
      httpUrl: (local) => httpUrlAt(local, this.#server?.httpAddresses ?? []),
      onWarning: this.#onWarning,
      onInfo: (message, detail) => this.#log.info(message, detail),
      onRender: (render) => this.#metrics.events.render(render),
    });
    this.#metrics = new Metrics({
      server: () => this.#server?.stats(),
      cache: () => this.#cache.stats(),
      cacheBytes: settings.cacheBytes,
      memoryLimitBytes: settings.memoryLimitBytes,
      sessions: settings.sessions,
      store: () => this.#content.store?.stats(),
      routes: () => this.#content.routes.stats(),
      suppressedLines: () => this.#log.suppressed,
      version,
      workers: settings.workers,
      singlePort: settings.singlePort,
      history: () => this.#parents.history,
    });
    this.#metrics.events.setRoutes(settings.routes);
    this.#state = liveStateOf({
      server: () => this.#server,
      content: this.#content,
      cache: this.#cache,
      version,
      workers: settings.workers,
      singlePort: settings.singlePort,
      history: () => this.#parents.history,
    });
  }

  async run(): Promise<ExitCode> {
    const { interrupts } = this.#options;
    const stopAsked = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    interrupts.on('signal', this.#onSignal);
    interrupts.on('fault', this.#onFault);
    if (this.#options.config !== undefined) interrupts.on('reload', this.#onReload);
    try {
      this.#parents.meet(this.#onKeeperGone, () => void this.#handOver('a successor has taken over'));
      const failed = await this.#start();
      if (failed !== undefined) return failed;
      if (this.#stopsAsked === 0) this.#announce();
      await stopAsked;
      return await this.#stop();
    } finally {
      this.#state.stop();
      await this.#admin?.close();
      await this.#closeContent();
      await this.#log.close();
      this.#parents.close();
      interrupts.off('signal', this.#onSignal);
      interrupts.off('fault', this.#onFault);
      interrupts.off('reload', this.#onReload);
    }
  }

  /** @returns the exit code when the start failed or was canceled; undefined on success. */
  async #start(): Promise<ExitCode | undefined> {
    const { settings, config, version, start = startServer } = this.#options;
    this.#warnOfToken();
    // The admin address opens first, because it shows what the server waits for. A successor does not have it yet.
    const isSuccessor = this.#parents.isStandby;
    let failing: string = ADMIN_FAILED;
    try {
      if (settings.admin !== false && !isSuccessor) await this.#startAdmin(settings.admin);
      failing = 'cannot open the store';
      if (!isSuccessor && !(await this.#content.open(this.#stopAsked.signal))) return EXIT.fine;
    } catch (error) {
      return this.#startFailed(failing, error);
    }
    try {
      this.#server = await start(this.#serverOptions(isSuccessor));
      if (settings.admin !== false && isSuccessor) await this.#startAdmin(settings.admin);
      this.#parents.settle();
      // Live changes start only now: before this, there are no routes to replace.
      if (config !== undefined) this.#live = this.#liveConfig(config);
      await this.#live?.start();
      await this.#content.join(this.#server, version);
      return undefined;
    } catch (error) {
      const isConfig = error instanceof Error && error.name === 'RenderConfigError';
      return isConfig ? this.#configWrong(error) : this.#startFailed('cannot start the server', error);
    }
  }

  async #startAdmin(listen: Address): Promise<void> {
    const { config, settings } = this.#options;
    const { apiToken: token } = settings;
    this.#state.start();
    this.#admin = await ServedAdmin.start({
      listen,
      socket: this.#parents.adminSocket,
      onWarning: this.#onWarning,
      onListening: () => this.#tellAddresses(),
      live: liveApiOf(this.#state, this.#content),
      ...(token === undefined
        ? {}
        : {
            api: {
              token,
              run: settings.store === undefined ? undefined : (verb, args) => this.#content.runVerb(verb, args),
              reload: config && (async () => (await this.#live?.reload('requested over HTTP')) ?? NOT_STARTED),
              trace: (name, client) => this.#content.preview(name, client),
            },
          }),
      notReady: () => this.#notReady(),
      metrics: () => this.#metrics.registry.metrics(),
      metricsType: this.#metrics.registry.contentType,
    });
  }

  /** Returns why requests are not answered now; undefined: they are. Anybody may read it, so it names no path. */
  #notReady(): string | undefined {
    if (this.#stopsAsked > 0) return 'the server is stopping';
    if (this.#server === undefined) return this.#content.unreadable ?? 'the server is starting';
    if (!this.#server.ready) return 'none of the addresses to listen on exists yet';
    return this.#content.unreadable;
  }

  #liveConfig({ file, read }: NonNullable<RunOptions['config']>): LiveConfig {
    return new LiveConfig({
      file,
      started: this.#options.settings,
      read,
      apply: async (settings) => {
        await this.#content.replaceRoutes(settings);
        this.#metrics.events.setRoutes(settings.routes);
        this.#log.level = settings.logLevel;
      },
      onReloaded: this.#onReloaded,
      onWarning: this.#onWarning,
    });
  }

  readonly #onReload = (): void => void this.#live?.reload('SIGHUP');

  readonly #onReloaded = ({ result, error, restart }: Reloaded, reason: string): void => {
    this.#metrics.events.reload(result);
    if (result === 'failed') this.#log.error('reload failed, the previous config remains in use', { reason, error });
    else {
      const { routes, inventory } = this.#live!.settings;
      const nodes = inventory === undefined ? {} : { nodes: this.#content.routes.inventory?.size ?? 0 };
      this.#log.info('reloaded', { reason, routes: routes.length, ...nodes });
    }
    if (restart.length > 0) this.#log.info('changed settings that need a restart', { settings: [...restart] });
  };

  #configWrong(error: unknown): ExitCode {
    this.#log.fatal('the config is wrong', error);
    this.#options.stderr.write(`reveille: ${printableText(errorLine(error), 2000)}\n`);
    return EXIT.usage;
  }

  #startFailed(what: string, error: unknown): ExitCode {
    this.#log.fatal(what, error);
    this.#options.stderr.write(`reveille: ${what}: ${escapeText(errorLine(error))}${adviceFor(what, error)}\n`);
    return EXIT.failed;
  }

  #serverOptions(isSuccessor: boolean): ServerOptions {
    const { settings } = this.#options;
    // Without an admin address the live state has no readers.
    const watched = settings.admin === false ? undefined : this.#state;
    return {
      ...networkOptions(settings),
      keep: this.#parents.keep,
      sources: async (engine) => {
        const takeOver = (): void => this.#parents.takeOver();
        if (isSuccessor) await this.#content.openAfter(takeOver, engine.clock, this.#stopAsked.signal);
        return await this.#content.sources(engine);
      },
      observer: {
        ...(watched === undefined ? {} : watched.observer),
        onStart: (record) => {
          watched?.onStart(record);
          this.#metrics.events.start(record);
        },
        onTransfer: (record) => {
          watched?.onTransfer(record);
          this.#metrics.events.transfer(record);
          this.#log.transfer(record);
        },
        onRefusal: (record) => {
          watched?.onRefusal(record);
          this.#metrics.events.refusal(record);
          this.#log.refusal(record);
        },
        onListening: () => this.#tellAddresses(),
        onWarning: this.#onWarning,
      },
    };
  }

  readonly #onWarning = (message: string, detail: Readonly<Record<string, unknown>>): void => {
    this.#metrics.events.warning();
    this.#log.warning(message, detail);
  };

  /** Warns when other users can read the token: its holder can change the store, and so what nodes run. */
  #warnOfToken(): void {
    const { settings, config } = this.#options;
    const file = settings.apiTokenFile ?? config?.file;
    if (settings.apiToken === undefined || file === undefined || !isReadByAll(file)) return;
    this.#onWarning('every user of this machine can read the API token', { file });
  }

  /** Warns once; afterwards only the metric counts. */
  #warnOfBudget(bytes: number): void {
    if (this.#toldOfBudget) return;
    this.#toldOfBudget = true;
    this.#onWarning('boot sets in use take more memory than cacheBytes', {
      bytes,
      cacheBytes: this.#options.settings.cacheBytes,
    });
  }

  async #closeContent(): Promise<void> {
    try {
      await this.#live?.close();
      await this.#content.close();
      this.#cache.close();
    } catch (error) {
      this.#log.fatal('closing the store failed', error);
    }
  }

  #announce(): void {
    const { settings, stderr } = this.#options;
    this.#tellAddresses();
    if (settings.root === undefined || !(settings.hint ?? stderr.isTTY === true)) return;
    // Not awaited: the search for an example on a disk that hangs must not delay a stop.
    firstFetch(this.#server?.addresses ?? [], this.#server?.httpAddresses ?? [], settings.root).then(
      (hint) => {
        if (hint !== undefined && this.#stopsAsked === 0) stderr.write(`${hint}\n`);
      },
      () => {},
    );
  }

  /** Reports the addresses: at the start, and when one has appeared. The log line means that requests are answered. */
  #tellAddresses(): void {
    if (this.#stopsAsked > 0 || this.#server === undefined) return;
    const { settings, version } = this.#options;
    const { addresses, httpAddresses: http } = this.#server;
    const open = settings.clients.length === 0 ? publicAddress([...addresses, ...http]) : undefined;
    if (open !== undefined)
      this.#onWarning('every client on the Internet can download files: restrict them with the setting clients', {
        address: open,
      });
    const where = [...addresses.map(formatAddress), ...http.map(urlOf)];
    this.#parents.ready(
      addresses.length === 0 ? 'Waiting for an address to listen on' : `Listening on ${where.join(', ')}`,
    );
    if (addresses.length === 0) return;
    this.#log.listening(listeningRecord(this.#server, settings, this.#admin?.address, version));
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => this.#askToStop(signal);

  readonly #onFault = (error: unknown): void => {
    if (this.#faults++ < MAX_FAULTS_TOLD) this.#log.fatal('unhandled error', error);
    if (this.#faults > 1 || !this.#parents.hasKeeper) return this.#askToStop('unhandled error');
    // The keeper starts the next server once this one has ended, which therefore waits for nothing.
    void this.#handOver('unhandled error').finally(() => this.#askToStop('at once'));
  };

  /** Nobody holds the sockets any longer, and a server started by another keeper could not open them. */
  readonly #onKeeperGone = (): void => this.#onFault(new Error('the keeper has ended'));

  /** Leaves the transfers to the next server; HTTP connections end here. */
  async #handOver(reason: string): Promise<void> {
    this.#isHandedOver = true;
    await this.#server?.handOver?.();
    await this.#admin?.close();
    this.#parents.handedOver();
    this.#askToStop(reason);
  }

  /** Stops: the first request starts a graceful shutdown, the second aborts the running transfers. */
  #askToStop(reason: string): void {
    this.#stopsAsked++;
    if (this.#stopsAsked > 2) return;
    this.#log.info('stopping', {
      reason,
      active: this.#server?.stats().transfersActive ?? 0,
      drainMs: this.#drainMs(),
    });
    this.#parents.stopping(this.#faults > 0 || this.#isHandedOver);
    this.#stopAsked.abort();
    this.#wake();
    // Its failure is the same as that of the first call, which #stop awaits.
    if (this.#stopsAsked > 1) this.#server?.stop(0).catch(() => {});
  }

  #drainMs(): number {
    return this.#stopsAsked > 1 ? 0 : (this.#live?.settings ?? this.#options.settings).drainMs;
  }

  async #stop(): Promise<ExitCode> {
    try {
      const aborted = await this.#server!.stop(this.#drainMs());
      this.#log.info('stopped', { aborted });
      if (this.#faults > 0) return EXIT.failed;
      return aborted > 0 ? EXIT.cutShort : EXIT.fine;
    } catch (error) {
      this.#log.fatal('stopping failed', error);
      return EXIT.failed;
    }
  }
}

/** Serves until a signal or a fault. @returns the exit code, once everything is closed. */
export function runServer(options: RunOptions): Promise<ExitCode> {
  return new ServerRun(options).run();
}
