/** The context of a check: the server, its files, its offers, and sockets. */
import type { Address } from '../engine/types.ts';
import { Exchange, type ExchangeOptions, type Pulse, type Waits } from './exchange.ts';
import { type OfferedFile, type Shape, bySize, isWhole, shapeOf } from './files.ts';
import { type Name, type Options, type Reply, granted, request } from './packets.ts';
import { type Verdict, notTried } from './verdict.ts';

/** Options and modes the server granted when asked for one at a time. */
export interface Offers {
  readonly blksize: boolean;
  readonly tsize: boolean;
  readonly timeout: boolean;
  readonly windowsize: boolean;
  readonly netascii: boolean;
}

export interface CheckContextOptions extends ExchangeOptions {
  /** At least one file. */
  readonly files: readonly OfferedFile[];
  readonly offers: Offers;
}

export class CheckContext {
  readonly server: Address;
  readonly waits: Waits;
  readonly files: readonly OfferedFile[];
  readonly offers: Offers;
  readonly signal: AbortSignal;
  readonly #pulse: Pulse;
  readonly #exchanges = new Set<Exchange>();

  constructor({ server, waits, files, offers, signal, pulse }: CheckContextOptions) {
    this.server = server;
    this.waits = waits;
    this.files = files;
    this.offers = offers;
    this.signal = signal;
    this.#pulse = pulse;
  }

  /** Opens an exchange from a new port. It ends with the check. */
  async exchange(): Promise<Exchange> {
    const { server, waits, signal } = this;
    const exchange = await Exchange.open({ server, waits, signal, pulse: this.#pulse });
    if (signal.aborted) await exchange.close();
    signal.throwIfAborted();
    this.#exchanges.add(exchange);
    return exchange;
  }

  async close(): Promise<void> {
    const exchanges = [...this.#exchanges];
    this.#exchanges.clear();
    await Promise.all(exchanges.map((exchange) => exchange.close()));
  }

  /** The file for every check that needs no particular one: the smallest that is not empty. */
  get file(): OfferedFile {
    return bySize(this.files).find(({ size }) => size !== 0) ?? this.files[0]!;
  }

  /** The smallest file that is fully known and not empty. */
  get wholeFile(): OfferedFile | undefined {
    return bySize(this.files).find((file) => isWhole(file) && file.size !== 0);
  }

  /** Returns a file of at least `blocks` blocks, in any block size. */
  shape(blocks: number): Shape | Verdict {
    return shapeOf(this.files, blocks, this.offers.blksize);
  }

  /** Sends a request in an exchange of its own. @returns the first reply; undefined: silence, even after repeats. */
  async reply(bytes: Uint8Array): Promise<Reply | undefined> {
    const exchange = await this.exchange();
    return await exchange.ask(bytes);
  }

  /** Asks for a file. */
  async read(options: Options, name: Name = this.file.name, mode = 'octet'): Promise<Reply | undefined> {
    return await this.reply(request(name, options, mode));
  }

  /** Returns the value granted for an option asked for alone. */
  async grant(name: string, value: string): Promise<string | undefined> {
    const reply = await this.read([[name, value]]);
    return reply === undefined ? undefined : granted(reply, name);
  }

  /** An option that the server grants and that changes nothing else, so that it replies with an OACK. */
  get anyOption(): Options | undefined {
    if (this.offers.blksize) return [['blksize', '512']];
    if (this.offers.tsize) return [['tsize', '0']];
    return this.offers.windowsize ? [['windowsize', '1']] : undefined;
  }

  /** Returns a file whose name a check can use. @param what the wanted kind of name, for the verdict. */
  named(wanted: (name: string) => boolean, what: string): OfferedFile | Verdict {
    return this.files.find(({ name }) => wanted(name)) ?? notTried(`needs a file ${what}`);
  }
}

/** Tells whether the reply gives the file, now or after ACK 0. */
export function isServed(reply: Reply | undefined): boolean {
  return reply?.kind === 'OACK' || (reply?.kind === 'DATA' && reply.number === 1);
}
