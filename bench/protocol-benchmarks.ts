/**
 * The small benchmarks of the wire: the cost of decoding a packet, of encoding one, and of negotiating options. Knows
 * no clock and prints nothing.
 */
import { fromWire, toWire } from '../src/protocol/block.ts';
import {
  encodeAck,
  encodeDataHeader,
  encodeOack,
  encodeReadRequest,
  MAX_CONTROL,
  wishedOptions,
} from '../src/protocol/encode.ts';
import { type NegotiationLimits, negotiate } from '../src/protocol/negotiate.ts';
import { OPCODE } from '../src/protocol/opcode.ts';
import { createPacket, decode } from '../src/protocol/packet.ts';
import { type AskedOption, decodeRequest } from '../src/protocol/request.ts';
import type { Benchmark } from './benchmark.ts';
import { BLKSIZE, SIZE } from './benchmark-sizes.ts';

const LIMITS: NegotiationLimits = { maxBlksize: BLKSIZE, maxWindowsize: 64, acknowledgeTimeout: false };
/** The options of UEFI firmware that asks for a file's size. */
const ASKED: readonly AskedOption[] = [
  { name: 'tsize', spelling: 'tsize', value: '0' },
  { name: 'blksize', spelling: 'blksize', value: String(BLKSIZE) },
  { name: 'windowsize', spelling: 'windowsize', value: '4' },
];

function decoding(name: string, datagram: Uint8Array, opcode: number): Benchmark {
  return {
    name,
    batch: 10_000,
    pieces: 1,
    prepare: () => {
      const packet = createPacket();
      return {
        run: (times) => {
          let count = 0;
          for (let turn = 0; turn < times; turn++) {
            datagram[3] = turn & 0xff;
            if (decode(datagram, datagram.length, packet) === undefined && packet.opcode === opcode) count++;
          }
          return count;
        },
      };
    },
  };
}

function readRequest(): Uint8Array {
  const bytes = new Uint8Array(MAX_CONTROL);
  const wish = { tsize: true, blksize: BLKSIZE, windowsize: 4 };
  return bytes.slice(0, encodeReadRequest(bytes, 'boot/x86_64/vmlinuz-6.12', 'octet', wishedOptions(wish)));
}

const requestDecoding: Benchmark = {
  name: 'decode RRQ, three options',
  batch: 200,
  pieces: 1,
  prepare: () => {
    const datagram = readRequest();
    return {
      run: (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) {
          const request = decodeRequest(datagram, datagram.length);
          if (typeof request !== 'string' && request.options.length === 3) count++;
        }
        return count;
      },
    };
  },
};

// Each encoder has a loop of its own: a common loop with the encoder as an argument would measure the call.
const headerEncoding: Benchmark = {
  name: 'encode DATA header',
  batch: 10_000,
  pieces: 1,
  prepare: () => {
    const into = new Uint8Array(MAX_CONTROL);
    return {
      run: (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) if (encodeDataHeader(into, turn & 0xffff) === 4) count++;
        return count;
      },
    };
  },
};

const ackEncoding: Benchmark = {
  name: 'encode ACK',
  batch: 10_000,
  pieces: 1,
  prepare: () => {
    const into = new Uint8Array(MAX_CONTROL);
    return {
      run: (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) if (encodeAck(into, turn & 0xffff) === 4) count++;
        return count;
      },
    };
  },
};

const oackEncoding: Benchmark = {
  name: 'encode OACK, three options',
  batch: 1000,
  pieces: 1,
  prepare: () => {
    const into = new Uint8Array(MAX_CONTROL);
    const { oack } = negotiate(ASKED, LIMITS, SIZE, 'octet');
    return {
      run: (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) if (encodeOack(into, oack) > 4) count++;
        return count;
      },
    };
  },
};

const wireNumbers: Benchmark = {
  name: 'block to wire and back',
  batch: 10_000,
  pieces: 1,
  prepare: () => ({
    run: (times) => {
      let count = 0;
      for (let turn = 0; turn < times; turn++) {
        const block = 65_000 + turn;
        if (fromWire(toWire(block, 0), block - 7, 0) === block) count++;
      }
      return count;
    },
  }),
};

const negotiation: Benchmark = {
  name: 'negotiate three options',
  batch: 500,
  pieces: 1,
  prepare: () => ({
    run: (times) => {
      let count = 0;
      for (let turn = 0; turn < times; turn++) {
        if (negotiate(ASKED, LIMITS, SIZE + turn, 'octet').oack.length === 3) count++;
      }
      return count;
    },
  }),
};

export function protocolBenchmarks(): readonly Benchmark[] {
  const data = new Uint8Array(4 + BLKSIZE);
  encodeDataHeader(data, 1);
  const ack = new Uint8Array(4);
  encodeAck(ack, 1);
  return [
    decoding('decode ACK', ack, OPCODE.ACK),
    decoding(`decode DATA, ${BLKSIZE} bytes`, data, OPCODE.DATA),
    requestDecoding,
    headerEncoding,
    ackEncoding,
    oackEncoding,
    wireNumbers,
    negotiation,
  ];
}
