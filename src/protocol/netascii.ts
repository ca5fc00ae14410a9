/**
 * Netascii (RFC 764 by way of RFC 1350 §1): a line ends with CR LF, a bare CR travels as CR NUL. Both directions are
 * resumable: input and output may be split anywhere, also between the two bytes of a pair.
 */

const LF = 0x0a;
const CR = 0x0d;
const NUL = 0x00;

/** Returns the length of `bytes` once encoded as netascii, in bytes. */
export function netasciiLength(bytes: Uint8Array): number {
  let length = bytes.length;
  for (const byte of bytes) if (byte === LF || byte === CR) length++;
  return length;
}

/** Encodes local text (lines end with LF) as netascii. */
export class NetasciiEncoder {
  /** The second byte of a pair that did not fit into the last output, or -1. */
  #owed = -1;

  /** Bytes of `input` consumed by the last call of `encode`. */
  read = 0;

  /** True if the second byte of a pair is still to be written because the last output was full. */
  get isOwing(): boolean {
    return this.#owed >= 0;
  }

  /**
   * Encodes as much of `input` as fits into `output`. Call again with the rest of the input (`read` says how much was
   * consumed) and fresh output until it returns 0.
   *
   * @returns the number of bytes written.
   */
  encode(input: Uint8Array, output: Uint8Array): number {
    let written = 0;
    let at = 0;
    if (this.#owed >= 0 && output.length > 0) {
      output[written++] = this.#owed;
      this.#owed = -1;
    }
    while (at < input.length && written < output.length) {
      const byte = input[at++]!;
      if (byte !== LF && byte !== CR) {
        output[written++] = byte;
        continue;
      }
      output[written++] = CR;
      const second = byte === LF ? LF : NUL;
      if (written < output.length) output[written++] = second;
      else this.#owed = second;
    }
    this.read = at;
    return written;
  }
}

/** Decodes netascii to local text. A CR followed by neither LF nor NUL is kept as it is. */
export class NetasciiDecoder {
  #afterCr = false;

  /** @returns the decoded bytes: at most one more than `input` has, for a CR carried over from the previous input. */
  decode(input: Uint8Array): Uint8Array {
    const output = new Uint8Array(input.length + 1);
    let written = 0;
    for (const byte of input) {
      if (this.#afterCr) {
        this.#afterCr = false;
        if (byte === LF) {
          output[written++] = LF;
          continue;
        }
        output[written++] = CR;
        if (byte === NUL) continue;
      }
      if (byte === CR) this.#afterCr = true;
      else output[written++] = byte;
    }
    return output.subarray(0, written);
  }

  /** Returns what is left at the end of the input: a lone CR, or nothing. */
  end(): Uint8Array {
    const rest = this.#afterCr ? Uint8Array.of(CR) : new Uint8Array(0);
    this.#afterCr = false;
    return rest;
  }
}
