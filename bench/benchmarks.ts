/** The small benchmarks: what a packet, a request and a timer cost, each by itself. Knows no clock and prints nothing. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BufferCache } from '../src/content/buffer-cache.ts';
import { Catalog } from '../src/boot-set/store/catalog.ts';
import { nodesInPath } from '../src/boot-set/node/node-identity.ts';
import type { ChannelRecord, VersionRecord } from '../src/boot-set/store/records.ts';
import { Directory } from '../src/content/directory.ts';
import { shareBytes } from '../src/bytes/shared-bytes.ts';
import { TimerWheel } from '../src/engine/timer-wheel.ts';
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
import { Sender } from '../src/session/sender.ts';
import type { Steps } from '../src/session/session.ts';
import type { Benchmark } from './benchmark.ts';
import { storeOpening } from './store-benchmarks.ts';

const BLKSIZE = 1468;
const LIMITS: NegotiationLimits = { maxBlksize: BLKSIZE, maxWindowsize: 64, acknowledgeTimeout: false };
/** What UEFI firmware asks for when it reads a file's size. */
const ASKED: readonly AskedOption[] = [
  { name: 'tsize', spelling: 'tsize', value: '0' },
  { name: 'blksize', spelling: 'blksize', value: String(BLKSIZE) },
  { name: 'windowsize', spelling: 'windowsize', value: '4' },
];
/** 1 GiB: hundreds of thousands of blocks, so that starting over costs next to nothing. */
const SIZE = 2 ** 30;

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

// A loop for each: a loop that calls one function after another measures the call.
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

/** Takes every step and does nothing but count DATA. */
class CountingSteps implements Steps {
  sent = 0;
  opening(): void {}
  data(): void {
    this.sent++;
  }
  ack(): void {}
  error(): void {}
  keep(): void {}
}

/** An ACK for a whole window, which lets the next one out. */
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
      /** A transfer past its beginning, where a window leaves in one burst. */
      const begin = (): void => {
        sender = new Sender(plan);
        now = 0;
        sender.start(now, steps);
        packet.block = 0;
        sender.onPacket(packet, now, steps);
        block = 0;
        for (let window = 0; window < 64; window++) {
          // The pace lets the first windows out in several bursts.
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

/** Deadlines of a wheel that is never empty. */
const PENDING = 10_000;
const SPAN_MS = 400;

const timerScheduling: Benchmark = {
  name: 'timer wheel: schedule and cancel',
  batch: 10_000,
  pieces: 1,
  prepare: () => {
    const wheel = new TimerWheel(0);
    for (let id = 0; id < PENDING; id++) wheel.schedule(id, 1 + (id % SPAN_MS));
    return {
      run: (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) {
          wheel.schedule(PENDING, 1 + (turn & 0xfff));
          if (wheel.size === PENDING + 1) count++;
          wheel.cancel(PENDING);
        }
        return count;
      },
    };
  },
};

const timerAdvancing: Benchmark = {
  name: 'timer wheel: advance 1 ms, 25 of 10,000 due and set again',
  batch: 400,
  pieces: PENDING / SPAN_MS,
  prepare: () => {
    const wheel = new TimerWheel(0);
    for (let id = 0; id < PENDING; id++) wheel.schedule(id, 1 + (id % SPAN_MS));
    let now = 0;
    let due = 0;
    const onDue = (id: number): void => {
      due++;
      wheel.schedule(id, now + SPAN_MS);
    };
    return {
      run: (times) => {
        const before = due;
        for (let turn = 0; turn < times; turn++) wheel.advance(++now, onDue);
        return due - before;
      },
    };
  },
};

const cacheHit: Benchmark = {
  name: 'cache hit: acquire and release',
  batch: 1000,
  pieces: 1,
  prepare: () => {
    const cache = new BufferCache();
    const loaded = { handle: shareBytes(new Uint8Array(BLKSIZE)) };
    const load = (): Promise<typeof loaded> => Promise.resolve(loaded);
    return {
      run: async (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) {
          const held = await cache.acquire('key', load);
          if (held.kind !== 'held') continue;
          count++;
          held.release();
        }
        return count;
      },
    };
  },
};

const knownName: Benchmark = {
  name: 'directory: open and release a known name',
  batch: 500,
  pieces: 1,
  prepare: async () => {
    const root = await mkdtemp(join(tmpdir(), 'reveille-bench-'));
    await writeFile(join(root, 'linux'), new Uint8Array(BLKSIZE));
    // Time that stands still: what was found under a name holds for ever.
    const directory = new Directory({ root, cache: new BufferCache(), clock: () => 0, wallClock: () => 0 });
    const request = { filename: '/linux', mode: 'octet', client: '192.0.2.7', local: '192.0.2.1' } as const;
    return {
      run: async (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) {
          const answer = await directory.open(request);
          if (answer.kind !== 'content') continue;
          count++;
          answer.release();
        }
        return count;
      },
      close: () => rm(root, { recursive: true, force: true }),
    };
  },
};

/** 1,000 versions of ten channels, without the database: what a name costs once the catalog knows them. */
function catalogOf(count: number): Catalog {
  const hex = (number: number): string => (number * 0x9e3779b1).toString(16).padStart(64, 'a');
  const channels: ChannelRecord[] = [];
  const versions = new Map<string, VersionRecord>();
  for (let at = 0; at < 10; at++) {
    const name = `maas/amd64/release${at}/install`;
    channels.push({ name, current: count / 10, previous: [], nextNumber: count / 10 + 1, settings: {} });
    for (let number = 1; number <= count / 10; number++) {
      const files = ['linux', 'initrd.img', 'grub.cfg'].map((file, index) => ({
        name: file,
        digest: hex(number * 3 + index),
        size: BLKSIZE,
      }));
      const record = { channel: name, number, manifest: hex(at * 1000 + number), files, labels: {} };
      versions.set(`${name}-${number}`, { ...record, keep: false, publishedAt: 0 });
    }
  }
  const table = { get: (key: string) => versions.get(key), keys: () => [...versions.keys()] };
  const catalog = new Catalog({ generation: 1, channels: () => channels, tables: { versions: table } });
  catalog.refresh();
  return catalog;
}

const namesOfBootSets: Benchmark = {
  name: 'boot sets: a name among 1,000 versions, by channel, number and digest',
  batch: 100,
  pieces: 3,
  prepare: () => {
    const catalog = catalogOf(1000);
    const { manifest } = catalog.version('maas/amd64/release7/install', 50)!;
    const names = ['/linux', '-50/linux', `@${manifest}/linux`].map((end) => `maas/amd64/release7/install${end}`);
    return {
      run: (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) {
          for (const name of names) {
            const asked = catalog.resolve(name);
            const version = asked?.kind === 'channel' ? catalog.version(asked.channel.name, 100) : asked?.version;
            if (version?.file(asked!.file, false) !== undefined && nodesInPath(name).length === 0) count++;
          }
        }
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

export function microBenchmarks(): readonly Benchmark[] {
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
    windowStep(1),
    windowStep(64),
    timerScheduling,
    timerAdvancing,
    cacheHit,
    knownName,
    namesOfBootSets,
    storeOpening,
  ];
}
