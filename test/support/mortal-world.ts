/**
 * Workers that die at any step, on virtual time: the table, the takeover and the sessions as in production, between
 * simulated sockets that outlive their worker and clients with the manners of firmware. Everything follows from a seed.
 */
import { type SharedHandle, allocateShared, attachShared } from '../../src/bytes/shared-bytes.ts';
import { allocateCounters, counterRow } from '../../src/engine/counters.ts';
import { MemoryNetwork } from '../../src/engine/memory.ts';
import type { TransferReport } from '../../src/engine/report.ts';
import { type Address, type Engine, HEALTHY, type LinkReceiver, type UnreadDatagram } from '../../src/engine/types.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import { blockCount } from '../../src/protocol/block.ts';
import { encodeOack, MAX_CONTROL, wishedOptions } from '../../src/protocol/encode.ts';
import { type StateCells, TRANSFER_STATE } from '../../src/pool/state-cells.ts';
import { allocateTable } from '../../src/pool/table-region.ts';
import { Takeover } from '../../src/pool/takeover.ts';
import { TransferRunner } from '../../src/pool/transfer-runner.ts';
import { TransferTable } from '../../src/pool/transfer-table.ts';
import type { Manners } from '../../src/session/manners.ts';
import { Download, SERVER, Socket } from './mortal-ends.ts';
import { Random } from './random.ts';

export interface MortalDraw {
  readonly size: number;
  readonly blksize: number;
  readonly windowsize: number;
  /** False: the client asks for no options, and the transfer begins with DATA 1. */
  readonly options: boolean;
  /** Blocks of the content that fit into memory at once; 0: all of it is there from the start. */
  readonly ringBlocks: number;
  readonly manners: Manners | undefined;
}

export interface MortalPlan {
  readonly seed: number;
  readonly workers: number;
  readonly transfers: readonly MortalDraw[];
  /** Steps of a worker until it dies, one number for each death; then workers live on. */
  readonly deaths: readonly number[];
  /** True if datagrams that a dead worker has not read are lost with it. */
  readonly losesUnread: boolean;
  readonly loss: number;
}

export interface MortalResult {
  /** Sentences about what must never happen. */
  readonly problems: string[];
  readonly deaths: number;
  readonly resumed: number;
  /** Steps that all workers took together. */
  readonly steps: number;
}

const MAX_MS = 600_000;
/** Thrown by each step of a dead worker. */
const DEATH = new Error('The worker is dead');

class MortalWorld {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly network: MemoryNetwork;
  readonly table: TransferTable;
  readonly problems: string[] = [];
  readonly sockets: Socket[] = [];
  readonly contents: Uint8Array[] = [];
  readonly memories: SharedHandle[] = [];
  readonly plan: MortalPlan;
  readonly takeover: Takeover;
  readonly #deaths: number[];
  readonly #reports: (TransferReport | undefined)[];
  #workers: MortalWorker[] = [];
  died = 0;
  steps = 0;

  constructor(plan: MortalPlan) {
    this.plan = plan;
    this.random = new Random(plan.seed);
    this.network = new MemoryNetwork(this.clock, plan.seed, { delayMs: this.random.between(0, 2), loss: plan.loss });
    this.table = new TransferTable(allocateTable(plan.transfers.length));
    this.#deaths = [...plan.deaths];
    this.#reports = plan.transfers.map(() => undefined);
    this.takeover = new Takeover(this.table, (slot, report) => this.ended(slot, report));
    while (this.#workers.length <= plan.workers) this.#workers.push(new MortalWorker(this));
  }

  nextDeath(): number {
    return this.#deaths.shift() ?? Number.POSITIVE_INFINITY;
  }

  ended(slot: number, report: TransferReport): void {
    if (this.#reports[slot] !== undefined) this.problems.push(`transfer ${slot} has ended twice`);
    this.#reports[slot] = report;
    this.table.clear(slot);
    this.sockets[slot]!.close();
  }

  /** The exit of a worker that has died, some milliseconds later; its replacement takes longer. */
  onDeath(worker: MortalWorker): void {
    this.died++;
    for (const slot of worker.slots) this.sockets[slot]!.reader = undefined;
    const { clock } = this;
    clock.wake(clock.now() + this.random.between(1, 20), () => {
      this.#workers = this.#workers.filter((one) => one !== worker);
      this.takeover.take([...worker.slots], this.plan.losesUnread ? [] : worker.unread, undefined);
      this.#give();
      clock.wake(clock.now() + this.random.between(30, 300), () => {
        this.#workers.push(new MortalWorker(this));
        this.#give();
      });
    });
  }

  #give(): void {
    this.takeover.give((slot, terms) => {
      const worker = this.#workers.find(({ isDead }) => !isDead);
      if (worker === undefined) return false;
      worker.order(slot, true, terms.unread);
      return true;
    });
  }

  /** Opens a socket and begins a transfer. */
  begin(slot: number, peer: Address, draw: MortalDraw): void {
    const socket = new Socket(this.network, peer);
    this.sockets[slot] = socket;
    const { size, blksize, windowsize, options, ringBlocks } = draw;
    const now = this.clock.now();
    const ringBytes = ringBlocks * blksize;
    const { handle, bytes } = allocateShared(ringBytes === 0 ? size : ringBytes);
    this.memories[slot] = handle;
    if (ringBytes === 0) bytes.set(this.contents[slot]!);
    const opening = new Uint8Array(MAX_CONTROL);
    const granted = wishedOptions({ blksize, windowsize });
    this.table.cells.reset(slot, TRANSFER_STATE.unproven, now);
    const arrived = ringBytes === 0 ? undefined : this.#feed(slot, draw, bytes);
    this.table.write(
      {
        slot,
        local: SERVER,
        localPort: socket.local.port,
        peer,
        port: { fd: slot, peerWord: 0, addressWord: 0 },
        openedAt: now,
        requestedAt: now,
        content: handle,
        ringBytes,
        opening: options ? opening.subarray(0, encodeOack(opening, granted)) : undefined,
        plan: {
          size,
          blksize,
          windowsize,
          rollover: 0,
          timeoutMs: 0,
          oack: options,
          seed: slot + 1,
          patienceMs: 60_000,
          arrived,
        },
      },
      { low: 0, high: 0, length: size },
    );
    const worker = this.random.pick(this.#workers.filter(({ isDead }) => !isDead).slice(0, this.plan.workers));
    if (worker === undefined) this.takeover.take([slot], [], undefined);
    else worker.order(slot, false, undefined);
    // The main thread sends the first reply.
    if (options) socket.send(opening.subarray(0, encodeOack(opening, granted)));
    else socket.data(1, attachShared(handle), 0, Math.min(blksize, size));
  }

  /** Reads the content into its ring, as fast as the client acknowledges. @returns blocks that have arrived. */
  #feed(slot: number, { size, blksize, ringBlocks }: MortalDraw, ring: Uint8Array): number {
    const { cells } = this.table;
    const content = this.contents[slot]!;
    const last = blockCount(size, blksize);
    let arrived = 0;
    const read = (): void => {
      const room = cells.blocks(slot) + ringBlocks;
      const most = arrived + this.random.between(1, ringBlocks);
      while (arrived < Math.min(room, most, last)) {
        const at = arrived++ * blksize;
        ring.set(content.subarray(at, Math.min(size, at + blksize)), at % (ringBlocks * blksize));
      }
      if (arrived === last) cells.setLastBlock(slot, last, size - (last - 1) * blksize);
      cells.setArrived(slot, arrived);
      if (cells.isWaiting(slot)) cells.ring();
      if (arrived < last && this.#reports[slot] === undefined) this.clock.wake(this.clock.now() + 10, read);
    };
    read();
    return arrived;
  }

  async run(): Promise<MortalResult> {
    const { plan, clock, random } = this;
    const downloads = plan.transfers.map((draw, slot) => {
      this.contents[slot] = random.bytes(draw.size);
      return new Download({
        ...draw,
        network: this.network,
        slot,
        onRequest: (client, isFirst) => {
          if (isFirst) this.begin(slot, client, draw);
          else this.table.cells.repeat(slot);
        },
      });
    });
    for (const download of downloads) download.start();
    await settled();
    clock.run(MAX_MS);
    await settled();
    for (const [slot, { outcome, bytes }] of downloads.entries()) {
      const { fault } = this.#reports[slot] ?? { fault: 'it was never reported' };
      if (outcome !== 'complete') this.problems.push(`the client of transfer ${slot} ended with ${outcome}; ${fault}`);
      else if (!Buffer.from(bytes).equals(Buffer.from(this.contents[slot]!))) {
        this.problems.push(`transfer ${slot} got wrong bytes`);
      }
      if (this.#reports[slot] === undefined) this.problems.push(`transfer ${slot} was never reported`);
    }
    return { problems: this.problems, deaths: this.died, resumed: this.takeover.resumed, steps: this.steps };
  }
}

/** A thread of the server: each of its steps may be its last. */
class MortalWorker {
  isDead = false;
  readonly slots = new Set<number>();
  /** Datagrams that it has received and not handled. */
  readonly unread: UnreadDatagram[] = [];
  readonly #world: MortalWorld;
  readonly #owner: number;
  readonly #runner: TransferRunner;
  readonly #receivers = new Map<number, LinkReceiver>();
  #stepsLeft: number;
  #cancelRead: (() => void) | undefined;

  constructor(world: MortalWorld) {
    this.#world = world;
    this.#owner = world.table.newOwner();
    this.#stepsLeft = world.nextDeath();
    this.#runner = new TransferRunner(this.#engine(), this.#cells(), counterRow(allocateCounters(1), 0));
  }

  /** One step: nothing of a worker happens after its death, and not the step at which it dies. */
  #step(): void {
    if (!this.isDead) {
      this.#world.steps++;
      if (--this.#stepsLeft > 0) return;
      this.isDead = true;
      this.#cancelRead?.();
      this.#world.onDeath(this);
    }
    throw DEATH;
  }

  /** Runs a callback of the worker, if it still lives. */
  #live(what: () => void): void {
    if (this.isDead) return;
    try {
      what();
    } catch (cause) {
      if (cause !== DEATH) throw cause;
    }
  }

  order(slot: number, isResumed: boolean, unread: Uint8Array | undefined): void {
    this.slots.add(slot);
    const { clock, random, table, memories } = this.#world;
    clock.wake(clock.now() + random.between(0, 2), () =>
      this.#live(() => {
        this.#step();
        if (!table.cells.take(slot, this.#owner)) this.#world.problems.push(`transfer ${slot} was not free`);
        this.#step();
        const order = table.read(slot)!;
        const content = attachShared(memories[slot]!);
        const ended = (_: number, report: TransferReport): void => {
          this.#step();
          this.slots.delete(slot);
          this.#world.ended(slot, report);
        };
        if (isResumed) this.#runner.resume(order, content, unread, ended);
        else this.#runner.start(order, content, ended);
      }),
    );
  }

  #receive(token: number, bytes: Uint8Array): void {
    this.unread.push({ token, bytes });
    const { clock, random } = this.#world;
    this.#cancelRead ??= clock.wake(clock.now() + random.between(0, 2), () => {
      this.#cancelRead = undefined;
      this.#live(() => {
        while (this.unread.length > 0) {
          const { bytes: datagram, token: of } = this.unread.shift()!;
          this.#receivers.get(of!)?.onDatagram(datagram, datagram.length);
        }
      });
    });
  }

  #engine(): Engine {
    const { clock, sockets, table, problems } = this.#world;
    const engine: Engine = {
      name: 'memory',
      wildcards: false,
      mapFile: undefined,
      allocateFile: undefined,
      advice: undefined,
      clock: { now: () => clock.now(), wake: (at, fn) => clock.wake(at, () => this.#live(fn)) },
      listen: () => Promise.reject(DEATH),
      link: () => Promise.reject(DEATH),
      attach: attachShared,
      health: () => HEALTHY,
      close: async () => {},
      adopt: ({ fd, token = 0 }, _ends, receiver) => {
        const socket = sockets[fd]!;
        this.#receivers.set(token, receiver);
        socket.reader = (bytes) => this.#receive(token, bytes);
        for (const bytes of socket.queue.splice(0)) this.#receive(token, bytes);
        const serve = (send: () => void): void => {
          this.#step();
          if (table.cells.owner(fd) !== this.#owner) problems.push(`transfer ${fd} is served by two`);
          send();
        };
        return {
          local: socket.local,
          data: (block, view, offset, length) => serve(() => socket.data(block, view, offset, length)),
          control: (bytes, length) => serve(() => socket.send(bytes.subarray(0, length))),
          close: () => {
            this.#step();
            socket.reader = undefined;
            this.#receivers.delete(token);
          },
        };
      },
    };
    return engine;
  }

  /** The cells, each write to which is a step. */
  #cells(): StateCells {
    return new Proxy(this.#world.table.cells, {
      get: (cells, name) => {
        const member: unknown = Reflect.get(cells, name, cells);
        if (typeof member !== 'function') return member;
        return (...given: unknown[]): unknown => {
          if (String(name).startsWith('set') || name === 'refuseGivingUp') this.#step();
          return Reflect.apply(member, cells, given);
        };
      },
    });
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Plays a plan to its end. */
export function playMortal(plan: MortalPlan): Promise<MortalResult> {
  return new MortalWorld(plan).run();
}
