/**
 * Encodes and decodes packets by hand. Shares nothing with src/protocol, whose mistakes the check would otherwise
 * repeat. Input comes from a stranger: every byte of it may be missing.
 */
import type { Address } from '../engine/types.ts';

/** Option names and values in the order sent. */
export type Options = readonly (readonly [name: string, value: string])[];

/** A file's name: text is sent as UTF-8, bytes as they are. */
export type Name = string | Uint8Array;

const NUL = Buffer.from([0]);

function word(number: number): Buffer {
  return Buffer.from([(number >> 8) & 0xff, number & 0xff]);
}

/** Encodes strings, each with a NUL at its end. */
export function strings(...texts: readonly Name[]): Buffer {
  return Buffer.concat(texts.flatMap((text) => [Buffer.from(text), NUL]));
}

/** Encodes a request (RFC 1350 §5, RFC 2347). @param opcode 1 reads, 2 writes. */
export function request(name: Name, options: Options = [], mode = 'octet', opcode = 1): Buffer {
  return Buffer.concat([word(opcode), strings(name, mode), strings(...options.flat())]);
}

export function data(block: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([word(3), word(block), payload]);
}

export function ack(block: number): Buffer {
  return Buffer.concat([word(4), word(block)]);
}

export function error(code: number, message: string): Buffer {
  return Buffer.concat([word(5), word(code), strings(message)]);
}

export function oack(options: Options): Buffer {
  return Buffer.concat([word(6), strings(...options.flat())]);
}

export interface Reply {
  readonly kind: 'DATA' | 'ACK' | 'ERROR' | 'OACK' | 'other';
  /** The block number of DATA and ACK, the code of ERROR; otherwise 0. */
  readonly number: number;
  /** The whole datagram. */
  readonly bytes: Buffer;
  readonly from: Address;
}

export function readReply(bytes: Buffer, from: Address): Reply {
  const opcode = bytes.length >= 2 ? bytes.readUInt16BE(0) : 0;
  const number = bytes.length >= 4 ? bytes.readUInt16BE(2) : -1;
  if (opcode === 6) return { kind: 'OACK', number: 0, bytes, from };
  if (number < 0) return { kind: 'other', number: 0, bytes, from };
  const kind = opcode === 3 ? 'DATA' : opcode === 4 ? 'ACK' : opcode === 5 ? 'ERROR' : 'other';
  return { kind, number: kind === 'other' ? 0 : number, bytes, from };
}

export function payloadOf(reply: Reply): Buffer {
  return reply.bytes.subarray(4);
}

export interface Grants {
  /** Options as received: names in the server's spelling. */
  readonly pairs: Options;
  /** True if the list ends with a NUL and every name has a value. */
  readonly whole: boolean;
}

export function readOack({ bytes }: Reply): Grants {
  const texts = bytes.toString('latin1', 2).split('\0');
  const whole = texts.pop() === '' && texts.length % 2 === 0;
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < texts.length; at += 2) pairs.push([texts[at]!, texts[at + 1]!]);
  return { pairs, whole };
}

/** Returns the value granted for an option, whatever the case of its name; undefined: not granted, or not an OACK. */
export function granted(reply: Reply, name: string): string | undefined {
  if (reply.kind !== 'OACK') return undefined;
  return readOack(reply).pairs.find(([spelling]) => spelling.toLowerCase() === name)?.[1];
}

/** Makes foreign text safe for a terminal. */
export function printable(text: string, most = 80): string {
  const safe = text.replaceAll(/[^ -~]/g, '?');
  return safe.length > most ? `${safe.slice(0, most)}...` : safe;
}

/** Describes a reply in a few words. */
export function describe(reply: Reply | undefined): string {
  if (reply === undefined) return 'silence';
  const { kind, number, bytes } = reply;
  switch (kind) {
    case 'DATA':
      return `DATA ${number} (${bytes.length - 4} bytes)`;
    case 'ACK':
      return `ACK ${number}`;
    case 'ERROR':
      return `ERROR ${number} "${printable(bytes.toString('latin1', 4).replace(/\0.*$/s, ''))}"`;
    case 'OACK':
      return `OACK (${printable(
        readOack(reply)
          .pairs.map(([name, value]) => `${name}=${value}`)
          .join(' '),
      )})`;
    case 'other':
      return `${bytes.length} bytes that are not a TFTP packet`;
  }
}
