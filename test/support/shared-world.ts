/**
 * A fleet, its engine and its nodes in trouble, by a seed: nodes boot again and again, at servers that change in the
 * middle of boots, while versions are published, links are cut, answers late or lost, the engine is flushed or fails over to
 * an older state, clocks are wrong, and servers restart. Judges each boot by the versions of its files.
 */
import { CHANNEL, digestOf, Fleet, type FleetServer, NAMES } from './shared-fleet.ts';
import { Random } from './random.ts';

/** How nodes find a server: each has its own, all use one that changes, or any server gets any request. */
const WAYS = ['rows', 'moving', 'any'] as const;
/** How nodes say who they are: not at all, by the config's name, or by the first folder of every name. */
const MANNERS = ['silent', 'config', 'folder', 'rendered'] as const;

const RUN_MS = 120_000;
/** Within this time, a version reaches all servers. */
const SPREAD_MS = 8000;
/** A node needs longer for a reset than servers trust an answer. */
const RESET_MS = 3000;
/** Within this time, servers offer again all that the engine lost. */
const OFFERED_MS = 3000;
/** For this time after it was cut off, a server keeps boots that are past loaders and configs. */
const KEPT_MS = 60_000;

interface Fault {
  readonly from: number;
  to: number;
  readonly what: string;
}

interface Boot {
  readonly node: string;
  readonly beganAt: number;
  readonly servers: Set<string>;
  /** Digests by file, in the order of arrival. */
  readonly got: [file: string, digest: string, server: string, at: number][];
}

export interface WorldOptions {
  readonly servers?: number;
  readonly nodes?: number;
  readonly runMs?: number;
  /** False: nothing fails, but servers change and versions are published. */
  readonly hasFaults?: boolean;
}

export interface Verdict {
  boots: number;
  files: number;
  /** Boots with files of several versions that no rule of docs/fleet.md explains. */
  readonly mixed: string[];
  /** Mixed boots by the cause that docs/fleet.md names. */
  readonly excused: Record<string, number>;
  /** Files by digest that were of another version. */
  readonly wrongDigests: string[];
  adopted: number;
  kept: number;
}

export async function liveThrough(seed: number, options: WorldOptions = {}): Promise<Verdict> {
  return await new SharedWorld(seed, options).run();
}

class SharedWorld {
  readonly #random: Random;
  readonly #fleet: Fleet;
  readonly #runMs: number;
  readonly #nodes: number;
  readonly #hasFaults: boolean;
  readonly #way: (typeof WAYS)[number];
  readonly #faults: Fault[] = [];
  readonly #publishedAt = new Map<string, number>();
  readonly #verdict: Verdict = {
    boots: 0,
    files: 0,
    mixed: [],
    excused: {},
    wrongDigests: [],
    adopted: 0,
    kept: 0,
  };
  #holder = 0;
  #slowMs = 1;

  constructor(seed: number, { servers = 5, nodes = 50, runMs = RUN_MS, hasFaults = true }: WorldOptions) {
    const random = new Random(seed);
    this.#random = random;
    this.#runMs = runMs;
    this.#nodes = nodes;
    this.#hasFaults = hasFaults;
    this.#way = random.pick(WAYS);
    const skews = Array.from({ length: servers }, () => (random.chance(0.5) ? random.between(-900_000, 900_000) : 0));
    this.#fleet = new Fleet(servers, { seed, skews, delayMs: (one) => one.unit() * 2 * this.#slowMs });
  }

  async run(): Promise<Verdict> {
    const { clock, servers } = this.#fleet;
    this.#publish('v0', 0);
    await this.#fleet.pass(300);
    for (let version = 1; version <= 3; version++) {
      const at = this.#random.between(5000, this.#runMs);
      clock.wake(at, () => this.#publish(`v${version}`, this.#random.chance(0.3) ? SPREAD_MS : 0));
    }
    if (this.#way === 'moving') this.#moveLater();
    if (this.#hasFaults) for (let left = 4; left > 0; left--) this.#failLater();
    for (let node = 0; node < this.#nodes; node++) void this.#live(node);
    await clock.runAsync(this.#runMs);
    for (const { source } of servers) {
      const { adopted = 0, kept = 0 } = source.stats().sharedPins ?? {};
      this.#verdict.adopted += adopted;
      this.#verdict.kept += kept;
    }
    return this.#verdict;
  }

  #sleep(ms: number): Promise<void> {
    const { clock } = this.#fleet;
    return new Promise((resolve) => clock.wake(clock.now() + ms, resolve));
  }

  /** @param spreadMs within which the servers get it. */
  #publish(version: string, spreadMs: number): void {
    const { clock, servers } = this.#fleet;
    this.#publishedAt.set(version, clock.now());
    for (const server of servers) {
      clock.wake(clock.now() + this.#random.unit() * spreadMs, () => server.publish(version));
    }
  }

  #moveLater(): void {
    const { clock, servers } = this.#fleet;
    clock.wake(clock.now() + this.#random.between(2000, 30_000), () => {
      this.#holder = this.#random.between(0, servers.length - 1);
      this.#moveLater();
    });
  }

  #failLater(): void {
    const { clock } = this.#fleet;
    clock.wake(this.#random.between(1000, this.#runMs), () => this.#fail());
  }

  #fail(): void {
    const { clock, redis, servers } = this.#fleet;
    const now = clock.now();
    const fault = (what: string, ms: number, end: () => void): void => {
      this.#faults.push({ from: now, to: now + ms, what });
      clock.wake(now + ms, end);
    };
    const server = this.#random.pick(servers);
    const ms = this.#random.between(100, 20_000);
    switch (this.#random.between(0, 6)) {
      case 0:
        server.link.cut();
        fault('cut off', ms, () => server.link.mend());
        break;
      case 1:
        for (const one of servers) one.link.cut();
        fault('cut off', ms, () => this.#mendAll());
        break;
      case 2:
        this.#slowMs = this.#random.between(10, 200);
        fault('cut off', ms, () => {
          this.#slowMs = 1;
          for (const one of servers) one.link.mend();
        });
        break;
      case 3:
        server.link.lostAnswers = 0.3;
        fault('cut off', ms, () => {
          server.link.lostAnswers = 0;
          server.link.mend();
        });
        break;
      case 4:
        redis.flush();
        fault('lost writes', 0, () => {});
        break;
      case 5: {
        const snapshot = redis.snapshot();
        const lostMs = this.#random.between(100, 2000);
        fault('lost writes', lostMs, () => redis.failOver(snapshot));
        break;
      }
      default:
        server.restart();
        fault('restart', 0, () => {});
    }
  }

  #mendAll(): void {
    for (const { link } of this.#fleet.servers) link.mend();
  }

  #serverFor(node: number): FleetServer {
    const { servers } = this.#fleet;
    if (this.#way === 'moving') return servers[this.#holder]!;
    if (this.#way === 'any') return this.#random.pick(servers);
    // A few nodes of a row are sent to another server now and then.
    const own = servers[node % servers.length]!;
    return this.#random.chance(0.02) ? this.#random.pick(servers) : own;
  }

  async #live(node: number): Promise<void> {
    await this.#sleep(this.#random.between(0, 20_000));
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- a node boots again and again.
      await this.#boot(node, MANNERS[node % MANNERS.length]!);
      // oxlint-disable-next-line no-await-in-loop -- as above.
      await this.#sleep(RESET_MS + this.#random.between(0, 20_000));
    }
  }

  async #boot(node: number, manner: (typeof MANNERS)[number]): Promise<void> {
    const { clock } = this.#fleet;
    const random = this.#random;
    const mac = `52-54-00-00-00-${node.toString(16).padStart(2, '0')}`;
    const client = `10.0.0.${node + 1}`;
    const boot: Boot = { node: `${manner} ${client}`, beganAt: clock.now(), servers: new Set(), got: [] };
    const folder = manner === 'folder' ? `${mac}/` : '';
    const [loader, config, , kernel, initrd] = NAMES as [string, string, string, string, string];
    const files =
      manner === 'config'
        ? [loader, `pxelinux.cfg/01-${mac}`, config, kernel, initrd]
        : [loader, config, kernel, initrd];
    let path = `${CHANNEL}/${folder}`;
    for (const file of files) {
      // A node may be reset at any time.
      if (random.chance(0.03)) break;
      const transferMs = random.between(10, 2000);
      const server = this.#serverFor(node);
      if (manner === 'rendered' && file === config) {
        const request = { path: `boot/01-${mac}`, client, ids: [`mac:${mac.replaceAll('-', ':')}`] };
        // oxlint-disable-next-line no-await-in-loop -- a node asks for one file after the other.
        const chosen = await server.source.choose(CHANNEL, request).catch(() => undefined);
        if (chosen !== undefined) path = `${CHANNEL}@sha256-${chosen.version.manifest}/`;
        if (chosen !== undefined) this.#note(boot, file, chosen.version.manifest, server);
      } else {
        // oxlint-disable-next-line no-await-in-loop -- as above.
        const digest = await server.read(`${path}${file}`, client, transferMs);
        if (digest.length === 64) this.#note(boot, file, digest, server);
        const wanted = /@sha256-([0-9a-f]{64})/.exec(path)?.[1];
        if (wanted !== undefined && digest.length === 64 && digest !== wanted) {
          this.#verdict.wrongDigests.push(`${boot.node}: ${file}`);
        }
      }
      // oxlint-disable-next-line no-await-in-loop -- as above.
      await this.#sleep(transferMs + random.between(10, 3000));
    }
    this.#judge(boot);
  }

  #note(boot: Boot, file: string, digest: string, { name }: FleetServer): void {
    boot.servers.add(name);
    boot.got.push([file, digest, name, this.#fleet.clock.now()]);
    this.#verdict.files++;
  }

  #judge(boot: Boot): void {
    const verdict = this.#verdict;
    verdict.boots++;
    if (new Set(boot.got.map(([, digest]) => digest)).size < 2) return;
    const excuse = this.#excuseOf(boot);
    if (excuse === undefined) {
      const names = new Map([0, 1, 2, 3].map((one) => [digestOf(`v${one}`), `v${one}`]));
      const files = boot.got.map(([file, digest, server, at]) => `${file} ${names.get(digest)} ${server} ${at}`);
      verdict.mixed.push(`${this.#way} ${boot.node} from ${boot.beganAt}: ${files.join(', ')}`);
    } else verdict.excused[excuse] = (verdict.excused[excuse] ?? 0) + 1;
  }

  /** The rows of the table in docs/fleet.md. */
  #excuseOf({ node, beganAt, servers, got }: Boot): string | undefined {
    const now = this.#fleet.clock.now();
    const fault = (what: string, aftermathMs: number): boolean =>
      this.#faults.some((one) => one.what === what && one.from <= now && one.to + aftermathMs >= beganAt);
    // A node that is known by its address first and by a name later.
    const isNamedLate = node.startsWith('config') || node.startsWith('rendered');
    const hasGap = fault('cut off', KEPT_MS) || fault('lost writes', KEPT_MS) || fault('restart', KEPT_MS);
    if (isNamedLate && hasGap) return 'named late';
    if (servers.size < 2) return undefined;
    if (fault('cut off', KEPT_MS)) return 'cut off';
    if (fault('lost writes', OFFERED_MS)) return 'lost writes';
    const isLacking = got.some(([, digest, , at]) =>
      [...this.#publishedAt].some(([version, since]) => digestOf(version) === digest && at - since < SPREAD_MS),
    );
    return isLacking ? 'lacking' : undefined;
  }
}
