/**
 * Writes changes of shared pins that no reply waits for: together, a short while after the first one. Bounded: anybody
 * can make up nodes while nothing can be written. Knows nodes' names; no pins and no connection.
 */
import type { TablesClock } from '../node/address-tables.ts';
import type { NodeId } from '../node/node-identity.ts';

/** Delay of changes that no reply waits for, so that they are written together. */
const WRITE_AFTER_MS = 10;
/** @limit Nodes in one command to the server of shared pins. */
const NODES_AT_ONCE = 100;
/**
 * Pause after a write that the server of shared pins refused (it has no memory left, say): all nodes would be written
 * again at each change otherwise.
 */
const PAUSE_MS = 1000;
/**
 * Beyond it the change that has waited longest is forgotten; the next change of that node offers it again.
 * @limit Nodes whose changes wait for the server of shared pins. Shows: nothing: boots under way are offered when it
 * returns.
 */
const MAX_WAITING = 131_072;

/** Longest time that a server which stops goes on writing. */
const CLOSE_MS = 1000;

export interface SharedWritesOptions {
  readonly clock: TablesClock;
  /** True while the server of shared pins can be asked. */
  readonly isUp: () => boolean;
  /** Writes nodes' pins in one command. @returns false when they were not written. */
  readonly write: (nodes: readonly NodeId[]) => Promise<boolean>;
  /** Default MAX_WAITING. */
  readonly most?: number;
}

export class SharedWrites {
  readonly #options: SharedWritesOptions;
  readonly #most: number;
  readonly #waiting = new Set<NodeId>();
  #cancel: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** No write begins earlier. */
  #pausedUntil = Number.NEGATIVE_INFINITY;
  /** No command is sent later. */
  #endsAt = Number.POSITIVE_INFINITY;

  constructor(options: SharedWritesOptions) {
    this.#options = options;
    this.#most = options.most ?? MAX_WAITING;
  }

  /** Number of nodes whose changes wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Writes a node's pins soon; while the server of shared pins is away, after its return. */
  add(node: NodeId): void {
    this.keep(node);
    const { clock, isUp } = this.#options;
    if (!isUp()) return;
    this.#cancel ??= clock.wake(Math.max(clock.now() + WRITE_AFTER_MS, this.#pausedUntil), () => {
      this.#cancel = undefined;
      this.#writing = this.#writing.then(() => this.#write());
    });
  }

  /** Writes a node's pins together with the next change. */
  keep(node: NodeId): void {
    this.#waiting.delete(node);
    this.#waiting.add(node);
    if (this.#waiting.size > this.#most) this.#waiting.delete(this.#waiting.keys().next().value!);
  }

  /** Writes what is waiting, as far as the server of shared pins takes it in time. */
  async close(): Promise<void> {
    this.#endsAt = this.#options.clock.now() + CLOSE_MS;
    this.#cancel?.();
    this.#cancel = undefined;
    await this.#writing;
    await this.#write();
  }

  async #write(): Promise<void> {
    const { clock, isUp, write } = this.#options;
    const nodes = [...this.#waiting];
    this.#waiting.clear();
    for (let at = 0; at < nodes.length; at += NODES_AT_ONCE) {
      // oxlint-disable-next-line no-await-in-loop -- one command at a time, so that requests' own come in between.
      if (isUp() && clock.now() < this.#endsAt && (await write(nodes.slice(at, at + NODES_AT_ONCE)))) continue;
      for (const node of nodes.slice(at)) this.keep(node);
      // A server that returns may be written to at once.
      if (isUp()) this.#pausedUntil = clock.now() + PAUSE_MS;
      return;
    }
  }
}
