/**
 * Recent requests of each node, in memory: a bounded ring of asks for each address, and the addresses from which each
 * machine has asked. Fed by the server's hooks; knows no HTTP, no words and no transfers under way.
 */
import { areOfTwoMachines, kindOf, nodesInPath, type NodeId } from '../boot-set/node/node-identity.ts';
import { cleanName } from '../content/name.ts';
import type { Address } from '../engine/types.ts';
import type {
  DropRecord,
  Protocol,
  RefusalRecord,
  RequestRecord,
  StartRecord,
  TransferRecord,
} from '../server/types.ts';
import type { Ask, AskEnd, AskStart } from './ask.ts';
import type { FileKind } from '../live/wire.ts';

/**
 * Maximum number of addresses; those with the longest silence are forgotten first.
 * @limit Nodes remembered, by address. Shows: `reveille node` knows nothing of the node.
 */
const MAX_NODES = 16_384;
/**
 * Maximum number of asks over all addresses. A boot has about twenty.
 * @limit Requests remembered of all nodes. Shows: `reveille node` counts those that are forgotten.
 */
const MAX_ASKS = 131_072;
/**
 * Maximum number of asks for one address.
 * @limit Requests remembered of one node. Shows: `reveille node` counts those that are forgotten.
 */
const ASKS_PER_NODE = 256;
/** Precision of the order of silence in milliseconds: an exact order would cost more than all the rest. */
const ORDERED_MS = 1000;
/** Characters kept of a name, and of the options in its request. */
const MAX_SHOWN = 200;
const MAX_OPTIONS_SHOWN = 120;
/** Maximum number of strings shared by all nodes. */
const MAX_SHARED = 512;
/** Maximum number of starts shared by nodes that fetch the same file. */
const MAX_STARTS = 16;

export interface NodeHistoryOptions {
  /** Escapes text from outside and cuts it to `most` characters. */
  readonly show: (text: string, most: number) => string;
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number;
  readonly mostNodes?: number;
  readonly mostAsks?: number;
  readonly mostAsksPerNode?: number;
}

/** Memory of one address. */
export interface NodeMemory {
  readonly address: string;
  /** Ids of the machine at this address, learned from the names of its requests: at most one of each kind. */
  readonly ids: readonly NodeId[];
  /** Oldest first, at least one. */
  readonly asks: readonly Ask[];
  /** Number of asks that have been forgotten. */
  readonly forgotten: number;
  readonly lastAt: number;
}

/** Times are kept as milliseconds after this moment: V8 keeps small numbers inside the object. */
const EPOCH = Date.now();

/**
 * An ask as it is remembered, by the hundred thousand. The garbage collector moves every separate object during a
 * storm, so an ask is a single object and shares equal strings and starts with others.
 */
class Remembered implements Ask {
  readonly transfer: number;
  readonly protocol: Protocol;
  readonly port: number;
  readonly local: string;
  readonly file: string;
  readonly options: string;
  kind: FileKind | undefined = undefined;
  repeats = 0;
  started: AskStart | undefined = undefined;
  end: AskEnd | undefined;
  readonly #at: number;
  #askedAt: number;
  #lastAt: number;

  constructor(asked: Pick<Ask, 'transfer' | 'protocol' | 'at' | 'port' | 'local' | 'file' | 'options' | 'end'>) {
    this.transfer = asked.transfer;
    this.protocol = asked.protocol;
    this.port = asked.port;
    this.local = asked.local;
    this.file = asked.file;
    this.options = asked.options;
    this.end = asked.end;
    this.#at = this.#askedAt = this.#lastAt = asked.at - EPOCH;
  }

  get at(): number {
    return EPOCH + this.#at;
  }

  get askedAt(): number {
    return EPOCH + this.#askedAt;
  }

  get lastAt(): number {
    return EPOCH + this.#lastAt;
  }

  asked(now: number): void {
    this.repeats++;
    this.#askedAt = this.#lastAt = now - EPOCH;
  }

  ended(end: AskEnd, now: number): void {
    this.end = end;
    this.#lastAt = now - EPOCH;
  }
}

/** Keeps one copy of strings that occur often. */
class Shared {
  readonly #known = new Map<string, string>();

  get(text: string): string {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    if (this.#known.size >= MAX_SHARED) this.#known.clear();
    this.#known.set(text, text);
    return text;
  }
}

/** Where a request came from: ports of UDP and TCP are apart. */
type Place = Pick<Ask, 'protocol' | 'port' | 'local'>;

class Memory implements NodeMemory {
  readonly address: string;
  ids: readonly NodeId[] = [];
  readonly asks: Remembered[] = [];
  forgotten = 0;
  lastAt: number;
  /** Time of the last move to the end of the order. */
  orderedAt: number;

  constructor(address: string, now: number) {
    this.address = address;
    this.orderedAt = now;
    this.lastAt = now;
  }
}

/** @returns a flat copy of a string that was built from pieces. */
function ownCopy(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

export class NodeHistory {
  readonly #now: () => number;
  readonly #show: NodeHistoryOptions['show'];
  readonly #mostNodes: number;
  readonly #mostAsks: number;
  readonly #mostAsksPerNode: number;
  /** Ordered by silence, the longest first. */
  readonly #nodes = new Map<string, Memory>();
  readonly #addresses = new Map<NodeId, Set<string>>();
  readonly #shared = new Shared();
  readonly #starts: AskStart[] = [];
  #asks = 0;

  constructor(options: NodeHistoryOptions) {
    this.#show = options.show;
    this.#now = options.now ?? Date.now;
    this.#mostNodes = options.mostNodes ?? MAX_NODES;
    this.#mostAsks = options.mostAsks ?? MAX_ASKS;
    this.#mostAsksPerNode = options.mostAsksPerNode ?? ASKS_PER_NODE;
  }

  /** Number of addresses, and of asks over all of them, that are remembered now. */
  get size(): { readonly nodes: number; readonly asks: number } {
    return { nodes: this.#nodes.size, asks: this.#asks };
  }

  node(address: string): NodeMemory | undefined {
    return this.#nodes.get(address);
  }

  /** @returns the addresses from which a machine with this id has asked, the latest first. */
  addressesOf(id: NodeId): readonly string[] {
    const addresses = [...(this.#addresses.get(id) ?? [])];
    return addresses.toSorted((a, b) => this.#nodes.get(b)!.lastAt - this.#nodes.get(a)!.lastAt);
  }

  /** All addresses, the one with the longest silence first. */
  nodes(): Iterable<NodeMemory> {
    return this.#nodes.values();
  }

  request({ protocol, client, local, filename, options, done, transfer }: RequestRecord): void {
    const memory = this.#heardAgain(client.address) ?? this.#enter(client.address);
    const place: Place = { protocol, port: client.port, local };
    const former = this.#find(memory, done === 'repeated' ? (transfer ?? 0) : 0, place);
    if (done === 'repeated' && former !== undefined) {
      former.asked(this.#now());
      return;
    }
    // A client that asks again from this port has abandoned its earlier request; over HTTP, it waits for both.
    if (former !== undefined && former.end === undefined && protocol === 'tftp')
      this.#end(former, { kind: 'replaced' });
    const unanswered = done === 'admitted' || done === 'refused' || done === 'repeated' ? undefined : done;
    const file = this.#shown(filename, MAX_SHOWN);
    if (unanswered !== undefined && isSameSilence(former, file, unanswered)) {
      former.asked(this.#now());
      return;
    }
    this.#learn(memory, filename);
    memory.asks.push(
      new Remembered({
        transfer: transfer ?? 0,
        at: memory.lastAt,
        ...place,
        file,
        options:
          options.length === 0
            ? ''
            : this.#shown(options.map(({ name, value }) => `${name}=${value}`).join(' '), MAX_OPTIONS_SHOWN),
        end: unanswered === undefined ? undefined : { kind: 'unanswered', reason: unanswered },
      }),
    );
    this.#asks++;
    this.#bound(memory);
  }

  start({ id, protocol, client, local, origin, set, size, blksize, windowsize }: StartRecord): void {
    const ask = this.#findAt(client, id, { protocol, local });
    if (ask === undefined) return;
    ask.started = this.#start({ origin, channel: set?.channel ?? '', size, blksize, windowsize }, set?.version);
  }

  /** Nodes of a storm get a few files in a few block sizes, so an equal start of another node is shared. */
  #start(start: Omit<AskStart, 'version'>, number: number | undefined): AskStart {
    const { origin, channel, size, blksize, windowsize } = start;
    const version = number === undefined ? '' : `${channel}-${number}`;
    const known = this.#starts.find(
      (one) =>
        one.size === size &&
        one.blksize === blksize &&
        one.windowsize === windowsize &&
        one.origin === origin &&
        one.version === version,
    );
    if (known !== undefined) return known;
    const made = { origin, channel, version, size, blksize, windowsize };
    if (this.#starts.length === MAX_STARTS) this.#starts.shift();
    this.#starts.push(made);
    return made;
  }

  refusal({ protocol, client, local, code, reason }: RefusalRecord): void {
    const ask = this.#findAt(client, 0, { protocol, local });
    if (ask !== undefined) this.#end(ask, { kind: 'refused', code, reason: this.#shown(reason, MAX_SHOWN) });
  }

  drop({ transfer, protocol, client, local, reason }: DropRecord): void {
    const ask = this.#findAt(client, transfer, { protocol, local });
    if (ask !== undefined) this.#end(ask, { kind: 'unanswered', reason });
  }

  transfer(record: TransferRecord): void {
    const { id, protocol, client, local, outcome, bytes, retransmits, durationMs, firstReplyMs, errorCode, fault } =
      record;
    const ask = this.#findAt(client, id, { protocol, local });
    if (ask === undefined) return;
    this.#end(ask, {
      kind: 'sent',
      outcome,
      bytes,
      retransmits,
      durationMs,
      firstReplyMs,
      errorCode,
      errorText: this.#shown(record.errorText, MAX_OPTIONS_SHOWN),
      fault: fault === undefined ? undefined : this.#shown(fault, MAX_SHOWN),
    });
  }

  #shown(text: string, most: number): string {
    const shown = this.#show(text, most);
    return this.#shared.get(shown === text ? text : ownCopy(shown));
  }

  /** @returns the memory of an address, which becomes the most recent one; undefined: it is not known. */
  #heardAgain(address: string): Memory | undefined {
    const memory = this.#nodes.get(address);
    if (memory === undefined) return undefined;
    const now = this.#now();
    if (now - memory.orderedAt >= ORDERED_MS) {
      memory.orderedAt = now;
      this.#nodes.delete(address);
      this.#nodes.set(address, memory);
    }
    memory.lastAt = now;
    return memory;
  }

  #enter(address: string): Memory {
    const memory = new Memory(address, this.#now());
    this.#nodes.set(address, memory);
    return memory;
  }

  /** @returns the ask that was made from there; undefined: it is forgotten. */
  #findAt({ address, port }: Address, transfer: number, place: Omit<Place, 'port'>): Remembered | undefined {
    const memory = this.#heardAgain(address);
    return memory === undefined ? undefined : this.#find(memory, transfer, { ...place, port });
  }

  /** @param transfer 0 stands for the last ask from that port. */
  #find({ asks }: Memory, transfer: number, { protocol, port, local }: Place): Remembered | undefined {
    return asks.findLast((ask) =>
      transfer === 0
        ? ask.port === port && ask.protocol === protocol && ask.local === local
        : ask.transfer === transfer,
    );
  }

  /** The end of a replaced transfer becomes known only later; it says more than "replaced". */
  #end(ask: Remembered, end: AskEnd): void {
    if (ask.end?.kind === 'replaced' && end.kind !== 'sent') return;
    ask.ended(end, this.#now());
  }

  #learn(memory: Memory, filename: string): void {
    const path = cleanName(filename);
    const ids = typeof path === 'string' ? nodesInPath(path) : [];
    if (ids.length === 0) return;
    // When a name has another id of the same kind, another machine now uses the address.
    const kinds = new Set(ids.map(kindOf));
    const kept = memory.ids.filter((id) => !kinds.has(kindOf(id)));
    if (kept.length === 0 && ids.length === memory.ids.length && ids.every((id) => memory.ids.includes(id))) return;
    this.#nameIt(memory, areOfTwoMachines(memory.ids, ids) ? ids : [...ids, ...kept]);
  }

  #nameIt(memory: Memory, ids: readonly NodeId[]): void {
    for (const id of memory.ids) if (!ids.includes(id)) this.#unlink(id, memory.address);
    for (const id of ids) {
      const addresses = this.#addresses.get(id);
      if (addresses === undefined) this.#addresses.set(id, new Set([memory.address]));
      else addresses.add(memory.address);
    }
    memory.ids = ids;
  }

  #unlink(id: NodeId, address: string): void {
    const addresses = this.#addresses.get(id);
    addresses?.delete(address);
    if (addresses?.size === 0) this.#addresses.delete(id);
  }

  #bound(memory: Memory): void {
    if (memory.asks.length > this.#mostAsksPerNode) {
      memory.asks.shift();
      memory.forgotten++;
      this.#asks--;
    }
    for (const oldest of this.#nodes.values()) {
      if (this.#nodes.size <= this.#mostNodes && this.#asks <= this.#mostAsks) return;
      if (oldest === memory) continue;
      this.#nodes.delete(oldest.address);
      this.#asks -= oldest.asks.length;
      this.#nameIt(oldest, []);
    }
  }
}

/**
 * Tells whether the last ask went unanswered for the same reason: a client that goes on asking makes no new entry each
 * time.
 */
function isSameSilence(ask: Remembered | undefined, file: string, reason: string): ask is Remembered {
  return ask?.end?.kind === 'unanswered' && ask.end.reason === reason && ask.file === file;
}
