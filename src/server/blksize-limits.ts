/**
 * The largest blksize granted to a client: the operator's setting, otherwise the largest that reaches the client
 * unfragmented, and less for a client that large blocks did not reach. Negotiates nothing.
 */
import type { TransferReport } from '../engine/report.ts';
import type { Clock } from '../engine/types.ts';
import type { StateCells } from '../pool/state-cells.ts';
import { BLKSIZE_DEFAULT, MAX_BLKSIZE } from '../protocol/negotiate.ts';
import { largestBlksize } from './addresses.ts';
import type { PathMtus } from './path-mtu.ts';
import type { Transfer } from './transfer.ts';
import type { ServerObserver } from './types.ts';

/**
 * Every link that carries IPv6 carries packets of this size (RFC 8200 §5), and so do the usual tunnels for IPv4.
 * @limit Largest packet, in bytes, to a client that received none of its large blocks. Setting: `maxBlksize`. Shows: a
 * warning, and `blksize` in the log.
 */
const SAFE_MTU = 1280;
/** The first block has vanished after this many resends and this long after the start without an acknowledged block. */
const VANISHED_RESENDS = 2;
const VANISHED_MS = 1000;
/**
 * How long such a client is granted small blocks.
 * @limit Time for which a client that received none of its large blocks gets small packets. Shows: a warning, and
 * `blksize` in the log.
 */
const NARROW_MS = 900_000;
/**
 * Number of such clients remembered; the oldest is forgotten first.
 * @limit Clients remembered that received none of their large blocks. Shows: nothing: the first blocks to the oldest
 * one are lost again.
 */
const MAX_NARROW = 4096;

export interface BlksizeLimitsOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly cells: StateCells;
  readonly mtus: Pick<PathMtus, 'of'>;
  /** The operator's setting for all clients, bytes. */
  readonly maxBlksize: number | undefined;
  /** The operator's setting for a client's address, which takes precedence. */
  readonly maxBlksizeOf: (address: string) => number | undefined;
  readonly onWarning: ServerObserver['onWarning'];
}

/** A client whose large blocks have vanished. */
interface Narrow {
  readonly since: number;
  /** The blksize of the blocks that vanished, bytes. */
  readonly blksize: number;
  told: boolean;
}

type Limited = Pick<Transfer, 'peer' | 'local' | 'slot' | 'options' | 'settled' | 'content' | 'startedAt'>;

export class BlksizeLimits {
  readonly #options: BlksizeLimitsOptions;
  /** The most recently started transfer with large blocks of each address, while it runs. */
  readonly #latest = new Map<string, Limited>();
  readonly #narrow = new Map<string, Narrow>();

  constructor(options: BlksizeLimitsOptions) {
    this.#options = options;
  }

  /** Returns the largest blksize for a request before its negotiation, bytes. */
  of({ peer, local, options }: Limited): number {
    if (!options.some(({ name }) => name === 'blksize' || name === 'blksize2')) return BLKSIZE_DEFAULT;
    const { maxBlksize, maxBlksizeOf } = this.#options;
    const most = maxBlksizeOf(peer.address) ?? maxBlksize ?? this.#unfragmented(local, peer);
    const safe = safeBlksize(peer.address);
    return most > safe && this.#isNarrow(peer.address, safe) ? safe : most;
  }

  /** Call when a worker has the transfer. */
  started(transfer: Limited): void {
    const { peer, settled } = transfer;
    if (settled!.blksize > safeBlksize(peer.address)) this.#latest.set(peer.address, transfer);
  }

  /** Call before the transfer's slot is freed. */
  ended(transfer: Limited, { blocks }: Pick<TransferReport, 'blocks'>): void {
    const { address } = transfer.peer;
    if (this.#latest.get(address) === transfer) this.#latest.delete(address);
    if (blocks === 0 && this.#hasVanished(transfer)) this.#remember(transfer);
  }

  /** Every route is trusted to carry at least the blksize without negotiation. */
  #unfragmented(local: string, peer: Transfer['peer']): number {
    const mtu = this.#options.mtus.of(local, peer);
    return Math.max(BLKSIZE_DEFAULT, Math.min(MAX_BLKSIZE, largestBlksize({ family: familyOf(peer.address), mtu })));
  }

  #isNarrow(address: string, granted: number): boolean {
    const { clock, onWarning } = this.#options;
    // Most clients ask again from another port, while the former transfer still waits for them.
    const latest = this.#latest.get(address);
    if (latest !== undefined && this.#hasVanished(latest)) this.#remember(latest);
    const narrow = this.#narrow.get(address);
    if (narrow === undefined) return false;
    if (clock.now() - narrow.since >= NARROW_MS) {
      this.#narrow.delete(address);
      return false;
    }
    if (!narrow.told) {
      narrow.told = true;
      onWarning('blocks did not arrive: the client is granted smaller ones', {
        client: address,
        blksize: narrow.blksize,
        granted,
      });
    }
    return true;
  }

  /** Tells whether the client acknowledged the OACK and then no block, however often the first one was sent. */
  #hasVanished({ peer, slot, settled, content, startedAt }: Limited): boolean {
    const { clock, cells } = this.#options;
    const length = Math.min(settled!.blksize, content!.handle.length);
    return (
      length > safeBlksize(peer.address) &&
      cells.blocks(slot) === 0 &&
      cells.dataRetransmits(slot) >= VANISHED_RESENDS &&
      clock.now() - startedAt >= VANISHED_MS
    );
  }

  #remember({ peer: { address }, settled }: Limited): void {
    const told = this.#narrow.get(address)?.told ?? false;
    this.#narrow.delete(address);
    this.#narrow.set(address, { since: this.#options.clock.now(), blksize: settled!.blksize, told });
    if (this.#narrow.size > MAX_NARROW) this.#narrow.delete(this.#narrow.keys().next().value!);
  }
}

function familyOf(address: string): 4 | 6 {
  return address.includes(':') ? 6 : 4;
}

function safeBlksize(address: string): number {
  return largestBlksize({ family: familyOf(address), mtu: SAFE_MTU });
}
