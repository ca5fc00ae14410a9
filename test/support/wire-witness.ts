/**
 * Watches every datagram of a virtual network and notes which rule was broken. It knows packets alone, reads them
 * with arithmetic of its own, and never looks into sessions.
 */
import type { Fate } from '../../src/engine/memory.ts';
import type { Address } from '../../src/engine/types.ts';

const DATA = 3;
const ACK = 4;
const ERROR = 5;
const OACK = 6;

/** One server port speaking to one client port. */
export interface Conversation {
  readonly server: number;
  readonly client: string;
  readonly blksize: number;
  readonly windowsize: number;
  /** Whether it began with an OACK. */
  oack: boolean;
  /** The highest block whose ACK reached the server; -1: not even the OACK's. */
  base: number;
  highest: number;
  dataSent: number;
  /** ACKs that reached the server and advanced. */
  advances: number;
  /** Datagrams sent before the first of these. */
  unprovenSends: number;
  /** Whether the server's first reply reached the client. */
  heard: boolean;
  /** When a datagram of the client last reached the server: this port of it, or with a request its listening port. */
  clientHeardAt: number;
}

/** What the server granted to a client's port. */
export interface Granted {
  readonly blksize: number;
  readonly windowsize: number;
}

const textOf = ({ address, port }: Address): string => `${address}:${port}`;

export class WireWitness {
  readonly violations: string[] = [];
  /** All there ever were, in the order they began. */
  readonly conversations: Conversation[] = [];
  /** Those whose sender runs, by their two ports. */
  readonly #current = new Map<string, Conversation>();
  /** RRQs that reached the server, and replies to unproven clients, by client. */
  readonly requests = new Map<string, number>();
  readonly #unproven = new Map<string, number>();
  /** "a>b": b has had an ERROR from a, and so must not send to a any more. */
  readonly #deaf = new Set<string>();
  readonly #server: string;
  readonly #granted: (client: string) => Granted | undefined;
  readonly #now: () => number;

  constructor(server: string, granted: (client: string) => Granted | undefined, now: () => number) {
    this.#server = server;
    this.#granted = granted;
    this.#now = now;
  }

  readonly tap = (fate: Fate, bytes: Uint8Array, from: Address, to: Address): void => {
    if (bytes.length < 2 || bytes[0] !== 0) return;
    if (fate === 'sent') this.#onSent(bytes, from, to);
    else if (fate === 'delivered') this.#onDelivered(bytes, from, to);
  };

  /** Sends of a stranger are no concern of ours: whoever injects them says so. */
  injecting = false;

  /** A new sender to a client: what it sends is a conversation of its own, even from the port of the one before. */
  begin(client: string): void {
    for (const [key, each] of this.#current) if (each.client === client) this.#current.delete(key);
  }

  #broken(rule: string): void {
    if (this.violations.length < 10) this.violations.push(`at ${this.#now()} ms: ${rule}`);
  }

  #onSent(bytes: Uint8Array, from: Address, to: Address): void {
    if (this.injecting) return;
    const sender = textOf(from);
    const receiver = textOf(to);
    if (this.#deaf.size > 0 && this.#deaf.has(`${receiver}>${sender}`)) {
      this.#broken(`${sender} sent opcode ${bytes[1]} to ${receiver}, which had sent it an ERROR`);
    }
    if (from.address !== this.#server || (bytes[1] !== DATA && bytes[1] !== OACK)) return;
    const conversation = this.#conversation(from.port, receiver);
    if (conversation === undefined) {
      this.#broken(`${sender} sent opcode ${bytes[1]} to ${receiver}, which asked for nothing`);
      return;
    }
    if (conversation.advances === 0) this.#onUnprovenSend(conversation);
    if (bytes[1] === OACK) this.#onOackSent(conversation);
    else this.#onDataSent(conversation, (bytes[2]! << 8) | bytes[3]!, bytes.length - 4);
  }

  /** Each RRQ earns three sends. */
  #onUnprovenSend(conversation: Conversation): void {
    conversation.unprovenSends++;
    const { client } = conversation;
    const sends = (this.#unproven.get(client) ?? 0) + 1;
    this.#unproven.set(client, sends);
    const requests = this.requests.get(client) ?? 0;
    if (sends > 3 * requests) this.#broken(`${sends} sends to ${client}, unproven, for ${requests} requests`);
  }

  #onOackSent(conversation: Conversation): void {
    if (conversation.dataSent > 0) this.#broken(`OACK to ${conversation.client} after DATA`);
    if (!conversation.oack) conversation.base = -1;
    conversation.oack = true;
  }

  #onDataSent(conversation: Conversation, wire: number, length: number): void {
    const { client, base, blksize, windowsize } = conversation;
    if (base < 0) this.#broken(`DATA to ${client} before it acknowledged the OACK`);
    const block = unwrap(wire, Math.max(0, base));
    if (block <= base) this.#broken(`DATA ${block} to ${client}, which had acknowledged ${base}`);
    if (block - base > windowsize) this.#broken(`DATA ${block} to ${client} at ACK ${base}, windowsize ${windowsize}`);
    if (block > conversation.highest + 1) this.#broken(`DATA ${block} to ${client} after ${conversation.highest}`);
    if (length > blksize) this.#broken(`DATA ${block} of ${length} bytes to ${client}, blksize ${blksize}`);
    conversation.highest = Math.max(conversation.highest, block);
    conversation.dataSent++;
  }

  #onDelivered(bytes: Uint8Array, from: Address, to: Address): void {
    const sender = textOf(from);
    const receiver = textOf(to);
    if (bytes[1] === ERROR) this.#deaf.add(`${sender}>${receiver}`);
    if (to.address !== this.#server) {
      const conversation = this.#current.get(`${from.port}>${receiver}`);
      if (conversation !== undefined) conversation.heard = true;
    } else if (bytes[1] === 1) {
      this.requests.set(sender, (this.requests.get(sender) ?? 0) + 1);
      for (const each of this.#current.values()) if (each.client === sender) each.clientHeardAt = this.#now();
    } else {
      const conversation = this.#current.get(`${to.port}>${sender}`);
      if (conversation === undefined) return;
      conversation.clientHeardAt = this.#now();
      if (bytes[1] === ACK && bytes.length >= 4) this.#onAck(conversation, (bytes[2]! << 8) | bytes[3]!);
    }
  }

  #onAck(conversation: Conversation, wire: number): void {
    const block = conversation.base < 0 ? (wire === 0 ? 0 : -1) : unwrap(wire, conversation.base);
    if (block <= conversation.base || block > conversation.highest) return;
    conversation.base = block;
    conversation.advances++;
  }

  #conversation(server: number, client: string): Conversation | undefined {
    const key = `${server}>${client}`;
    const known = this.#current.get(key);
    if (known !== undefined) return known;
    const granted = this.#granted(client);
    if (granted === undefined) return undefined;
    const { blksize, windowsize } = granted;
    const fresh: Conversation = {
      server,
      client,
      blksize,
      windowsize,
      oack: false,
      base: 0,
      highest: 0,
      dataSent: 0,
      advances: 0,
      unprovenSends: 0,
      heard: false,
      clientHeardAt: this.#now(),
    };
    this.conversations.push(fresh);
    this.#current.set(key, fresh);
    return fresh;
  }
}

/** The number nearest to `near` that ends in the 16 bits `wire`. */
function unwrap(wire: number, near: number): number {
  const ahead = (wire - (near % 65536) + 65536) % 65536;
  return ahead < 32768 ? near + ahead : near + ahead - 65536;
}
