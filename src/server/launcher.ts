/**
 * Launches a transfer that may run: a port, an order for a worker, the first reply. Knows which addresses have used up
 * their ports; not which transfer is next, nor what happens with a report.
 */
import { copyOf, identityOf } from '../content/identity.ts';
import type { SharedHandle, SharedView } from '../bytes/shared-bytes.ts';
import type { TransferReport } from '../engine/report.ts';
import type { Clock, NoPort, TransferPorts } from '../engine/types.ts';
import type { LeftTransfer } from '../pool/left-transfers.ts';
import type { RecoveryRecords } from '../pool/recovery-records.ts';
import type { Pool, TransferOrder } from '../pool/pool.ts';
import { STRAY_UNREACHABLE, TRANSFER_STATE } from '../pool/state-cells.ts';
import { Jitter } from '../session/jitter.ts';
import type { BlksizeLimits } from './blksize-limits.ts';
import { contentBytes, Feeder } from './feeder.ts';
import type { Transfer } from './transfer.ts';
import type { Resolver } from './resolver.ts';
import type { ServerLimits, ServerObserver } from './types.ts';

export interface LauncherOptions {
  readonly clock: Clock;
  readonly pool: Pool;
  /** The ports of transfers; undefined: workers open their own ports and send first replies. */
  readonly ports?: TransferPorts | undefined;
  /** Notified of each transfer's start and end. */
  readonly blksizes: BlksizeLimits;
  /** Attaches content to this thread's engine, for first replies. */
  readonly attach: (handle: SharedHandle) => SharedView;
  readonly limits: ServerLimits;
  /** True if transfers run at the port that was asked: those of one client port can't be told apart. Default false. */
  readonly singlePort?: boolean | undefined;
  /** Memory in which the next process finds how to go on with transfers. Default: it can't go on with any. */
  readonly recoveries?: RecoveryRecords | undefined;
  /** Seeds the transfers' jitter. */
  readonly seed: number;
}

export interface AdmissionOptions extends LauncherOptions {
  readonly resolver: Resolver;
  readonly observer: ServerObserver;
  /** Tells whether an address may send requests at all. */
  readonly mayAsk: (address: string) => boolean;
  /** Tells whether an address stands for many nodes behind NAT: it then has no limit of its own. */
  readonly isShared: (address: string) => boolean;
}

export type Launch =
  | 'started'
  | NoPort
  /** No worker can take the transfer now. */
  | 'noRoom'
  /** The transfer's file has changed since it was looked up, or can't be read. */
  | 'stale';

export class Launcher {
  readonly #options: LauncherOptions;
  readonly #seeds: Jitter;
  readonly #feeder: Feeder;
  /** Running transfers by slot. */
  readonly #bySlot: (Transfer | undefined)[] = [];
  /** Addresses whose ports are used up, until one is freed. */
  readonly #exhausted = new Set<string>();
  /** Addresses that wait for a descriptor, until any transfer frees one. */
  readonly #waiting = new Set<string>();

  /** @param onEnded called once for each transfer that was started, when nothing of it runs any more. */
  constructor(options: LauncherOptions, onEnded: (transfer: Transfer, report: TransferReport) => void) {
    this.#options = options;
    this.#seeds = new Jitter(options.seed);
    const { clock, pool, ports } = options;
    this.#feeder = new Feeder(clock, pool.cells);
    if (ports !== undefined) {
      ports.strays = {
        onPacket: (slot, opcode, number) => pool.cells.passStray(slot, opcode, number),
        onUnreachable: (slot) => pool.cells.passStray(slot, STRAY_UNREACHABLE, 0),
      };
    }
    options.pool.onEnded = (slot, report) => {
      const transfer = this.#bySlot[slot];
      if (transfer === undefined) return;
      this.#bySlot[slot] = undefined;
      this.#feeder.end(transfer);
      options.recoveries?.clear(slot);
      this.#givePortBack(transfer);
      options.blksizes.ended(transfer, report);
      onEnded(transfer, report);
    };
  }

  readonly hasPorts = (local: string): boolean => !this.#exhausted.has(local) && !this.#waiting.has(local);

  /** Retries addresses without a port: a port in quarantine, or one used by another program, may be free by now. */
  tryAgain(): void {
    this.#exhausted.clear();
    this.#waiting.clear();
  }

  /** Call when another process goes on with the transfers. */
  leave(): void {
    this.#feeder.close();
  }

  launch(transfer: Transfer): Launch {
    const { clock, pool, ports } = this.#options;
    const { slot, local, peer, port: asked } = transfer;
    const { blksize, windowsize } = transfer.settled!;
    if (transfer.content?.supply?.failure !== undefined) return 'stale';
    if (!pool.hasRoom) return 'noRoom';
    if (ports !== undefined) {
      const port = ports.take(asked.local, peer, blksize * windowsize, slot);
      if (port === 'unreachable') return port;
      if (port === 'usedUp' || port === 'noDescriptor') {
        (port === 'usedUp' ? this.#exhausted : this.#waiting).add(local);
        return port;
      }
      transfer.dataPort = port;
    }
    transfer.startedAt = clock.now();
    pool.cells.reset(slot, TRANSFER_STATE.unproven, transfer.startedAt);
    this.#bySlot[slot] = transfer;
    this.#noteRecovery(transfer);
    // The order precedes the first reply, so that the client's answer finds a prepared worker.
    if (!pool.start(this.#order(transfer))) {
      this.#bySlot[slot] = undefined;
      this.#feeder.end(transfer);
      pool.cells.setState(slot, TRANSFER_STATE.queued);
      this.#givePortBack(transfer);
      return 'noRoom';
    }
    this.#options.blksizes.started(transfer);
    this.#sendFirstReply(transfer);
    return 'started';
  }

  /** Goes on with a transfer of a process that has ended; it has its port and its content. */
  resume(transfer: Transfer, left: LeftTransfer): void {
    const { clock, pool, blksizes } = this.#options;
    const { slot } = transfer;
    const now = clock.now();
    transfer.startedAt = now - Math.round(left.openedAgoMs);
    pool.cells.reset(slot, left.state, now - left.silentMs);
    pool.cells.setBlocks(slot, left.blocks);
    pool.cells.setTally(slot, left);
    pool.cells.setRoundTrip(slot, left.roundTripMs);
    this.#bySlot[slot] = transfer;
    this.#noteRecovery(transfer);
    blksizes.started(transfer);
    pool.resume!(this.#order(transfer));
  }

  #order(transfer: Transfer): TransferOrder {
    const { peer, local, port, slot, opening, dataPort } = transfer;
    const settled = transfer.settled!;
    const content = transfer.content!;
    const { handle, supply, patienceMs = this.#options.limits.patienceMs } = content;
    return {
      slot,
      local,
      localPort: dataPort?.local.port ?? (this.#options.singlePort === true ? port.local.port : undefined),
      peer,
      port: dataPort,
      openedAt: dataPort === undefined ? undefined : transfer.startedAt,
      requestedAt: transfer.firstRequestAt,
      content: handle,
      ringBytes: supply?.ringBytes ?? 0,
      opening,
      plan: {
        size: contentBytes(content),
        ...settled,
        oack: opening !== undefined,
        mayMeetOldAcks: this.#options.singlePort === true,
        seed: this.#seeds.next(0x7fffffff),
        // An agreed interval must pass a few times before the peer counts as silent.
        patienceMs: Math.max(patienceMs, 6 * settled.timeoutMs),
        arrived: this.#feeder.begin(transfer),
      },
    };
  }

  /** Writes what another process needs to open the content again. */
  #noteRecovery({ slot, requestText, filename, mode, content }: Transfer): void {
    const { recoveries } = this.#options;
    if (recoveries === undefined) return;
    const { label, origin: kind } = content!;
    const identity = identityOf(content!);
    const text = identity === undefined ? copyOf(content!) : undefined;
    recoveries.write(slot, { requestText, filename, mode, identity, label, kind }, text);
  }

  /** Sends the first reply. The worker that has the order counts this packet as its own. */
  #sendFirstReply({ dataPort, opening, content, settled }: Transfer): void {
    if (dataPort === undefined) return;
    if (opening !== undefined) return dataPort.control(opening, opening.length);
    const view = this.#options.attach(content!.handle);
    dataPort.data(1, view, 0, Math.min(settled!.blksize, contentBytes(content!)));
  }

  #givePortBack(transfer: Transfer): void {
    transfer.dataPort?.release();
    transfer.dataPort = undefined;
    this.#exhausted.delete(transfer.local);
    this.#waiting.clear();
  }
}
