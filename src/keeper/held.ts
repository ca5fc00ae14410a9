/** The descriptors that the keeper holds for its servers. Knows keys and labels; not what the descriptors are. */
import { closeDescriptor, type DescriptorChannel, type Passed } from '../engine/descriptor-channel.ts';
import { encodeMessage, type History, MAX_ENTRIES, type Message } from './protocol.ts';

/**
 * A server has at most one descriptor for each transfer and some more.
 * @limit Descriptors that the keeper holds for the server.
 */
const MAX_HELD = 200_000;
/** How long a server may take to read what it has asked for, ms. */
const READ_MS = 5000;

interface Entry {
  readonly fd: number;
  readonly label: string;
}

export class Held {
  readonly #entries = new Map<number, Entry>();
  readonly #say: (line: string) => void;

  /** @param given descriptors of a service manager, which have no label. */
  constructor(given: readonly number[], say: (line: string) => void) {
    this.#say = say;
    for (const [key, fd] of given.entries()) this.#entries.set(key, { fd, label: '' });
  }

  /** Takes the descriptors of a message. */
  add({ keys, labels }: Extract<Message, { type: 'hold' }>, { fds, isCut }: Passed): void {
    if (isCut || fds.length !== keys.length) {
      this.#say(`cannot hold ${keys.length} descriptors of the server: ${fds.length} arrived`);
      for (const fd of fds) closeDescriptor(fd);
      return;
    }
    for (const [index, fd] of fds.entries()) {
      const key = keys[index]!;
      this.drop(key);
      if (this.#entries.size >= MAX_HELD) closeDescriptor(fd);
      else this.#entries.set(key, { fd, label: labels[index]! });
    }
  }

  drop(key: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    closeDescriptor(entry.fd);
  }

  clear(): void {
    for (const { fd } of this.#entries.values()) closeDescriptor(fd);
    this.#entries.clear();
  }

  /** Sends copies of all descriptors, then `complete`. Waits for the server to read. */
  give(channel: DescriptorChannel, history: History): void {
    const all = [...this.#entries];
    for (let from = 0; from < all.length; from += MAX_ENTRIES) {
      const entries = all.slice(from, from + MAX_ENTRIES);
      const message: Message = {
        type: 'hold',
        keys: entries.map(([key]) => key),
        labels: entries.map(([, { label }]) => label),
      };
      const fds = entries.map(([, { fd }]) => fd);
      if (!channel.sendPatiently(encodeMessage(message), fds, READ_MS)) return;
    }
    channel.sendPatiently(encodeMessage({ type: 'complete', history }), [], READ_MS);
  }
}
