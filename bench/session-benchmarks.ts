/**
 * The small benchmarks of a session: the cost of answering an ACK with the next window. The clock is an argument;
 * nothing is sent and nothing printed.
 */
import { toWire } from '../src/protocol/block.ts';
import { OPCODE } from '../src/protocol/opcode.ts';
import { createPacket } from '../src/protocol/packet.ts';
import { Sender } from '../src/session/sender.ts';
import type { Steps } from '../src/session/session.ts';
import type { Benchmark } from './benchmark.ts';
import { BLKSIZE, SIZE } from './benchmark-sizes.ts';

/** Accepts every step and only counts DATA. */
class CountingSteps implements Steps {
  sent = 0;
  opening(): void {}
  data(): void {
    this.sent++;
  }
  ack(): void {}
  acknowledged(): void {}
  error(): void {}
  keep(): void {}
}

/** Sends an ACK for a whole window, which releases the next one. */
function windowStep(windowsize: number): Benchmark {
  const plan = {
    size: SIZE,
    blksize: BLKSIZE,
    windowsize,
    rollover: 0,
    timeoutMs: 0,
    oack: true,
    seed: 1,
    patienceMs: 60_000,
  } as const;
  return {
    name: `window step, windowsize ${windowsize}`,
    batch: Math.ceil(8192 / windowsize),
    pieces: windowsize,
    prepare: () => {
      const steps = new CountingSteps();
      const packet = createPacket();
      packet.opcode = OPCODE.ACK;
      const lastWindow = Math.floor(SIZE / BLKSIZE) - 2 * windowsize;
      let sender: Sender;
      let block = 0;
      let now = 0;
      /** Brings a transfer past its beginning, to where a window leaves in one burst. */
      const begin = (): void => {
        sender = new Sender(plan);
        now = 0;
        sender.start(now, steps);
        packet.block = 0;
        sender.onPacket(packet, now, steps);
        block = 0;
        for (let window = 0; window < 64; window++) {
          // The sender's pace releases the first windows in several bursts.
          for (let burst = 0; burst < 16; burst++) sender.onDeadline(++now, steps);
          block += windowsize;
          packet.block = toWire(block, 0);
          sender.onPacket(packet, now, steps);
        }
      };
      begin();
      return {
        run: (times) => {
          const before = steps.sent;
          let apart = 0;
          for (let turn = 0; turn < times; turn++) {
            if (block > lastWindow) {
              const start = steps.sent;
              begin();
              apart += steps.sent - start;
            }
            block += windowsize;
            packet.block = toWire(block, 0);
            sender.onPacket(packet, ++now, steps);
          }
          return steps.sent - before - apart;
        },
      };
    },
  };
}

/** Runs in lockstep, and with the longest window that a server grants by default. */
export const sessionBenchmarks: readonly Benchmark[] = [windowStep(1), windowStep(64)];
