/**
 * The server's side of the keeper: sockets that the process was given at its start, by the keeper or by a service
 * manager, and the copies that the keeper holds. Without a keeper nothing is held, and sockets are only given.
 */
import { closeDescriptor, DescriptorChannel, type Passed } from '../engine/descriptor-channel.ts';
import { boundSocket, type BoundSocket, canonicalAddress } from '../engine/bound-socket.ts';
import type { SocketKeep, SocketUse } from '../engine/socket-keep.ts';
import type { Address } from '../engine/types.ts';
import { formatAddress } from '../text/address-text.ts';
import { givenDescriptors } from './given-descriptors.ts';
import {
  CHANNEL_VARIABLE,
  decodeMessage,
  FIRST_SERVER,
  encodeMessage,
  type History,
  KEEPER_VERSION,
  MAX_ENTRIES,
  type Message,
} from './protocol.ts';

/** How long the keeper may take to answer. It does nothing else; longer means that it hangs. */
const ANSWER_MS = 5000;
/** How long dropped descriptors may wait, so that one message names many. */
const FLUSH_MS = 5;
/** Pause between closing some sockets and the next ones, ms. */
const DISCARD_MS = 10;
/** The label of a region of transfers. */
const REGION = 'region';

type Environment = Record<string, string | undefined>;

interface Given {
  readonly key: number;
  readonly fd: number;
  /** Label that the server before gave it; empty for a socket of a service manager. */
  readonly label: string;
}

export class KeptSockets implements SocketKeep {
  /** History of the servers before this one. */
  history: History = FIRST_SERVER;
  /** Why the sockets of the server before are not used, in words; undefined: they are. */
  fault: string | undefined;
  /** True while another server answers requests, which this one will replace. */
  isStandby = false;
  readonly #channel: DescriptorChannel | undefined;
  readonly #given = new Set<Given>();
  /** The given descriptors by label, the oldest first. */
  readonly #byLabel = new Map<string, Given[]>();
  /** Keys of descriptors that the keeper holds, by the descriptor in this process. */
  readonly #keys = new Map<number, number>();
  /** Descriptors of transfers that are to be passed, and keys that are to be dropped. */
  readonly #waiting = new Map<number, { readonly key: number; readonly label: string }>();
  readonly #drops: number[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #hasTaken = false;
  #isForeign = false;
  /** True once a successor has the descriptors: the keeper's copies are no longer of our business. */
  #hasLeft = false;
  #nextKey = 0;

  private constructor(channel: DescriptorChannel | undefined) {
    this.#channel = channel;
  }

  /**
   * Reads the environment, removes its variables, and greets the keeper. Blocks until it has answered.
   *
   * @returns undefined for a process that has no keeper and was given no socket.
   * @throws Error with the reason why descriptors can't be used: not on Linux, no koffi.
   */
  static open(environment: Environment): KeptSockets | undefined {
    const given = givenDescriptors(environment, process.pid);
    const variable = environment[CHANNEL_VARIABLE];
    delete environment[CHANNEL_VARIABLE];
    if (variable !== undefined && /^[0-9]{1,6}$/.test(variable)) {
      const kept = new KeptSockets(new DescriptorChannel(Number(variable)));
      kept.#greet();
      if (!kept.isStandby) kept.takeOver();
      return kept;
    }
    if (given.length === 0) return undefined;
    const kept = new KeptSockets(undefined);
    kept.#add(given.map((fd, key) => ({ key, fd, label: '' })));
    return kept;
  }

  #add(given: readonly Given[]): void {
    for (const one of given.toSorted((a, b) => a.key - b.key)) {
      const { key, label } = one;
      this.#given.add(one);
      this.#nextKey = Math.max(this.#nextKey, key + 1);
      const others = this.#byLabel.get(label);
      if (others === undefined) this.#byLabel.set(label, [one]);
      else others.push(one);
    }
  }

  #greet(): void {
    this.#tell({ type: 'hello', version: KEEPER_VERSION });
    const welcome = this.#await(ANSWER_MS)?.message;
    if (welcome?.type !== 'welcome') {
      this.fault ??= 'a message of the keeper makes no sense';
      return;
    }
    this.isStandby = welcome.standby;
    if (welcome.version === KEEPER_VERSION) return;
    // It would not understand anything else.
    this.#isForeign = true;
    this.fault = `the keeper speaks version ${welcome.version} of its protocol, expected ${KEEPER_VERSION}`;
    this.isStandby = false;
  }

  takeOver(): void {
    if (this.#hasTaken) return;
    this.#hasTaken = true;
    this.isStandby = false;
    if (this.#channel === undefined || this.fault !== undefined) return;
    this.#tell({ type: 'take' });
    const given: Given[] = [];
    while (this.fault === undefined) {
      const passed = this.#await(ANSWER_MS);
      if (passed === undefined) break;
      const { message, fds, isCut } = passed;
      if (message?.type === 'complete') {
        this.history = message.history;
        return this.#add(given);
      }
      const { keys, labels } = message?.type === 'hold' ? message : { keys: [], labels: [] };
      for (const [index, fd] of fds.entries()) given.push({ fd, key: keys[index] ?? 0, label: labels[index] ?? '' });
      if (message?.type !== 'hold') this.fault = 'a message of the keeper makes no sense';
      else if (isCut || fds.length !== keys.length) {
        this.fault = `expected ${keys.length} descriptors in a message of the keeper, got ${fds.length}`;
      }
    }
    for (const { fd } of given) closeDescriptor(fd);
    this.#tell({ type: 'forget' });
  }

  /** Waits for the next message. @returns undefined, with a fault, when there is none. */
  #await(ms: number): (Passed & { readonly message: Message | undefined }) | undefined {
    const channel = this.#channel!;
    const until = performance.now() + ms;
    for (;;) {
      const passed = channel.receive();
      if (passed !== undefined) return { ...passed, message: decodeMessage(passed.text) };
      const left = Math.ceil(until - performance.now());
      if (channel.hasEnded) this.fault = 'the keeper has ended';
      else if (left <= 0 || !channel.wait(left)) this.fault = `the keeper has not answered within ${ms} ms`;
      if (this.fault !== undefined) return undefined;
    }
  }

  /** True where a keeper starts the server again when it dies. */
  get hasKeeper(): boolean {
    return this.#channel !== undefined && !this.#isForeign;
  }

  get deathsAtOnce(): number {
    return this.history.deathsAtOnce;
  }

  take(use: SocketUse, local: Address): number | undefined {
    const label = labelOf(use, local);
    const known = this.#takeLabeled(label);
    if (known !== undefined) return known.fd;
    const given = this.#byLabel.get('')?.find((one) => this.#given.has(one) && isAt(one, use, local));
    if (given === undefined) return undefined;
    this.#given.delete(given);
    this.#keys.set(given.fd, given.key);
    // A socket of a service manager has no label yet, and its address may be written in another way.
    this.#hold(given.key, label, given.fd);
    return given.fd;
  }

  keep(use: SocketUse, local: Address, fd: number): void {
    if (!this.hasKeeper) return;
    const key = this.#nextKey++;
    this.#keys.set(fd, key);
    this.#hold(key, labelOf(use, local), fd);
  }

  release(fd: number): void {
    const key = this.#keys.get(fd);
    if (key === undefined || this.#hasLeft) return;
    this.#keys.delete(fd);
    // A descriptor that still waits must not be passed any more.
    if (this.#waiting.delete(fd)) return;
    this.#drops.push(key);
    this.#flushLater();
  }

  keepTransfer(local: Address, fd: number): void {
    if (!this.hasKeeper) return;
    const key = this.#nextKey++;
    this.#keys.set(fd, key);
    this.#waiting.set(fd, { key, label: transferLabel(local) });
  }

  /** Takes the socket of a transfer of the server before. The caller owns it. @returns undefined: there is none. */
  takeTransfer(local: Address): number | undefined {
    const given = this.#takeLabeled(transferLabel(local));
    return given?.fd;
  }

  /** Takes the regions of the servers before, the newest first. The caller owns them. */
  takeRegions(): number[] {
    const fds: number[] = [];
    for (let given = this.#takeLabeled(REGION); given !== undefined; given = this.#takeLabeled(REGION)) {
      fds.unshift(given.fd);
    }
    return fds;
  }

  /** Has the keeper hold a region of transfers. */
  keepRegion(fd: number): void {
    const key = this.#nextKey++;
    this.#keys.set(fd, key);
    this.#hold(key, REGION, fd);
  }

  flush(): void {
    while (this.#waiting.size > 0) {
      const batch = [...take(this.#waiting, MAX_ENTRIES)];
      const message: Message = {
        type: 'hold',
        keys: batch.map(([, { key }]) => key),
        labels: batch.map(([, { label }]) => label),
      };
      const fds = batch.map(([fd]) => fd);
      if (this.#channel?.send(encodeMessage(message), fds) !== true) return this.#flushLater();
      for (const fd of fds) this.#waiting.delete(fd);
    }
  }

  #flushAll(): void {
    this.flush();
    while (this.#drops.length > 0) {
      const keys = this.#drops.slice(0, MAX_ENTRIES);
      if (this.#channel?.send(encodeMessage({ type: 'drop', keys })) !== true) return this.#flushLater();
      this.#drops.splice(0, keys.length);
    }
  }

  #flushLater(): void {
    if (this.#timer !== undefined || this.#isClosed || this.#hasLeft) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#flushAll();
    }, FLUSH_MS).unref();
  }

  #takeLabeled(label: string): Given | undefined {
    const given = this.#byLabel.get(label)?.pop();
    if (given === undefined) return undefined;
    this.#given.delete(given);
    this.#keys.set(given.fd, given.key);
    return given;
  }

  /** Tells the keeper that requests are answered. */
  ready(): void {
    this.#tell({ type: 'ready' });
  }

  /** Calls `onGone` once when the keeper has ended, and `onHandOver` when a successor wants the descriptors. */
  watch(onGone: () => void, onHandOver: () => void): void {
    const channel = this.#channel;
    channel?.watch(() => {
      for (let passed = channel.receive(); passed !== undefined; passed = channel.receive()) {
        for (const fd of passed.fds) closeDescriptor(fd);
        if (decodeMessage(passed.text)?.type === 'handOver') onHandOver();
      }
      if (!channel.hasEnded) return;
      channel.unwatch();
      onGone();
    });
  }

  /** Passes what waits. From then on the keeper's copies stay as they are, whatever this process closes. */
  leave(): void {
    this.#flushAll();
    clearTimeout(this.#timer);
    this.#hasLeft = true;
  }

  /** Tells the keeper that this process uses none of the descriptors any more. Call after leave(). */
  handedOver(): void {
    this.#tell({ type: 'handedOver' });
  }

  /**
   * Closes the given sockets that nobody has taken.
   *
   * @returns those that came from a service manager, in words for a warning.
   */
  closeRest(): string[] {
    const rest = [...this.#given];
    this.#given.clear();
    this.#byLabel.clear();
    this.#discard(rest);
    return rest.filter(({ label }) => label === '').map(({ fd }) => inWords(boundSocket(fd)));
  }

  /** Closes descriptors, some at a time: thousands of sockets in stock would keep requests waiting. */
  #discard(rest: readonly Given[]): void {
    if (rest.length === 0) return;
    setTimeout(() => {
      const some = rest.slice(0, MAX_ENTRIES);
      this.#tell({ type: 'drop', keys: some.map(({ key }) => key) });
      for (const { fd } of some) closeDescriptor(fd);
      this.#discard(rest.slice(MAX_ENTRIES));
    }, DISCARD_MS).unref();
  }

  close(): void {
    this.#isClosed = true;
    if (!this.#hasLeft) this.#flushAll();
    clearTimeout(this.#timer);
    this.#channel?.close();
  }

  #hold(key: number, label: string, fd: number): void {
    this.#channel?.send(encodeMessage({ type: 'hold', keys: [key], labels: [label] }), [fd]);
  }

  #tell(message: Message): void {
    if (!this.#isForeign) this.#channel?.send(encodeMessage(message));
  }
}

function* take<K, V>(map: Map<K, V>, most: number): Iterable<[K, V]> {
  let left = most;
  for (const entry of map) {
    if (left-- <= 0) return;
    yield entry;
  }
}

function transferLabel(local: Address): string {
  return `transfer ${formatAddress(local)}`;
}

function labelOf(use: SocketUse, local: Address): string {
  return `${use} ${formatAddress(local)}`;
}

/** Tells whether a socket of a service manager is the wanted one. */
function isAt({ fd }: Given, use: SocketUse, wanted: Address): boolean {
  const bound = boundSocket(fd);
  if (bound === undefined || bound.kind !== (use.startsWith('tftp') ? 'udp' : 'tcp') || !bound.isOpen) return false;
  if (bound.isDual && use !== 'admin') return false;
  const { address, port } = canonicalAddress(wanted);
  return bound.local.address === address && bound.local.port === port;
}

function inWords(bound: BoundSocket | undefined): string {
  if (bound === undefined) return 'not a socket of IPv4 or IPv6';
  const { kind, local, isOpen, isDual } = bound;
  const reason = isDual
    ? ', which also takes IPv4: set BindIPv6Only=ipv6-only'
    : isOpen
      ? ''
      : ', which does not listen: set Accept=no';
  return `${kind} ${formatAddress(local)}${reason}`;
}
