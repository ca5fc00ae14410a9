/**
 * Goes on with the transfers of a process that has ended: opens each content again, and gives the transfer to a worker.
 * A transfer whose content is no longer the same ends with an ERROR. Knows transfers; no regions and no sockets.
 */
import { copiedContent, identityOf } from '../content/identity.ts';
import type { Content } from '../content/types.ts';
import type { TransferPort } from '../engine/types.ts';
import { encodeError, MAX_CONTROL } from '../protocol/encode.ts';
import { ERROR_CODE } from '../protocol/opcode.ts';
import { type Loss, noLosses } from '../pool/figures.ts';
import { TRANSFER_STATE } from '../pool/state-cells.ts';
import { type Gate, transferKey } from './gate.ts';
import type { LeftTransfer } from '../pool/left-transfers.ts';
import type { RecoveryRecord } from '../pool/recovery-records.ts';
import type { AdmissionOptions, Launcher } from './launcher.ts';
import { Transfer } from './transfer.ts';

/**
 * @limit Deaths of servers, each within a second of its readiness, after which their transfers are lost instead of
 * resumed. Shows: `reveille_transfers_lost_total{reason="repeated"}`.
 */
const MAX_DEATHS_AT_ONCE = 3;

/** Admission's part: it counts transfers and frees them. */
export interface ResumerHost {
  /** Counts a transfer that a worker has. */
  readonly begun: (transfer: Transfer) => void;
  /** Counts it against the limits of its client. */
  readonly join: (transfer: Transfer) => void;
  /** Frees the resources of a transfer that no worker has. */
  readonly release: (transfer: Transfer) => void;
}

export class Resumer {
  readonly #options: AdmissionOptions;
  readonly #gate: Gate<Transfer>;
  readonly #launcher: Launcher;
  readonly #nextId: () => number;
  readonly #host: ResumerHost;
  readonly #packet = new Uint8Array(MAX_CONTROL);
  resumed = 0;
  readonly lost = noLosses();

  constructor(
    options: AdmissionOptions,
    gate: Gate<Transfer>,
    launcher: Launcher,
    nextId: () => number,
    host: ResumerHost,
  ) {
    this.#options = options;
    this.#gate = gate;
    this.#launcher = launcher;
    this.#nextId = nextId;
    this.#host = host;
  }

  /**
   * Goes on with all of them. Their addresses are listened on.
   *
   * @param deathsAtOnce processes before this one that died at once, one right after the other. @returns when each
   *   transfer runs, or is lost. Never rejects.
   */
  async resume(left: readonly LeftTransfer[], deathsAtOnce = 0): Promise<void> {
    if (deathsAtOnce >= MAX_DEATHS_AT_ONCE) {
      // One of them may be why.
      for (const one of left) this.#lose(this.#portOf(one, 0), 'repeated');
      return;
    }
    await Promise.all(left.map(async (one) => await this.#resumeOne(one)));
  }

  #resumeOne(left: LeftTransfer): Promise<void> | undefined {
    const { recovery } = left;
    const slot = this.#gate.takeSlot();
    const port = this.#portOf(left, slot ?? 0);
    if (port === undefined || slot === undefined || recovery === undefined) {
      if (slot !== undefined) this.#gate.freeSlot(slot);
      return this.#lose(port, port === undefined ? 'socket' : slot === undefined ? 'full' : 'unrecorded');
    }
    const transfer = this.#transferOf(left, recovery, slot, port);
    const { text } = left;
    if (text !== undefined) return this.#onContent(transfer, left, copiedContent(text, recovery.label, recovery.kind));
    const { filename, peer, local, mode } = transfer;
    const answer = this.#options.resolver.resolve({ filename, mode, client: peer.address, local });
    const go = (late: Awaited<typeof answer>): Promise<void> | undefined => {
      if (late.kind === 'content' && isSame(late, left)) return this.#onContent(transfer, left, late);
      if (late.kind === 'content') late.release();
      // An ERROR would reach the next transfer of its client.
      return transfer.abandoned ? this.#free(port, transfer) : this.#lose(port, 'content', transfer);
    };
    return 'kind' in answer ? go(answer) : answer.then(go);
  }

  #portOf({ order }: LeftTransfer, slot: number): TransferPort | undefined {
    try {
      return this.#options.ports?.adopt?.({ address: order.local, port: order.localPort! }, order.peer, slot);
    } catch {
      // The interface that its address names no longer exists.
      return undefined;
    }
  }

  #transferOf(left: LeftTransfer, recovery: RecoveryRecord, slot: number, port: TransferPort): Transfer {
    const { clock, pool } = this.#options;
    const { order } = left;
    const { requestText: text, filename, mode } = recovery;
    const { local, peer, opening, plan } = order;
    const now = clock.now();
    const at = now - Math.round(left.requestedAgoMs);
    const arrival = {
      request: { operation: 'read', filename, mode, options: [], text } as const,
      peer,
      // A transfer that runs does not need the listening port.
      port: { local: { address: local, port: port.local.port }, reply: () => {}, close: async () => {} },
      arrivedAt: at,
    };
    const transfer = new Transfer(this.#nextId(), transferKey(peer, local), slot, arrival, mode, at);
    transfer.options = [];
    transfer.settled = plan;
    transfer.opening = opening;
    transfer.queuedAt = at;
    transfer.dataPort = port;
    pool.cells.reset(slot, TRANSFER_STATE.resolving, now);
    this.#gate.enter(transfer);
    return transfer;
  }

  #onContent(transfer: Transfer, left: LeftTransfer, content: Content): Promise<void> | undefined {
    transfer.content = content;
    const { supply } = content;
    if (supply === undefined || supply.isWhole) return this.#launch(transfer, left);
    const { blksize } = transfer.settled!;
    supply.cut(blksize);
    supply.acknowledge(left.blocks * blksize);
    // Blocks up to the last acknowledged one must have arrived before the sender goes on behind it.
    const isHere = (): boolean =>
      supply.isWhole || supply.failure !== undefined || Math.floor(supply.arrived / blksize) > left.blocks;
    if (isHere()) return this.#launch(transfer, left);
    return new Promise((resolve) => {
      const unwatch = supply.watch(() => {
        if (!isHere()) return;
        unwatch();
        this.#launch(transfer, left);
        resolve();
      });
    });
  }

  #launch(transfer: Transfer, left: LeftTransfer): undefined {
    // Its client has begun another transfer while the content was being opened.
    if (transfer.abandoned) return this.#free(transfer.dataPort, transfer);
    if (transfer.content!.supply?.failure !== undefined) {
      this.#lose(transfer.dataPort, 'content', transfer);
      return;
    }
    this.#launcher.resume(transfer, left);
    this.#host.begun(transfer);
    this.#host.join(transfer);
    this.resumed++;
  }

  /** Tells the client that its transfer does not go on. @param port undefined: it can't be told. */
  #lose(port: TransferPort | undefined, loss: Loss, transfer?: Transfer): undefined {
    this.lost[loss]++;
    const text = loss === 'content' ? 'File changed' : 'Transfer lost';
    port?.control(this.#packet, encodeError(this.#packet, ERROR_CODE.NOT_DEFINED, text));
    this.#free(port, transfer);
  }

  #free(port: TransferPort | undefined, transfer?: Transfer): undefined {
    port?.release();
    if (transfer === undefined) return;
    transfer.dataPort = undefined;
    this.#host.release(transfer);
  }
}

/** Tells whether a content that was opened again has the bytes of the one before. */
function isSame(content: Content, { recovery, order }: LeftTransfer): boolean {
  const { supply, handle } = content;
  return identityOf(content) === recovery?.identity && (supply?.size ?? handle.length) === order.plan.size;
}
