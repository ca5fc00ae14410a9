/**
 * The choice of the thread that gets a datagram at a shared port: a filter for the kernel, and its formula in JavaScript.
 * Requests go to the main thread's socket, all other datagrams to the worker that the client's address and port name.
 */
import { AF_INET } from '../libc.ts';
import type { Family } from '../socket-address.ts';

/** Multipliers that spread neighboring addresses and ports; odd, so that no bit is lost. */
const SPREAD_PORT = 0x9e3779b1;
const SPREAD = 0x85ebca6b;

/** Returns the worker for a client, 0..workers - 1. @param words its sockaddr starts at words[at]. */
export function workerOf(words: Int32Array, at: number, workers: number): number {
  const isV4 = (words[at]! & 0xffff) === AF_INET;
  const address = isV4 ? words[at + 1]! : words[at + 2]! ^ words[at + 3]! ^ words[at + 4]! ^ words[at + 5]!;
  const port = hostOrder(words[at]! & ~0xffff);
  let hash = hostOrder(address) ^ Math.imul(port, SPREAD_PORT);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, SPREAD);
  hash ^= hash >>> 13;
  return (hash >>> 0) % workers;
}

/** The kernel's filters load words in host order; a sockaddr holds them in network order. */
function hostOrder(word: number): number {
  return ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

// Classic BPF (linux/filter.h): an accumulator A, an index X, and a few words of memory.
const LOAD_WORD = 0x20;
const LOAD_HALF = 0x28;
const LOAD_BYTE = 0x30;
const LOAD_HALF_BEHIND_X = 0x48;
/** X = 4 * (byte & 15): the length of an IPv4 header. */
const X_HEADER_LENGTH = 0xb1;
const X_FROM_MEMORY = 0x61;
const X_FROM_A = 0x07;
const STORE = 0x02;
const MULTIPLY = 0x24;
const XOR_X = 0xac;
const SHIFT_RIGHT = 0x74;
const MODULO = 0x94;
const ADD = 0x04;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;
const RETURN_A = 0x16;

/** Offsets from here on count from the IP header; others from the UDP payload. */
const IP_HEADER = 0xfff00000;
const IPV4_SOURCE = IP_HEADER + 12;
const IPV6_NEXT_HEADER = IP_HEADER + 6;
const IPV6_SOURCE = IP_HEADER + 8;
const IPV6_SOURCE_PORT = IP_HEADER + 40;
const UDP = 17;
const READ_REQUEST = 1;
const WRITE_REQUEST = 2;
/** The index of the main thread's socket in its group. A load beyond the packet's end returns it too. */
const MAIN = 0;

type Instruction = readonly [code: number, k: number, ifTrue?: number, ifFalse?: number];

/**
 * Returns the filter for SO_ATTACH_REUSEPORT_CBPF as an array of struct sock_filter. It returns the index of a socket in
 * its group: MAIN, or one more than workerOf(). Over IPv6, packets with extension headers go to the main thread, because
 * the filter can't find their source port.
 */
export function steeringFilter(family: Family, workers: number): Uint8Array {
  const portAndAddress = family === AF_INET ? V4 : V6;
  const rest: readonly Instruction[] = [
    ...portAndAddress,
    // A ^= A >>> 16; A *= SPREAD; A ^= A >>> 13; the same as in workerOf().
    [X_FROM_A, 0],
    [SHIFT_RIGHT, 16],
    [XOR_X, 0],
    [MULTIPLY, SPREAD],
    [X_FROM_A, 0],
    [SHIFT_RIGHT, 13],
    [XOR_X, 0],
    [MODULO, workers],
    [ADD, MAIN + 1],
    [RETURN_A, 0],
    [RETURN, MAIN],
  ];
  // Jumps count the instructions to skip; the last instruction returns MAIN.
  const last = rest.length - 1;
  const start: readonly Instruction[] =
    family === AF_INET
      ? []
      : [
          [LOAD_BYTE, IPV6_NEXT_HEADER],
          [JUMP_IF_EQUAL, UDP, 0, last + 3],
        ];
  return encode([
    ...start,
    [LOAD_HALF, 0],
    [JUMP_IF_EQUAL, READ_REQUEST, last + 1, 0],
    [JUMP_IF_EQUAL, WRITE_REQUEST, last, 0],
    ...rest,
  ]);
}

/** A = address ^ port * SPREAD_PORT. */
const V4: readonly Instruction[] = [
  [X_HEADER_LENGTH, IP_HEADER],
  [LOAD_HALF_BEHIND_X, IP_HEADER],
  [MULTIPLY, SPREAD_PORT],
  [STORE, 0],
  [LOAD_WORD, IPV4_SOURCE],
  [X_FROM_MEMORY, 0],
  [XOR_X, 0],
];

/** The same, with the four words of the address combined into one. */
const V6: readonly Instruction[] = [
  [LOAD_HALF, IPV6_SOURCE_PORT],
  [MULTIPLY, SPREAD_PORT],
  ...[0, 4, 8, 12].flatMap((offset): Instruction[] => [
    [STORE, 0],
    [LOAD_WORD, IPV6_SOURCE + offset],
    [X_FROM_MEMORY, 0],
    [XOR_X, 0],
  ]),
];

/** Size of a struct sock_filter: code, the two jumps, k. */
export const INSTRUCTION_BYTES = 8;

function encode(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [index, [code, k, ifTrue = 0, ifFalse = 0]] of instructions.entries()) {
    const at = index * INSTRUCTION_BYTES;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, ifTrue);
    view.setUint8(at + 3, ifFalse);
    view.setUint32(at + 4, k, true);
  }
  return bytes;
}
