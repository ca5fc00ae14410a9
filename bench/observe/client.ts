/**
 * Many slow nodes that time each block: each one acknowledges, waits, and asks for the next block in lockstep. Runs in
 * a process of its own. Prints "ready" when all nodes have a transfer; then answers each input line with the
 * turnarounds since the last one, from the sending of an ACK to the arrival of DATA, as a line of JSON.
 *
 *   tsx client.ts PORT NODES FILE THINK_MS BLKSIZE
 */
import { createInterface } from 'node:readline';
import { createEngine } from '../../src/engine/create.ts';
import type { Link, LinkReceiver } from '../../src/engine/types.ts';
import { encodeReadRequest, MAX_CONTROL, wishedOptions } from '../../src/protocol/encode.ts';
import { OPCODE } from '../../src/protocol/opcode.ts';

const [port = '', nodes = '', file = '', think = '', blksize = ''] = process.argv.slice(2);
const THINK_MS = Number(think);
/** New nodes per millisecond at the start: no more than the listening port's buffer holds. */
const ARRIVALS = 5;
/** Slots of a millisecond each: more than the longest think time. */
const SLOTS = THINK_MS + 1000;

const engine = createEngine('linux');
const due: Client[][] = Array.from({ length: SLOTS }, () => []);
let turnarounds: number[] = [];
let begun = 0;
let ready = 0;
let lost = 0;

class Client implements LinkReceiver {
  #link: Link | undefined;
  #block = 0;
  #sentAt = 0;
  #isThinking = false;
  readonly #ack = Uint8Array.of(0, OPCODE.ACK, 0, 0);

  async begin(number: number): Promise<void> {
    const local = `127.${1 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
    const peer = { address: '127.0.0.1', port: Number(port) };
    this.#link = await engine.link({ local, peer, peerPort: 'learn', shared: number }, this);
    const packet = new Uint8Array(MAX_CONTROL);
    const options = wishedOptions({ blksize: Number(blksize) });
    this.#link.control(packet, encodeReadRequest(packet, file, 'octet', options));
  }

  onDatagram(bytes: Uint8Array): void {
    const opcode = bytes[1];
    const block = opcode === OPCODE.OACK ? 0 : (bytes[2]! << 8) | bytes[3]!;
    if (opcode === OPCODE.DATA && block === ((this.#block + 1) & 0xffff)) {
      turnarounds.push(performance.now() - this.#sentAt);
      this.#block = block;
    }
    // A repeated block: the ACK was lost, or has not been sent yet.
    if (this.#isThinking || block !== this.#block) return;
    this.#isThinking = true;
    if (this.#sentAt === 0) ready++;
    // Think times vary, so that the nodes do not march in step.
    due[(slotNow() + THINK_MS - Math.floor(Math.random() * (THINK_MS / 2))) % SLOTS]!.push(this);
  }

  acknowledge(): void {
    this.#ack[2] = this.#block >> 8;
    this.#ack[3] = this.#block & 0xff;
    this.#link!.control(this.#ack, 4);
    this.#sentAt = performance.now();
    this.#isThinking = false;
  }

  onUnreachable(): void {
    lost++;
  }

  onUnreadable(): void {}
}

function slotNow(): number {
  return Math.floor(performance.now());
}

let slot = slotNow();
setInterval(() => {
  const now = slotNow();
  while (slot < now) for (const node of due[++slot % SLOTS]!.splice(0)) node.acknowledge();
  for (let count = 0; count < ARRIVALS && begun < Number(nodes); count++) void new Client().begin(++begun);
}, 1);

const waiting = setInterval(() => {
  if (ready < Number(nodes)) return;
  clearInterval(waiting);
  process.stdout.write('ready\n');
}, 50);

createInterface({ input: process.stdin }).on('line', () => {
  const sorted = turnarounds.toSorted((one, other) => one - other);
  turnarounds = [];
  const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
  const [p50, p99, p999, max] = [at(0.5), at(0.99), at(0.999), at(1)];
  process.stdout.write(`${JSON.stringify({ blocks: sorted.length, lost, p50, p99, p999, max })}\n`);
});
process.stdin.on('close', () => process.exit());
