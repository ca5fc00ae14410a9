/**
 * Watches every datagram of a virtual network and records violations of rules. It knows only packets, reads them with
 * its own arithmetic, and never looks into sessions.
 */
import type { Fate } from '../../src/engine/memory.ts';
import type { Address } from '../../src/engine/types.ts';

const DATA = 3;
const ACK = 4;
const ERROR = 5;
const OACK = 6;

/** Packets between one server port and one client port. */
export interface Conversation {
  readonly server: number;
  readonly client: string;
  readonly blksize: number;
  readonly windowsize: number;
  /** True if the conversation began with an OACK. */
  oack: boolean;
  /** Highest block whose ACK has reached the server; -1 before the ACK of the OACK. */
  base: number;
  highest: number;
  dataSent: number;
  /** Number of ACKs that reached the server and advanced. */
  advances: number;
  /** Number of datagrams sent before the first advancing ACK. */
  unprovenSends: number;
  /** True if a reply of the server has reached the client. */
  heard: boolean;
  /**
   * Time at which a datagram from the client last reached the server, at this port or as a request at the listening
   * port.
   */
  clientHeardAt: number;
}

/** Options that the server granted to a client's port. */
export interface Granted {
  readonly blksize: number;
  readonly windowsize: number;
}

const textOf = ({ address, port }: Address): string => `${address}:${port}`;

export class WireWitness {
  readonly violations: string[] = [];
  /** All conversations, in the order they began. */
  readonly conversations: Conversation[] = [];
  /** Conversations with a running sender, by their two ports. */
  readonly #current = new Map<string, Conversation>();
  /** Number of RRQs that reached the server, by client; #unproven counts replies to unproven clients. */
  readonly requests = new Map<string, number>();
  readonly #unproven = new Map<string, number>();
  /** An entry "a>b" means that b has received an ERROR from a, and must not send to a any more. */
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

  /** True while a stranger's datagram is being injected; such datagrams are not checked. */
  injecting = false;

  /** Starts a new sender to a client: its packets form a new conversation, even from the port of the former one. */
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

  /** Checks that each RRQ earns at most three sends. */
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

/** Returns the number nearest to `near` whose low 16 bits are `wire`. */
function unwrap(wire: number, near: number): number {
  const ahead = (wire - (near % 65536) + 65536) % 65536;
  return ahead < 32768 ? near + ahead : near + ahead - 65536;
}
