/** Sockets that outlive the process that opened them, as the engine sees them. */
import type { Address } from './types.ts';

/** `tftp-0` and so on: sockets of workers that share the address with the main thread's. */
export type SocketUse = 'tftp' | `tftp-${number}` | 'http' | 'https' | 'admin';

/** Sockets that the process was given at its start, and a parent that keeps copies of its sockets. */
export interface SocketKeep {
  /**
   * Returns the descriptor of a socket that is bound to this address already; for TCP, it listens. The caller owns it.
   *
   * @returns undefined when none was given.
   */
  take(use: SocketUse, local: Address): number | undefined;
  /** Has the parent keep a copy of a socket that this process has opened. */
  keep(use: SocketUse, local: Address, fd: number): void;
  /** Has the parent close its copy. Call before the descriptor is closed: its number may be used again. */
  release(fd: number): void;
  /** Has the parent keep a copy of the socket of a transfer, from the next flush() on. */
  keepTransfer(local: Address, fd: number): void;
  /** Passes what waits for the parent. Call before a client learns of a port. */
  flush(): void;
  /** Takes the socket of a transfer of the process before. The caller owns it. @returns undefined: there is none. */
  takeTransfer(local: Address): number | undefined;
  /** Takes the regions that the processes before have left, the newest first. The caller owns their descriptors. */
  takeRegions(): number[];
  /** Has the parent keep a copy of a region. */
  keepRegion(fd: number): void;
  /**
   * Waits until no other process uses the descriptors. Before, nothing can be taken; blocks this thread. Has no effect
   * when they are there already.
   */
  takeOver(): void;
  /** Leaves the parent's copies as they are from now on, whatever this process closes. */
  leave(): void;
  /** Processes before this one, one right after the other, of which each died at once. */
  readonly deathsAtOnce: number;
  /** True where a parent keeps copies, and not only gave sockets. */
  readonly hasKeeper: boolean;
}
